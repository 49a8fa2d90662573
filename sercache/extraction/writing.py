"""Writing: one thread that appends and seals, so that the encoder never waits for the disk to flush."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from sercache.errors import NumericRangeError
from sercache.extraction.compute import Features
from sercache.extraction.decode import Decoded
from sercache.extraction.stages import Busy
from sercache.stores import FeatureWriter

Part = tuple[Decoded, Features, int]
"""A piece, what was computed of it, and its frames T."""

_WAITING = 2
"""Batches that may wait for the disk: more would only be memory."""


class Writing:
    """The writing end of a line. Leaving the block commits all that was put in, whatever happened outside.

    A fault of the store is raised by the next ``put`` or on leaving. What was finished before a
    NumericRangeError is committed.
    """

    def __init__(self, writer: FeatureWriter, seal_every: float, busy: Busy) -> None:
        self._writer, self._seal_every, self._busy = writer, seal_every, busy
        self._waiting: queue.Queue[Sequence[Part] | None] = queue.Queue(_WAITING)
        self._fault: BaseException | None = None
        self._sealed = time.monotonic()
        # A daemon: a second Ctrl-C must end the process; what is committed is safe at any moment.
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def put(self, batch: Sequence[Part]) -> None:
        """Hand over a batch; waits while the disk is behind. Raises what the store raised."""
        if self._fault is not None:
            raise self._fault
        self._waiting.put(batch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is committed. The first Ctrl-C waits too, a second one leaves at once."""
        try:
            self._end()
        except KeyboardInterrupt:
            if kind is None:
                self._end()
            raise
        if self._fault is not None and (kind is None or fault is self._fault):
            raise self._fault

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, so that others may use the writer."""
        return not self._thread.is_alive()

    def _end(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        """Take batches to the end, after a fault too: whoever puts must not wait for ever."""
        while (batch := self._waiting.get()) is not None:
            self._guarded(partial(self._take, batch))
        self._guarded(self._writer.seal)

    def _guarded(self, step: Callable[[], None]) -> None:
        if self._fault is not None:
            return
        try:
            with self._busy.during("write"):
                step()
        except BaseException as fault:
            self._fault = fault

    def _take(self, batch: Sequence[Part]) -> None:
        try:
            for item, found, n_frames in batch:
                self._append(item, found, n_frames)
        except NumericRangeError:
            self._writer.seal()
            raise
        if time.monotonic() - self._sealed > self._seal_every:
            self._writer.seal()
            self._sealed = time.monotonic()

    def _append(self, item: Decoded, found: Features, n_frames: int) -> None:
        self._writer.append(
            item.piece.entry_id,
            found.mean,
            found.std,
            found.frames,
            n_frames=n_frames,
            n_samples=item.n_samples,
            audio_digest=item.digest,
        )

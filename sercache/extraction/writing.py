"""Writing: a thread that appends and seals, so that the encoder never waits for the disk to flush.

One is enough for a processor. Full sequences from a graphics card may outrun one: checking, copying and
checksums cost a thread a second for each GB or two, however fast the disk.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from sercache.errors import AlreadyStoredError, NumericRangeError
from sercache.extraction.compute import PieceFeatures
from sercache.extraction.decode import DecodedPiece
from sercache.extraction.stages import Busy
from sercache.stores import FeatureWriter

Row = tuple[DecodedPiece, PieceFeatures, int]
"""A piece, what was computed of it, and its frames T."""

Waiting = queue.Queue[Sequence[Row] | None]

_WAITING = 2
"""Batches that may wait for the disk: more would only be memory."""

_SHORTEST = 0.5
"""Seconds between two looks at the time."""


class Writing:
    """The writing end of a line. Leaving the block commits all that was put in, whatever happened outside.

    Each of ``writers`` has a thread; each takes the next batch when it is free. A fault of the store is raised by the
    next ``put`` or on leaving. What was finished before a NumericRangeError is committed.
    """

    def __init__(self, writers: Sequence[FeatureWriter], seal_every: float, busy: Busy) -> None:
        self.busy = busy
        self._waiting: Waiting = queue.Queue(_WAITING + len(writers) - 1)
        self._threads = [_Thread(writer, self._waiting, seal_every, busy) for writer in writers]

    def put(self, batch: Sequence[Row]) -> None:
        """Hand over a batch; waits while the disk is behind. Raises what the store raised."""
        for fault in self._faults():
            raise fault
        self._waiting.put(batch)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
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
        if kind is None:
            for raised in self._faults():
                raise raised

    @property
    def is_over(self) -> bool:
        """Whether the threads have ended, so that others may use the writers."""
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def n_overtaken(self) -> int:
        """Pieces that another process had committed by the time that they were to be written."""
        return sum(thread.n_overtaken for thread in self._threads)

    def _end(self) -> None:
        for thread in self._threads:
            if thread.is_alive():
                self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _faults(self) -> list[BaseException]:
        return [thread.fault for thread in self._threads if thread.fault is not None]


class _Thread(threading.Thread):
    """Appends to one writer until the end, and seals.

    A daemon: a second Ctrl-C must end the process, and what is committed is safe at any moment.
    """

    def __init__(self, writer: FeatureWriter, waiting: Waiting, seal_every: float, busy: Busy) -> None:
        super().__init__(name="write", daemon=True)
        self._writer, self._waiting, self._seal_every, self._busy = writer, waiting, seal_every, busy
        self._sealed = time.monotonic()
        self.fault: BaseException | None = None
        self.n_overtaken = 0

    def run(self) -> None:
        """Take batches to the end, after a fault too: whoever puts must not wait for ever."""
        while (batch := self._next()) is not None:
            self._guarded(partial(self._take, batch))
        self._guarded(self._seal)

    def _next(self) -> Sequence[Row] | None:
        """The next batch, or None at the end; seals in time where none comes."""
        while True:
            due = self._sealed + self._seal_every - time.monotonic()
            try:
                return self._waiting.get(timeout=max(due, _SHORTEST))
            except queue.Empty:
                self._guarded(self._seal)

    def _seal(self) -> None:
        self._writer.seal()
        self._sealed = time.monotonic()

    def _guarded(self, step: Callable[[], None]) -> None:
        if self.fault is not None:
            return
        try:
            with self._busy.during("write"):
                step()
        except BaseException as fault:
            self.fault = fault

    def _take(self, batch: Sequence[Row]) -> None:
        try:
            for item, found, n_frames in batch:
                self._append(item, found, n_frames)
        except NumericRangeError:
            self._seal()
            raise
        if time.monotonic() - self._sealed > self._seal_every:
            self._seal()

    def _append(self, item: DecodedPiece, found: PieceFeatures, n_frames: int) -> None:
        try:
            self._writer.append(
                item.piece.entry_id,
                found.mean,
                found.std,
                found.frames,
                n_frames=n_frames,
                n_samples=item.n_samples,
                audio_digest=item.digest,
                owned=True,  # a batch's memory is its own
            )
        except AlreadyStoredError:  # the plan left out what was stored: another process was faster
            self.n_overtaken += 1

"""Batches on their way into a head: gathered from tables on the device, or read ahead from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sercache.training.contract import Inputs, View, moved
from sercache.training.residing import of_batch, scaling_on
from sercache.training.tables import Resident, gathered
from sercache.views import BatchMemory, FeatureView

Arrived = Callable[[], tuple[Inputs, Inputs]]
"""Gives features and mask of a batch that was sent to a device, once they are there."""


@dataclass(eq=False)
class Feeder:
    """Reads batches of views into memory that is used again and again."""

    device: torch.device
    memories: tuple[BatchMemory, BatchMemory] = field(default_factory=lambda: (BatchMemory(), BatchMemory()))
    _stream: torch.cuda.Stream | None = None
    """What a card copies on while it computes."""
    _scalings: dict[int, tuple[tuple[Tensor, Tensor] | None, View]] = field(default_factory=dict)
    """By id of a view: its normalisation on the device, and the view itself, so that its id stays its own."""

    def feed(self, view: View, parts: Sequence[np.ndarray]) -> Iterator[tuple[Inputs, Inputs]]:
        """Features and mask of each part, on the device; each is gone when the next is asked for."""
        if isinstance(view, Resident):
            return gathered([[(view, rows)] for rows in parts], self.device)
        return self.feed_each([(view, rows) for rows in parts])

    def feed_each(self, parts: Sequence[tuple[View, np.ndarray]]) -> Iterator[tuple[Inputs, Inputs]]:
        """As ``feed``, with a view for each part.

        The next batch is read while this one is worked on where that is waiting for a disk or a copy, and the disk is
        told of the one after that.
        """
        first = parts[0][0] if parts else None
        waits = isinstance(first, FeatureView) and (not first.plan.in_memory or self.device.type == "cuda")
        if not waits:
            for view, rows in parts:
                yield self._read(view, rows, 0)()
            return
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as teller:
            told: Future[None] | None = None

            def begin(k: int) -> Future[Arrived]:
                nonlocal told
                if told is not None:
                    told.cancel()  # of a batch that is read by now, if the kernel took so long
                if k + 1 < len(parts):
                    told = teller.submit(
                        _expect, *parts[k + 1]
                    )  # what fails there fails again where it is read
                return reader.submit(self._read, *parts[k], k % 2)

            ahead = begin(0)
            for k in range(len(parts)):
                arrived = ahead.result()
                if k + 1 < len(parts):  # into the memory of the batch before this one, which is done
                    ahead = begin(k + 1)
                yield arrived()

    def _read(self, view: View, rows: np.ndarray, slot: int) -> Arrived:
        if isinstance(view, FeatureView) and view.source.frames and self.device.type != "cpu":
            return self._send(view, rows)
        batch = view.batch(rows, self.memories[slot]) if isinstance(view, FeatureView) else view.batch(rows)
        found = moved(batch[0], self.device), moved(batch[1], self.device)
        return lambda: found

    def _send(self, view: FeatureView, rows: np.ndarray) -> Arrived:
        """Send the real frames of a batch as they are stored: a quarter of what it is once padded and in float32."""
        source = view.source
        frames = source.stored(view.rows[rows].tolist())
        values = torch.cat([frames, frames.new_zeros(len(frames), 1, source.dim)], 1)
        there, wait = self._copied(values)

        def arrived() -> tuple[Inputs, Inputs]:
            wait()
            if id(view) not in self._scalings:
                self._scalings[id(view)] = scaling_on(view, self.device), view
            held = of_batch(view, rows, there, self._scalings[id(view)][0])
            return held.batch(np.arange(len(rows)))

        return arrived

    def _copied(self, values: Tensor) -> tuple[Tensor, Callable[[], None]]:
        """A copy on the device, and what waits for it there without stopping this process."""
        if self.device.type != "cuda":
            return values.to(self.device), lambda: None
        self._stream = self._stream or torch.cuda.Stream(self.device)
        with torch.cuda.stream(self._stream):
            there = values.pin_memory().to(self.device, non_blocking=True)
            done = self._stream.record_event()

        def wait() -> None:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_event(done)
            there.record_stream(computing)  # its memory is not given away before that

        return there, wait


def _expect(view: View, rows: np.ndarray) -> None:
    """Have the disk begin to read a batch that is streamed."""
    if isinstance(view, FeatureView):
        view.expect(rows)

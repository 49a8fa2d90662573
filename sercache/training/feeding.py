"""Batches on their way into a head: gathered from tables on the device, or read ahead from the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from sercache.training.contract import Inputs, View, moved
from sercache.training.residing import features_of
from sercache.training.tables import Resident, gathered
from sercache.views import BatchMemory, FeatureView


@dataclass(eq=False)
class Feeder:
    """Reads batches of views into memory that is used again and again."""

    device: torch.device
    memories: tuple[BatchMemory, BatchMemory] = field(default_factory=lambda: (BatchMemory(), BatchMemory()))

    def feed(self, view: View, parts: Sequence[np.ndarray]) -> Iterator[tuple[Inputs, Inputs]]:
        """Features and mask of each part, on the device; each is gone when the next is asked for."""
        if isinstance(view, Resident):
            return gathered([[(view, rows)] for rows in parts], self.device)
        return self.feed_each([(view, rows) for rows in parts])

    def feed_each(self, parts: Sequence[tuple[View, np.ndarray]]) -> Iterator[tuple[Inputs, Inputs]]:
        """As ``feed``, with a view for each part.

        The next batch is read while this one is worked on where that is waiting for a disk or a copy.
        """
        pairs = [(features_of(view), rows) for view, rows in parts]
        first = pairs[0][0] if pairs else None
        waits = isinstance(first, FeatureView) and (not first.plan.in_memory or self.device.type == "cuda")
        if not waits:
            for view, rows in pairs:
                yield self._read(view, rows, 0)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead: Future[tuple[Inputs, Inputs]] | None = None
            for k in range(len(pairs)):
                here = ahead or reader.submit(self._read, *pairs[k], k % 2)
                batch = here.result()
                ahead = None
                if k + 1 < len(pairs):  # into the memory of the batch before this one, which is done
                    ahead = reader.submit(self._read, *pairs[k + 1], (k + 1) % 2)
                yield batch

    def _read(self, view: View, rows: np.ndarray, slot: int) -> tuple[Inputs, Inputs]:
        if isinstance(view, FeatureView):
            x, mask = view.batch(rows, self.memories[slot])
            return moved(x, self.device), moved(mask, self.device)
        found = view.batch(rows)
        return moved(found[0], self.device), moved(found[1], self.device)

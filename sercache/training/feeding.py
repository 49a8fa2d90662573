"""Batches on their way into a head: from one shared copy of the cache, or read ahead from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from sercache.training.contract import Adds, Inputs, View, moved, parts_of, second_of, targets_of
from sercache.views import BatchMemory, FeatureView, SideBySideView

_CHUNK = 512
"""Items that are normalised at a time while a table is filled."""


@dataclass(eq=False)
class PooledTable:
    """Pooled features (R, L, 1, D) of all rows of a source on a device, normalised in one way."""

    values: Tensor
    filled: np.ndarray
    """(R,) bool: rows that are there."""
    source: object
    """Held so that its id stays its own."""


Tables = WeakValueDictionary[tuple[int, str, str], PooledTable]
"""The tables of views that are in use, so that folds and seeds share them."""


@dataclass(frozen=True)
class Resident:
    """A pooled view whose features, already normalised, lie on the device: rows of a table per input."""

    view: View
    tables: tuple[PooledTable, ...]
    rows: tuple[Tensor, ...]
    """Of each input: (U,) rows of its table, on the device."""

    @property
    def n_layers(self) -> int | tuple[int, ...]:
        """L, or one for each input."""
        return self.view.n_layers

    @property
    def dim(self) -> int | tuple[int, ...]:
        """D, or one for each input."""
        return self.view.dim

    @cached_property
    def labels(self) -> np.ndarray:
        """(U,) int64."""
        return self.view.labels

    @cached_property
    def n_frames(self) -> np.ndarray:
        """(U,) int64, all 1."""
        return self.view.n_frames

    @cached_property
    def targets(self) -> np.ndarray | None:
        """(U, C) float32, or None."""
        return targets_of(self.view)

    @cached_property
    def second(self) -> np.ndarray | None:
        """(U,) int64, or None."""
        return second_of(self.view)

    def __len__(self) -> int:
        return len(self.rows[0])

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Inputs]:
        """Features (B, L, 1, D) and mask (B, 1), or tuples of them."""
        chosen = torch.from_numpy(indices).to(self.rows[0].device)
        # index_select copies whole rows; indexing by brackets took three times as long.
        pairs = zip(self.tables, self.rows, strict=True)
        x = tuple(table.values.index_select(0, rows[chosen]) for table, rows in pairs)
        mask = torch.ones(len(indices), 1, dtype=torch.bool, device=chosen.device)
        return (x[0], mask) if len(x) == 1 else (x, (mask,) * len(x))


def features_of(view: View) -> View:
    """The view that features are read from, below one that only adds to the truth of its items."""
    return features_of(view.features_from) if isinstance(view, Adds) else view


def resident(view: View, device: torch.device, tables: Tables | None = None) -> View:
    """``view`` with its features on ``device``, where it is pooled; else itself.

    Views of one source that are normalised alike share one table of ``tables``.
    """
    if isinstance(view, Resident) or int(view.n_frames.max()) > 1:
        return view
    tables = Tables() if tables is None else tables
    read = features_of(view)
    inputs = read.inputs if isinstance(read, SideBySideView) else (read,)
    found = [_table(each, device, tables) for each in inputs]
    if len(inputs) == 1 and isinstance(view.n_layers, tuple):  # several inputs, of a view of the user's own
        found = _own_tables(view, device)
    return Resident(view, tuple(table for table, _ in found), tuple(rows for _, rows in found))


def _table(view: View, device: torch.device, tables: Tables) -> tuple[PooledTable, Tensor]:
    if not isinstance(view, FeatureView):
        return _own_tables(view, device)[0]
    key = id(view.source), digest(view), str(device)
    table = tables.get(key)
    if table is None:
        table = tables[key] = _empty_table(view, device)
    rows = np.unique(view.rows, return_index=True)
    missing = rows[1][~table.filled[rows[0]]]
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        table.values[torch.from_numpy(view.rows[chunk]).to(device)] = view.batch(chunk)[0].to(device)
    table.filled[rows[0]] = True
    return table, torch.from_numpy(view.rows).to(device)


def _empty_table(view: FeatureView, device: torch.device) -> PooledTable:
    mean = torch.from_numpy(view.source.mean)[:, :, None]
    if view.shift is None:
        return PooledTable(mean.to(device), np.ones(len(mean), bool), view.source)
    return PooledTable(torch.empty_like(mean, device=device), np.zeros(len(mean), bool), view.source)


def _own_tables(view: View, device: torch.device) -> list[tuple[PooledTable, Tensor]]:
    """One table per input that holds the items of ``view`` and no others."""
    x, mask = view.batch(np.arange(len(view)))
    found = []
    for part, real in zip(parts_of(x), parts_of(mask), strict=True):
        # An item without frames: its mean is zero.
        whole = part if real.all() else torch.where(real[:, None, :, None], part, 0.0)
        table = PooledTable(whole.to(device), np.ones(len(view), bool), view)
        found.append((table, torch.arange(len(view), device=device)))
    return found


def digest(view: FeatureView) -> str:
    """What tells one normalisation from another."""
    if view.shift is None or view.scale is None:
        return ""
    return hashlib.blake2b(view.shift.tobytes() + view.scale.tobytes(), digest_size=16).hexdigest()


@dataclass(eq=False)
class Feeder:
    """Reads batches of views into memory that is used again and again."""

    device: torch.device
    memories: tuple[BatchMemory, BatchMemory] = field(default_factory=lambda: (BatchMemory(), BatchMemory()))

    def feed(self, view: View, parts: Sequence[np.ndarray]) -> Iterator[tuple[Inputs, Inputs]]:
        """Features and mask of each part, on the device; each is gone when the next is asked for."""
        return self.feed_each([(view, rows) for rows in parts])

    def feed_each(self, parts: Sequence[tuple[View, np.ndarray]]) -> Iterator[tuple[Inputs, Inputs]]:
        """As ``feed``, with a view for each part.

        The next batch is read while this one is worked on where that is waiting for a disk or a copy.
        """
        pairs = [(features_of(view), rows) for view, rows in parts]
        first = pairs[0][0] if pairs else None
        waits = isinstance(first, FeatureView) and (
            not first.plan.in_memory or (self.device.type == "cuda" and not isinstance(first, Resident))
        )
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

"""Features that lie on a device: a table for each source, and batches that are gathered there by index.

On a CPU tables hold means alone, normalised once, as arithmetic is dear there. Elsewhere they hold what is stored, in
its own type, frames as well where they fit, and each batch is normalised as it is gathered: folds with statistics of
their own share one table, and members of a stack are gathered at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from sercache.nn import wide
from sercache.training.contract import Inputs, View, second_of, targets_of


@dataclass(eq=False)
class Table:
    """Features of R rows on a device: means (R, L, 1, D), or frames (L (F + 1), D), zeros after those of each layer."""

    values: Tensor
    lengths: np.ndarray
    """(R,) frames of each row; 1 for means."""
    n_layers: int
    """L."""
    spans: Tensor | None
    """(R, 2) int64: first frame and frames of each row; None for means."""
    filled: np.ndarray
    """(R,) bool: rows that are there."""
    source: object
    """Held so that its id stays its own."""
    scalings: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Shift and scale (G, L, D) on the device of normalisations that views have, by what tells them apart."""

    def take(self, rows: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
        """Values (N, L, T, D) of ``rows`` (N,), zeros where padded to ``n_frames``, and their mask (N, T)."""
        if self.spans is None:
            # index_select copies whole rows; indexing by brackets took three times as long.
            mask = torch.ones(len(rows), 1, dtype=torch.bool, device=rows.device)
            return self.values.index_select(0, rows), mask
        n_held = len(self.values) // self.n_layers
        spans = self.spans.index_select(0, rows)
        times = torch.arange(n_frames, device=rows.device)
        mask = times < spans[:, 1:]
        places = torch.where(mask, spans[:, :1] + times, n_held - 1)
        layers = torch.arange(0, len(self.values), n_held, device=rows.device)
        places = places[:, None] + layers[:, None]  # (N, L, T)
        return self.values.index_select(0, places.flatten()).view(*places.shape, -1), mask


Tables = WeakValueDictionary[tuple[int, str, str], Table]
"""The tables of views that are in use, so that folds and seeds share them."""


@dataclass(frozen=True, eq=False)
class Rows:
    """One input of a view: rows of a table, and how they are normalised where the table is not."""

    table: Table
    rows: np.ndarray
    """(U,) of the table."""
    scaling: tuple[Tensor, Tensor] | None = None
    """Shift and scale (G, L, D), on the device."""
    groups: np.ndarray | None = None
    """(U,) of G."""


@dataclass(frozen=True)
class Resident:
    """A view whose features lie on the device."""

    view: View
    inputs: tuple[Rows, ...]
    device: torch.device

    @property
    def tables(self) -> tuple[Table, ...]:
        """Of each input."""
        return tuple(each.table for each in self.inputs)

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
        """(U,) int64; all 1 for means."""
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
        return len(self.inputs[0].rows)

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Inputs]:
        """Features (B, L, T, D) and mask (B, T), or tuples of them."""
        return next(gathered([[(self, indices)]], self.device))


Batches = Sequence[Sequence[tuple[Resident, np.ndarray]]]
"""Of each batch: views, and items of them."""


def gathered(batches: Batches, device: torch.device, spare: int = 0) -> Iterator[tuple[Inputs, Inputs]]:
    """Features (N, L, T, D) and mask (N, T) of each batch, its views' items one after another.

    Which items those are is told to the device at once, for all batches. Views share the tables of their inputs; a
    batch is padded to its longest item and ``spare`` frames.
    """
    if not batches:
        return
    inputs = [_Input(batches, number, device) for number in range(len(batches[0][0][0].inputs))]
    for number in range(len(batches)):
        found = [each.batch(number, spare) for each in inputs]
        if len(found) == 1:
            yield found[0]
        else:
            yield tuple(x for x, _ in found), tuple(mask for _, mask in found)


class _Input:
    """An input of all batches: where their items lie in its table."""

    def __init__(self, batches: Batches, number: int, device: torch.device) -> None:
        views = {id(view): view.inputs[number] for batch in batches for view, _ in batch}
        self._table = next(iter(views.values())).table
        scalings = {id(each.scaling): each.scaling for each in views.values() if each.scaling is not None}
        firsts = dict(zip(scalings, starts_of([len(shift) for shift, _ in scalings.values()]), strict=False))
        rows, groups = [], []
        for batch in batches:
            for view, items in batch:
                each = view.inputs[number]
                rows.append(each.rows[items])
                if each.groups is not None:
                    groups.append(each.groups[items] + firsts[id(each.scaling)])
        self._sizes = [sum(len(items) for _, items in batch) for batch in batches]
        self._lengths = np.split(self._table.lengths[np.concatenate(rows)], np.cumsum(self._sizes)[:-1])
        self._rows = torch.from_numpy(np.concatenate(rows)).to(device).split(self._sizes)
        self._scaling: list[Tensor] = []
        if scalings:
            self._scaling = [torch.cat(parts) for parts in zip(*scalings.values(), strict=True)]
            self._groups = torch.from_numpy(np.concatenate(groups)).to(device).split(self._sizes)

    def batch(self, number: int, spare: int) -> tuple[Tensor, Tensor]:
        """Features and mask of a batch, normalised."""
        table, means = self._table, self._table.spans is None
        x, mask = table.take(self._rows[number], 1 if means else int(self._lengths[number].max()) + spare)
        if not self._scaling:
            return wide(x), mask
        shift, scale = (part.index_select(0, self._groups[number])[:, :, None] for part in self._scaling)
        x = (x - shift).mul_(scale)
        return x if means else x.masked_fill_(~mask[:, None, :, None], 0.0), mask


def starts_of(sizes: Sequence[int]) -> list[int]:
    """Where each of several parts in a row begins, and where the last ends."""
    return [0, *np.cumsum(sizes).tolist()]


def shares_tables(views: Sequence[View]) -> bool:
    """Whether items of these views are rows of the same tables, so that they can be gathered at once."""
    held = [view for view in views if isinstance(view, Resident)]
    return len(held) == len(views) and all(
        one is other for view in held for one, other in zip(view.tables, held[0].tables, strict=True)
    )

"""Features that lie on a device: a table for each source, and batches that are gathered there by index.

On a CPU tables hold means alone, normalised once, as arithmetic is dear there. Elsewhere they hold what is stored, in
its own type, frames as well where they fit, and each batch is normalised as it is gathered: folds with statistics of
their own share one table, and members of a stack are gathered at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from sercache.nn import wide
from sercache.training.contract import Inputs, View, targets_of, variants_of


@dataclass(eq=False)
class ResidentTable:
    """Features of R rows on a device: means (R, L, 1, D), or frames (L (F + 1), D), zeros after those of each layer."""

    values: Tensor
    lengths: np.ndarray
    """(R,) frames of each row; 1 for means."""
    n_layers: int
    """L."""
    spans: Tensor | None
    """(R, 3) int64: first frame, frames and of these real ones of each row; None for means."""
    filled: np.ndarray
    """(R,) bool: rows that are there."""
    source: object
    """Held so that its id stays its own."""
    scalings: dict[str, tuple[Tensor, Tensor] | None] = field(default_factory=dict)
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
        mask = times < spans[:, 2:]
        places = torch.where(times < spans[:, 1:2], spans[:, :1] + times, n_held - 1)
        layers = torch.arange(0, len(self.values), n_held, device=rows.device)
        places = places[:, None] + layers[:, None]  # (N, L, T)
        return self.values.index_select(0, places.flatten()).view(*places.shape, -1), mask


Tables = WeakValueDictionary[tuple[int, str, str], ResidentTable]
"""The tables of views that are in use, so that folds and seeds share them."""


@dataclass(frozen=True, eq=False)
class ResidentInput:
    """One input of a view: rows of a table, and how they are normalised where the table is not."""

    table: ResidentTable
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
    inputs: tuple[ResidentInput, ...]
    device: torch.device

    @property
    def tables(self) -> tuple[ResidentTable, ...]:
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

    @property
    def n_variants(self) -> int:
        """Versions of each item."""
        return variants_of(self.view)

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

    def __len__(self) -> int:
        return len(self.inputs[0].rows)

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Inputs]:
        """Features (B, L, T, D) and mask (B, T), or tuples of them."""
        return next(gathered([[(self, indices)]], self.device))


Batches = Sequence[Sequence[tuple[Resident, np.ndarray]]]
"""Of each batch: views, and items of them."""


def gathered(batches: Batches, device: torch.device, spare: int = 0) -> Iterator[tuple[Inputs, Inputs]]:
    """Features (N, L, T, D) and mask (N, T) of each batch (see ``Gathering``), padded by ``spare`` more frames."""
    gathering = Gathering(batches, device)
    for number in range(len(batches)):
        yield gathering.batch(number, spare)


class Gathering:
    """Batches of an epoch, each the items of its views one after another, gathered from the tables that they share.

    Which items those are is told to the device at once, for all batches.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        n_inputs = len(batches[0][0][0].inputs) if batches else 0
        self._inputs = [_Input(batches, number, device) for number in range(n_inputs)]

    def places(self, number: int) -> tuple[Tensor, ...]:
        """Where the items of a batch lie in the tables of all inputs, on the device."""
        return tuple(place for each in self._inputs for place in each.places[number])

    def batch(self, number: int, spare: int = 0) -> tuple[Inputs, Inputs]:
        """Features (N, L, T, D) and mask (N, T), or tuples of them, padded to the longest item and ``spare`` frames."""
        return self._at(self.places(number), [each.n_frames(number, spare) for each in self._inputs])

    def means(self, places: Sequence[Tensor]) -> tuple[Inputs, Inputs]:
        """Features (N, L, 1, D) and mask (N, 1), or tuples of them, of the items at ``places``."""
        return self._at(places, [1] * len(self._inputs))

    def _at(self, places: Sequence[Tensor], n_frames: Sequence[int]) -> tuple[Inputs, Inputs]:
        left = iter(places)
        found = [
            each.at(tuple(islice(left, each.n_told)), longest)
            for each, longest in zip(self._inputs, n_frames, strict=True)
        ]
        if len(found) == 1:
            return found[0]
        return tuple(x for x, _ in found), tuple(mask for _, mask in found)


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
        sizes = [sum(len(items) for _, items in batch) for batch in batches]
        self._lengths = np.split(self._table.lengths[np.concatenate(rows)], np.cumsum(sizes)[:-1])
        self._scaling = [torch.cat(parts) for parts in zip(*scalings.values(), strict=True)]
        told = [torch.from_numpy(np.concatenate(each)).to(device) for each in (rows, groups) if each]
        self.n_told = len(told)
        self.places = list(zip(*(each.split(sizes) for each in told), strict=True))
        """Of each batch: rows (N,), and groups (N,) of normalisation where there are any."""

    def n_frames(self, number: int, spare: int) -> int:
        """What a batch is padded to."""
        return 1 if self._table.spans is None else int(self._lengths[number].max()) + spare

    def at(self, places: tuple[Tensor, ...], n_frames: int) -> tuple[Tensor, Tensor]:
        """Features and mask of the items at ``places``, normalised."""
        x, mask = self._table.take(places[0], n_frames)
        if not self._scaling:
            return wide(x), mask
        shift, scale = (part.index_select(0, places[1])[:, :, None] for part in self._scaling)
        x = (x - shift).mul_(scale)
        if self._table.spans is None:
            return x, mask
        return x.masked_fill_(~mask[:, None, :, None], 0.0), mask


def starts_of(sizes: Sequence[int]) -> list[int]:
    """Where each of several parts in a row begins, and where the last ends."""
    return [0, *np.cumsum(sizes).tolist()]


def shares_tables(views: Sequence[View]) -> bool:
    """Whether items of these views are rows of the same tables, so that they can be gathered at once."""
    held = [view for view in views if isinstance(view, Resident)]
    return len(held) == len(views) and all(
        one.table is other.table and (one.scaling is None) == (other.scaling is None)
        for view in held
        for one, other in zip(view.inputs, held[0].inputs, strict=True)
    )

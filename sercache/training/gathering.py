"""Batches of several members side by side: one that all share, or one of each, padded to the longest."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.training.contract import Inputs
from sercache.training.state import TrainingState
from sercache.training.tables import Gathering, shares_tables


@dataclass(frozen=True)
class BatchGroup:
    """Members whose batches are computed together: of one size, in one update."""

    ks: list[int]
    """Places of the members in their stack."""
    parts: list[np.ndarray]
    """Training items of each."""
    shares: list[float]
    """Of the items of each member's update: what its batch weighs."""

    def items(self, trainings: Sequence[TrainingState]) -> list[tuple[TrainingState, np.ndarray]]:
        """The trainings that take part, and their items."""
        return [(trainings[k], rows) for k, rows in zip(self.ks, self.parts, strict=True)]

    def longest(self, trainings: Sequence[TrainingState]) -> list[int]:
        """Frames of the longest item of each."""
        return [int(training.train.n_frames[rows].max()) for training, rows in self.items(trainings)]


@dataclass(frozen=True)
class Batch:
    """What the members of a batch group read."""

    x: Inputs
    """(B, L, T, D) for all, or (K, B, L, T, D)."""
    mask: Inputs
    """(B, T) for all, or (K, B, T)."""
    x_dim: int | None
    """0 where each has its own, as ``vmap`` has it."""
    mask_dim: int | None


def batch_groups(groups: dict[int, list[np.ndarray]]) -> list[BatchGroup]:
    """The batch groups of an update, from the batches of each member that takes part."""
    found = []
    for place in range(max(len(group) for group in groups.values())):
        by_size: dict[int, list[int]] = {}
        for k, group in groups.items():
            if place < len(group):
                by_size.setdefault(len(group[place]), []).append(k)
        for size, ks in by_size.items():
            shares = [size / sum(len(rows) for rows in groups[k]) for k in ks]
            found.append(BatchGroup(ks, [groups[k][place] for k in ks], shares))
    return found


def batches(
    trainings: Sequence[TrainingState], shared: bool, schedule: Sequence[BatchGroup], spare: int = 0
) -> Generator[Batch, None, None]:
    """The batch of each group; it is gone when the next is asked for.

    Members' batches of sequences are padded to the longest and ``spare`` frames.
    """
    first = trainings[0]
    if shared:
        for x, mask in first.feeder.feed(first.train, [group.parts[0] for group in schedule]):
            yield Batch(x, mask, None, None)
        return
    if shares_tables([training.train for training in trainings]):
        gathering = gathering_of(trainings, False, schedule)
        for number, group in enumerate(schedule):
            yield own_batches(gathering.batch(number, spare), len(group.ks), pooled=not sequences(trainings))
        return
    for x, mask in _one_by_one(trainings, schedule, spare):
        pooled = not sequences(trainings)
        yield Batch(x, _first(mask) if pooled else mask, 0, None if pooled else 0)


def gathering_of(
    trainings: Sequence[TrainingState], shared: bool, schedule: Sequence[BatchGroup]
) -> Gathering:
    """The batches of members whose items are rows of the same tables, those of one where all share them."""
    some = slice(1 if shared else None)
    items = [[(t.train, rows) for t, rows in group.items(trainings)[some]] for group in schedule]
    return Gathering(items, trainings[0].place)  # type: ignore[arg-type]


def own_batches(batch: tuple[Inputs, Inputs], n_members: int, *, pooled: bool) -> Batch:
    """Batches (K, B, L, T, D) of members of (K B, L, T, D); the mask of means is that of all."""
    x, mask = (_of_members(each, n_members) for each in batch)
    return Batch(x, _first(mask) if pooled else mask, 0, None if pooled else 0)


def _of_members(x: Inputs, n_members: int) -> Inputs:
    """(K, B, ...) of (K B, ...)."""
    if isinstance(x, tuple):
        return tuple(part.unflatten(0, (n_members, -1)) for part in x)
    return x.unflatten(0, (n_members, -1))


def _one_by_one(
    trainings: Sequence[TrainingState], schedule: Sequence[BatchGroup], spare: int
) -> Iterator[tuple[Inputs, Inputs]]:
    """Batches (K, B, L, T, D) and masks (K, B, T) of members whose batches are read one after another."""
    items = [pair for group in schedule for pair in group.items(trainings)]
    read = trainings[0].feeder.feed_each([(training.train, rows) for training, rows in items])
    for group in schedule:
        yield _side_by_side(read, len(group.ks), max(group.longest(trainings)), spare)


def sequences(trainings: Sequence[TrainingState]) -> bool:
    """Whether members read frames, whose number differs from batch to batch."""
    return any(int(training.train.n_frames.max()) > 1 for training in trainings)


def _side_by_side(
    read: Iterator[tuple[Inputs, Inputs]], n_members: int, longest: int, spare: int
) -> tuple[Inputs, Inputs]:
    """The next batches (K, B, L, T, D), zero where padded, and their masks (K, B, T)."""
    x, mask = next(read)
    if isinstance(x, tuple):
        others = [next(read) for _ in range(n_members - 1)]
        xs, masks = zip((x, mask), *others, strict=True)
        return _padded(xs, -2, spare), _padded(masks, -1, spare)
    assert isinstance(mask, Tensor)
    whole = x.new_empty(n_members, *x.shape[:2], longest + spare, x.shape[3])
    masks_of_all = mask.new_zeros(n_members, len(mask), longest + spare)
    for k in range(n_members):
        if k:
            x, mask = next(read)  # into the memory of the batch before it
        assert isinstance(x, Tensor)
        assert isinstance(mask, Tensor)
        n_frames = x.shape[2]
        whole[k, :, :, :n_frames] = x
        whole[k, :, :, n_frames:] = 0
        masks_of_all[k, :, :n_frames] = mask
    return whole, masks_of_all


def _padded(parts: Sequence[tuple[Tensor, ...]], dim: int, spare: int) -> tuple[Tensor, ...]:
    """Of each of several inputs, all members' tensors stacked, filled up with zeros along their frames."""
    found = []
    for each in zip(*parts, strict=True):
        longest = max(part.shape[dim] for part in each) + spare
        behind = (0,) * (2 * (-dim - 1))
        found.append(torch.stack([F.pad(part, (*behind, 0, longest - part.shape[dim])) for part in each]))
    return tuple(found)


def _first(mask: Inputs) -> Inputs:
    return tuple(part[0] for part in mask) if isinstance(mask, tuple) else mask[0]

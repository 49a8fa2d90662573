"""Members trained as one model: their parameters lie in one tensor each, and a step computes all of them.

Each member keeps its own batches, learning rate, dropout, early stopping and best epoch; those that stop leave.
Members that share their batches are stacked with each other, and the batch is read once for all of them; batches
of their own are padded to the longest of an update.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import torch
from torch import Tensor

from sercache import memory
from sercache.recipe import Recipe
from sercache.training.contract import Fit, Member, parts_of
from sercache.training.gathering import (
    batch_groups,
    batches,
    sequences,
)
from sercache.training.grouping import share_batches, stacks
from sercache.training.loop import mean_loss
from sercache.training.plan import Epoch
from sercache.training.recording import is_steady, recorder_of
from sercache.training.stack import Plan, Stack
from sercache.training.stack_epoch import epoch_of, of_member, outputs_of_members
from sercache.training.state import TrainingState, begin, finish, record
from sercache.training.streams import own_randomness, stream
from sercache.training.tables import Tables, shares_tables

_SPARE = 3
"""Frames of padding that tell whether there may be any."""


def refusal(members: Sequence[Member], recipe: Recipe, device: str, tables: Tables) -> str:
    """Why these members do not stack, seen on copies that make one update; empty where they do.

    Raises torch.OutOfMemoryError where so many do not fit: the longest batches are the update.
    """
    copies = [replace(member, head=copy.deepcopy(member.head)) for member in members]
    stack = _begin(copies, recipe, device, tables)
    plans = stack.plan()
    _longest_first(stack.trainings, plans)
    try:
        if not stack.shared and sequences(stack.trainings) and not _are_alone(stack, plans):
            return "padded to the longest, its members are not what they are alone"
        with closing(epoch_of(stack, plans)) as updates:
            next(updates)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as fault:
        if memory.ran_out(fault):  # what a CPU says
            raise torch.OutOfMemoryError(str(fault)) from fault
        if "vmap" in str(fault) or "randomness" in str(fault):
            return "this head has operations that torch cannot stack"
        raise
    return ""


def _longest_first(trainings: Sequence[TrainingState], plans: Sequence[Plan]) -> None:
    """Move the update with most frames to the front: what does not fit is to be seen at once."""

    def longest(number: int) -> int:
        rows = [
            (training, group)
            for training, (_, groups) in zip(trainings, plans, strict=True)
            for group in groups[number]
        ]
        return max(int(training.train.n_frames[part].max()) for training, part in rows)

    most = max(range(min(len(groups) for _, groups in plans)), key=longest)
    for _, groups in plans:
        groups[0], groups[most] = groups[most], groups[0]


def _are_alone(stack: Stack, plans: Sequence[Plan]) -> bool:
    """Whether members that are padded beyond their longest batch give, and draw, what they do alone.

    A head that draws dropout for padding as well draws other numbers when there is more of it.
    """
    group = batch_groups({k: groups[0] for k, (_, groups) in enumerate(plans)})[0]
    ks = torch.tensor(group.ks).to(stack.trainings[0].place)
    for training in stack.trainings:
        training.head.train()
    with torch.no_grad(), closing(batches(stack.trainings, False, [group], _SPARE)) as read:
        outputs = outputs_of_members(stack, group, stack.values_of(ks), next(read))
    for place, (k, rows) in enumerate(zip(group.ks, group.parts, strict=True)):
        training = stack.trainings[k]
        with own_randomness(training.place) as reseed, torch.no_grad():
            reseed(stream(training.seed, len(training.history) + 1, "dropout"))
            x, mask = next(training.feeder.feed(training.train, [rows]))
            alone = training.head(x, mask)
            drawn = (
                torch.cuda.get_rng_state(training.place)
                if training.place.type == "cuda"
                else torch.get_rng_state()
            )
        pairs = zip(parts_of(of_member(outputs, place)), parts_of(alone), strict=True)
        same = all(torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4) for ours, theirs in pairs)
        if not same or not torch.equal(drawn, stack.streams[k].get_state()):
            return False
    stack.reseed()
    return True


def train(
    members: Sequence[Member],
    recipe: Recipe,
    device: str,
    progress: Callable[[int, Epoch], None] | None,
    tables: Tables,
) -> Iterator[tuple[int, Fit]]:
    """Train all members together, epoch by epoch; they come as they stop."""
    stack = _begin(members, recipe, device, tables, record=True)
    numbers = {id(training): number for number, training in enumerate(stack.trainings)}
    while stack.trainings:
        began, plans = time.perf_counter(), stack.plan()
        done: list[list[tuple[Tensor, int]]] = [[] for _ in plans]
        for update in epoch_of(stack, plans):
            for k, found in update.items():
                done[k] += found
        for k, training in enumerate(stack.trainings):
            loss = mean_loss(done[k], len(training.history) + 1)
            epoch = record(training, loss, len(plans[k][1]), plans[k][0], began)
            if progress:
                progress(numbers[id(training)], epoch)
        over = [training for training in stack.trainings if training.over]
        stack.trainings = [training for training in stack.trainings if not training.over]
        for training in over:
            for parameter in training.head.parameters():
                parameter.data = parameter.data.clone()  # a slice would hold the memory of all
            yield numbers[id(training)], finish(training)


def _begin(
    members: Sequence[Member], recipe: Recipe, device: str, tables: Tables, *, record: bool = False
) -> Stack:
    trainings = [begin(member, recipe, device, tables) for member in members]
    shared = len(stacks(members, len(members))) == 1 and share_batches(members)
    tables_alike = shares_tables([training.train for training in trainings])
    steady = record and (shared or tables_alike) and all(map(is_steady, trainings))
    return Stack(trainings, shared, recorded=steady and recorder_of(trainings[0].place) is not None)

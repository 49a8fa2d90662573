"""Members trained as one model: their parameters lie in one tensor each, and a step computes all of them.

Each member keeps its own batches, learning rate, dropout, early stopping and best epoch; those that stop leave.
Members that share their batches are stacked with each other, and the batch is read once for all of them; batches
of their own are padded to the longest of an update.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from sercache import memory
from sercache.nn import own_streams, wide
from sercache.recipe import Recipe
from sercache.training.contract import Fit, Member, parts_of, total_layers
from sercache.training.gathering import Batch, BatchGroup, batch_groups, batches, sequences
from sercache.training.grouping import share_batches, stacks
from sercache.training.loop import mean_loss, precision_of
from sercache.training.losses import losses_of_members
from sercache.training.plan import Epoch
from sercache.training.stack import Plan, Stack
from sercache.training.state import TrainingState, begin, finish, record, truths
from sercache.training.streams import own_randomness, stream
from sercache.training.tables import Tables
from sercache.training.threads import fitting_threads, products

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
        with closing(_epoch(stack, plans)) as updates:
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
        outputs = _outputs(stack, group, stack.values_of(ks), next(read))
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
        pairs = zip(parts_of(_member(outputs, place)), parts_of(alone), strict=True)
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
    stack = _begin(members, recipe, device, tables)
    numbers = {id(training): number for number, training in enumerate(stack.trainings)}
    while stack.trainings:
        began, plans = time.perf_counter(), stack.plan()
        done: list[list[tuple[Tensor, int]]] = [[] for _ in plans]
        for update in _epoch(stack, plans):
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


def _begin(members: Sequence[Member], recipe: Recipe, device: str, tables: Tables) -> Stack:
    trainings = [begin(member, recipe, device, tables) for member in members]
    return Stack(trainings, shared=len(stacks(members, len(members))) == 1 and share_batches(members))


def _epoch(stack: Stack, plans: Sequence[Plan]) -> Generator[dict[int, list[tuple[Tensor, int]]], None, None]:
    """The updates of an epoch: of every member that takes part, loss and size of each of its batches."""
    first = stack.trainings[0]
    work = products(
        first.head, first.recipe.batch_size, total_layers(first.train), float(first.train.n_frames.mean())
    )
    for training in stack.trainings:
        training.head.train()
    updates = [
        batch_groups({k: plan[number] for k, (_, plan) in enumerate(plans) if number < len(plan)})
        for number in range(max(len(groups) for _, groups in plans))
    ]
    schedule = [group for update in updates for group in update]
    read, known = batches(stack.trainings, stack.shared, schedule), _known(stack, schedule)
    with fitting_threads(first.place, work * len(stack.trainings)), closing(read):
        for update in updates:
            gradients: dict[str, Tensor] = {}
            found: dict[int, list[tuple[Tensor, int]]] = {}
            for group in update:
                losses = _step(stack, group, gradients, next(known), next(read))
                for k, loss, rows in zip(group.ks, losses.unbind(), group.parts, strict=True):
                    found.setdefault(k, []).append((loss, len(rows)))
            _clip(gradients, first.recipe)
            stack.step(gradients, list(found))
            yield found


@dataclass(frozen=True)
class _Known:
    """What a batch group is told, on the device."""

    ks: Tensor
    """(K,) places of its members in their stack."""
    shares: Tensor
    """(K,) of the items of each member's update."""
    truth: tuple[Tensor, ...]
    """(K, B, ...), or (B, ...) where they share it."""


def _known(stack: Stack, schedule: Sequence[BatchGroup]) -> Iterator[_Known]:
    """What each batch group is told; brought to the device at once for all of them."""
    place, sizes = stack.trainings[0].place, [len(group.ks) for group in schedule]
    ks = torch.tensor([k for group in schedule for k in group.ks]).to(place).split(sizes)
    dtype = wide(next(iter(stack.values.values()))).dtype
    shares = torch.tensor([s for group in schedule for s in group.shares], dtype=dtype).to(place).split(sizes)
    items = [group.items(stack.trainings)[: 1 if stack.shared else None] for group in schedule]
    for number, truth in enumerate(truths(items)):
        if not stack.shared:
            truth = tuple(part.unflatten(0, (sizes[number], -1)) for part in truth)
        yield _Known(ks[number], shares[number], truth)


def _clip(gradients: dict[str, Tensor], recipe: Recipe) -> None:
    """Clip the gradients of each member as torch does; rows of members that take no part are zeros."""
    if recipe.clip_value is not None:
        for gradient in gradients.values():
            gradient.clamp_(-recipe.clip_value, recipe.clip_value)
    if recipe.clip_norm is not None:
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients.values()])
        factors = (recipe.clip_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp_max(1.0)
        if factors.device.type == "cpu" and bool((factors == 1).all()):
            return  # most steps: nothing to shorten, and a whole pass over the gradients saved
        for gradient in gradients.values():
            gradient.mul_(factors.view(-1, *(1,) * (gradient.dim() - 1)))


def _step(
    stack: Stack, group: BatchGroup, gradients: dict[str, Tensor], known: _Known, batch: Batch
) -> Tensor:
    """Losses (K,) of the batches of a group; adds their share to the ``gradients`` of all members."""
    ks = group.ks
    trainings = [stack.trainings[k] for k in ks]
    everybody = len(ks) == len(stack.trainings)
    values = stack.values if everybody else stack.values_of(known.ks)
    with precision_of(trainings[0].recipe, trainings[0].place):
        outputs = _outputs(stack, group, values, batch)
    losses = _losses(trainings, outputs, known.truth, shared=stack.shared)
    found = torch.autograd.grad(
        losses, [values[name] for name in stack.trained], known.shares, allow_unused=True
    )
    for name, gradient in zip(stack.trained, found, strict=True):
        if gradient is None:  # what a batch does not reach: a second target that none of its items has
            continue
        if everybody and name not in gradients:
            gradients[name] = gradient.contiguous()  # fused optimisers read memory as if it were
            continue
        whole = gradients.setdefault(name, torch.zeros_like(stack.values[name]))
        whole.index_add_(0, known.ks, gradient)
    return losses.detach()


def _outputs(stack: Stack, group: BatchGroup, values: dict[str, Tensor], batch: Batch) -> Any:
    """Outputs (K, B, C), or tuples of them, of some members with parameters ``values`` (K, ...)."""
    head = stack.trainings[group.ks[0]].head

    def outputs_of(weights: dict[str, Tensor], x: Any, mask: Any) -> Any:
        return functional_call(head, weights, (x, mask))

    own, one_input = batch.mask_dim is not None, isinstance(batch.x, Tensor)
    longest = group.longest(stack.trainings) if own and one_input else None
    with own_streams([stack.streams[k] for k in group.ks], own_batches=own, longest=longest):
        many = vmap(outputs_of, (0, batch.x_dim, batch.mask_dim), randomness="error")
        return many(values, batch.x, batch.mask)


def _losses(
    trainings: list[TrainingState], outputs: Any, truth: tuple[Tensor, ...], *, shared: bool
) -> Tensor:
    """Losses (K,) of outputs (K, B, C) and ``truth`` (K, B, ...), or (B, ...) where it is shared."""
    first = trainings[0]
    if first.recipe.second_weight:  # of what its items have of a second target, which differs
        each = [truth if shared else _member(truth, k) for k in range(len(trainings))]
        return torch.stack([t.loss_of(_member(outputs, k), each[k]) for k, t in enumerate(trainings)])
    weights = [training.class_weights for training in trainings if training.class_weights is not None]
    return losses_of_members(
        first.recipe,
        outputs[0] if isinstance(outputs, tuple) else outputs,
        truth[0],
        torch.stack(weights) if weights else None,
        shared=shared,
    )


def _member(outputs: Any, k: int) -> Any:
    return tuple(each[k] for each in outputs) if isinstance(outputs, tuple) else outputs[k]

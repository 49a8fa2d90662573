"""An epoch of members that are computed as one model: their updates, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from sercache.nn import own_streams, wide
from sercache.recipe import Recipe
from sercache.training.contract import Inputs, total_layers
from sercache.training.gathering import Batch, BatchGroup, batch_groups, batches, gathering_of, own_batches
from sercache.training.loop import precision_of
from sercache.training.losses import losses_of_members
from sercache.training.recording import StaticUpdate, recorder_of
from sercache.training.stack import Plan, Stack
from sercache.training.state import TrainingState, truths
from sercache.training.tables import Gathering
from sercache.training.threads import fitting_threads, products


def epoch_of(
    stack: Stack, plans: Sequence[Plan]
) -> Generator[dict[int, list[tuple[Tensor, int]]], None, None]:
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
    with fitting_threads(first.place, work * len(stack.trainings)):
        if stack.recorded:
            yield from _recorded(stack, updates)
            return
        schedule = [group for update in updates for group in update]
        with closing(batches(stack.trainings, stack.shared, schedule)) as read:
            told = zip(_known(stack, schedule), read, strict=True)
            for update in updates:
                yield _update(stack, update, told)


def _recorded(
    stack: Stack, updates: Sequence[Sequence[BatchGroup]]
) -> Iterator[dict[int, list[tuple[Tensor, int]]]]:
    """The updates of an epoch of members with means in the same tables, those of all members recorded."""
    schedule = [group for update in updates for group in update]
    gathering = gathering_of(stack.trainings, stack.shared, schedule)
    most = max(len(group.parts[0]) for group in schedule)
    numbers, known = iter(range(len(schedule))), _known(stack, schedule)
    for update in updates:
        whole = len(update) == 1 and len(update[0].ks) == len(stack.trainings)
        if not whole or len(update[0].parts[0]) < most:
            told = [
                (next(known), _gathered(stack, gathering.batch(next(numbers)), group)) for group in update
            ]
            yield _update(stack, update, iter(told))
            continue
        own = next(known)
        if stack.static is None:
            stack.static = _static(stack, gathering, update[0], own)
        losses = stack.static((*gathering.places(next(numbers)), *own.truth))
        yield {k: [(loss, most)] for k, loss in enumerate(losses.unbind())}


def _static(stack: Stack, gathering: Gathering, group: BatchGroup, known: _Known) -> StaticUpdate:
    """The update of all members that have a batch of the size of ``group``; of tables that ``gathering`` reads."""

    def compute(given: Sequence[Tensor]) -> Tensor:
        n_truths = len(known.truth)
        batch = _gathered(stack, gathering.means(given[:-n_truths]), group)
        own = replace(known, truth=tuple(given[-n_truths:]))
        found = _update(stack, [group], iter([(own, batch)]))
        return torch.stack([loss for parts in found.values() for loss, _ in parts])

    return StaticUpdate(compute, recorder_of(stack.trainings[0].place, stack.streams))


def _gathered(stack: Stack, batch: tuple[Inputs, Inputs], group: BatchGroup) -> Batch:
    return Batch(*batch, None, None) if stack.shared else own_batches(batch, len(group.ks), pooled=True)


def _update(
    stack: Stack, update: Sequence[BatchGroup], told: Iterator[tuple[_Known, Batch]]
) -> dict[int, list[tuple[Tensor, int]]]:
    """One update of every member that takes part: loss and size of each of its batches."""
    gradients: dict[str, Tensor] = {}
    found: dict[int, list[tuple[Tensor, int]]] = {}
    for group in update:
        losses = _step(stack, group, gradients, *next(told))
        for k, loss, rows in zip(group.ks, losses.unbind(), group.parts, strict=True):
            found.setdefault(k, []).append((loss, len(rows)))
    _clip(gradients, stack.trainings[0].recipe)
    stack.step(gradients, list(found))
    return found


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
        outputs = outputs_of_members(stack, group, values, batch)
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


def outputs_of_members(stack: Stack, group: BatchGroup, values: dict[str, Tensor], batch: Batch) -> Any:
    """Outputs (K, B, C), or tuples of them, of some members with parameters ``values`` (K, ...)."""
    head = stack.trainings[group.ks[0]].head

    def of_one(weights: dict[str, Tensor], x: Any, mask: Any) -> Any:
        return functional_call(head, weights, (x, mask))

    own, one_input = batch.mask_dim is not None, isinstance(batch.x, Tensor)
    longest = group.longest(stack.trainings) if own and one_input else None
    with own_streams([stack.streams[k] for k in group.ks], own_batches=own, longest=longest):
        many = vmap(of_one, (0, batch.x_dim, batch.mask_dim), randomness="error")
        return many(values, batch.x, batch.mask)


def _losses(
    trainings: list[TrainingState], outputs: Any, truth: tuple[Tensor, ...], *, shared: bool
) -> Tensor:
    """Losses (K,) of outputs (K, B, C) and ``truth`` (K, B, ...), or (B, ...) where it is shared."""
    first = trainings[0]
    if first.recipe.second_weight:  # of what its items have of a second target, which differs
        each = [truth if shared else of_member(truth, k) for k in range(len(trainings))]
        return torch.stack([t.loss_of(of_member(outputs, k), each[k]) for k, t in enumerate(trainings)])
    weights = [training.class_weights for training in trainings if training.class_weights is not None]
    return losses_of_members(
        first.recipe,
        outputs[0] if isinstance(outputs, tuple) else outputs,
        truth[0],
        torch.stack(weights) if weights else None,
        shared=shared,
    )


def of_member(outputs: Any, k: int) -> Any:
    """Of outputs, or a tuple of them, those of one member."""
    return tuple(each[k] for each in outputs) if isinstance(outputs, tuple) else outputs[k]

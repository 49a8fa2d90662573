"""Members trained as one model: their parameters lie in one tensor each, and a step computes all of them.

Each member keeps its own batches, learning rate, dropout, early stopping and best epoch; those that stop leave.
Members that share their batches are stacked with each other, and the batch is read once for all of them; others
are stacked on pooled features only, whose batches have one length.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional as F

from sercache.nn import own_streams
from sercache.recipe import Recipe
from sercache.training.contract import Fit, total_layers
from sercache.training.feeding import Tables
from sercache.training.grouping import share_batches, stacks
from sercache.training.loop import Course, begin, finish, mean_loss, record, truth_of
from sercache.training.members import TRIAL_SECONDS, Member
from sercache.training.plan import Epoch
from sercache.training.stack import Plan, Stack
from sercache.training.threads import fitting_threads, products


def pace(
    members: Sequence[Member], recipe: Recipe, device: str, tables: Tables, limit: float = TRIAL_SECONDS
) -> float | str:
    """Seconds of a batch of one of these members, in copies of them; where they do not stack, why."""
    copies = [Member(copy.deepcopy(m.head), m.train, m.dev, m.seed, m.order_seed) for m in members]
    stack = _begin(copies, recipe, device, tables)
    times, sizes = [time.perf_counter()], []
    try:
        for update in _epoch(stack, stack.plan()):
            _wait(stack)
            times.append(time.perf_counter())
            sizes.append(sum(len(found) for found in update.values()))
            if len(times) > 2 and times[-1] - times[1] > limit:
                break
    except torch.OutOfMemoryError:
        return f"{len(members)} do not fit in the memory of {device}"
    except RuntimeError as fault:
        if "vmap" in str(fault) or "randomness" in str(fault):
            return "this head has operations that torch cannot stack"
        raise
    skip = 1 if len(sizes) > 1 else 0  # the first also pays for what is done once
    return (times[-1] - times[skip]) / sum(sizes[skip:])


def train(
    members: Sequence[Member],
    recipe: Recipe,
    device: str,
    progress: Callable[[int, Epoch], None] | None,
    tables: Tables,
) -> Iterator[tuple[int, Fit]]:
    """Train all members together, epoch by epoch; they come as they stop."""
    stack = _begin(members, recipe, device, tables)
    numbers = {id(course): number for number, course in enumerate(stack.courses)}
    while stack.courses:
        began, plans = time.perf_counter(), stack.plan()
        done: list[list[tuple[Tensor, int]]] = [[] for _ in plans]
        for update in _epoch(stack, plans):
            for k, found in update.items():
                done[k] += found
        for k, course in enumerate(stack.courses):
            values = torch.stack([loss for loss, _ in done[k]]).cpu().double().numpy()
            loss = mean_loss(values, [size for _, size in done[k]], len(course.history) + 1)
            epoch = record(course, loss, len(plans[k][1]), plans[k][0], began)
            if progress:
                progress(numbers[id(course)], epoch)
        over = [course for course in stack.courses if course.over]
        stack.courses = [course for course in stack.courses if not course.over]
        for course in over:
            for parameter in course.head.parameters():
                parameter.data = parameter.data.clone()  # a slice would hold the memory of all
            yield numbers[id(course)], finish(course)


def _begin(members: Sequence[Member], recipe: Recipe, device: str, tables: Tables) -> Stack:
    courses = [
        begin(m.head, m.train, m.dev, recipe, m.seed, device, order_seed=m.order_seed, tables=tables)
        for m in members
    ]
    return Stack(courses, shared=len(stacks(members, len(members))) == 1 and share_batches(members))


def _epoch(stack: Stack, plans: list[Plan]) -> Iterator[dict[int, list[tuple[Tensor, int]]]]:
    """The updates of an epoch: of every member that takes part, loss and size of each of its batches."""
    first = stack.courses[0]
    work = products(
        first.head, first.recipe.batch_size, total_layers(first.train), float(first.train.n_frames.mean())
    )
    for course in stack.courses:
        course.head.train()
    read = None
    if stack.shared:
        read = first.feeder.feed(first.train, [rows for group in plans[0][1] for rows in group])
    with fitting_threads(first.place, work * len(stack.courses)):
        for number in range(max(len(groups) for _, groups in plans)):
            groups = {k: plan[number] for k, (_, plan) in enumerate(plans) if number < len(plan)}
            gradients, found = _update(stack, groups, read)
            _clip(gradients, first.recipe)
            stack.step(gradients, list(groups))
            yield found


def _update(
    stack: Stack, groups: dict[int, list[np.ndarray]], read: Iterator[tuple[Any, Any]] | None
) -> tuple[dict[str, Tensor], dict[int, list[tuple[Tensor, int]]]]:
    """Gradients (K, ...) of an update of the members in ``groups``; losses and sizes of their batches."""
    found: dict[int, list[tuple[Tensor, int]]] = {k: [] for k in groups}
    gradients: dict[str, Tensor] = {}
    for place in range(max(len(group) for group in groups.values())):
        by_size: dict[int, list[int]] = {}
        for k, group in groups.items():
            if place < len(group):
                by_size.setdefault(len(group[place]), []).append(k)
        for size, ks in by_size.items():
            shares = [size / sum(len(rows) for rows in groups[k]) for k in ks]
            parts = [groups[k][place] for k in ks]
            losses = _step(stack, ks, parts, shares, gradients, next(read) if read else None)
            for k, loss in zip(ks, losses.unbind(), strict=True):
                found[k].append((loss, size))
    return gradients, found


def _clip(gradients: dict[str, Tensor], recipe: Recipe) -> None:
    """Clip the gradients of each member as torch does; rows of members that take no part are zeros."""
    if recipe.clip_value is not None:
        for gradient in gradients.values():
            gradient.clamp_(-recipe.clip_value, recipe.clip_value)
    if recipe.clip_norm is not None:
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients.values()])
        factors = (recipe.clip_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp_max(1.0)
        for gradient in gradients.values():
            gradient.mul_(factors.view(-1, *(1,) * (gradient.dim() - 1)))


def _step(
    stack: Stack,
    ks: list[int],
    parts: list[np.ndarray],
    shares: list[float],
    gradients: dict[str, Tensor],
    batch: tuple[Any, Any] | None,
) -> Tensor:
    """Losses (K,) of a batch of each of some members; adds its share to their ``gradients``.

    ``batch`` is the one that all share, where they do.
    """
    courses = [stack.courses[k] for k in ks]
    everybody = len(ks) == len(stack.courses)
    head, recipe, place = courses[0].head, courses[0].recipe, courses[0].place
    values = stack.values if everybody else stack.values_of(ks)
    if batch is None:
        batches = [course.train.batch(rows) for course, rows in zip(courses, parts, strict=True)]
        x, mask = _stacked([b[0] for b in batches]), batches[0][1]
    else:
        x, mask = batch

    def outputs_of(weights: dict[str, Tensor], features: Any) -> Any:
        return functional_call(head, weights, (features, mask))

    with (
        own_streams([stack.streams[k] for k in ks]),
        torch.autocast(place.type, torch.bfloat16, enabled=recipe.mixed_precision and place.type == "cuda"),
    ):
        outputs = vmap(outputs_of, (0, 0 if batch is None else None), randomness="error")(values, x)
    losses = _losses(courses, outputs, parts, shared=batch is not None)
    found = torch.autograd.grad(
        losses, [values[name] for name in stack.trained], torch.tensor(shares).to(losses), allow_unused=True
    )
    for name, gradient in zip(stack.trained, found, strict=True):
        if gradient is None:  # what a batch does not reach: a second target that none of its items has
            continue
        if everybody and name not in gradients:
            gradients[name] = gradient.contiguous()  # fused optimisers read memory as if it were
            continue
        whole = gradients.setdefault(name, torch.zeros_like(stack.values[name]))
        whole.index_add_(0, torch.tensor(ks, device=whole.device), gradient)
    return losses.detach()


def _losses(courses: list[Course], outputs: Any, parts: list[np.ndarray], *, shared: bool) -> Tensor:
    """Losses (K,) of outputs (K, B, C)."""
    recipe = courses[0].recipe
    if shared:  # one truth, and one loss: class weights are those of the fold
        truths = [truth_of(courses[0], parts[0])] * len(courses)
    else:
        truths = [truth_of(course, rows) for course, rows in zip(courses, parts, strict=True)]
    together = recipe.loss == "cross-entropy" and recipe.balance != "class-weights"
    if together and not isinstance(outputs, tuple):
        return _cross_entropies(outputs, truths, recipe.label_smoothing)
    return torch.stack(
        [
            course.loss_of(_member(outputs, k), truth)
            for k, (course, truth) in enumerate(zip(courses, truths, strict=True))
        ]
    )


def _cross_entropies(outputs: Tensor, truths: list[tuple[Tensor, ...]], smoothing: float) -> Tensor:
    """Cross-entropies (K,) of logits (K, B, C); one call, since each of K costs a launch."""
    logits = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
    classes = torch.stack([truth[0] for truth in truths])
    each = F.cross_entropy(
        logits.flatten(0, 1), classes.flatten(), reduction="none", label_smoothing=smoothing
    )
    return each.view(classes.shape).mean(1)


def _stacked(parts: Sequence[Any]) -> Any:
    """Inputs of several members side by side."""
    if isinstance(parts[0], tuple):
        return tuple(torch.stack([part[k] for part in parts]) for k in range(len(parts[0])))
    return torch.stack(list(parts))


def _member(outputs: Any, k: int) -> Any:
    return tuple(each[k] for each in outputs) if isinstance(outputs, tuple) else outputs[k]


def _wait(stack: Stack) -> None:
    if stack.courses[0].place.type == "cuda":
        torch.cuda.synchronize(stack.courses[0].place)

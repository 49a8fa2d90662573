"""Members trained as one model: their parameters lie in one tensor each, and a step computes all of them.

Each member keeps its own batches, learning rate, dropout, early stopping and best epoch; those that stop leave.
Members that share their batches are stacked with each other, and the batch is read once for all of them; others
are stacked on pooled features only, whose batches have one length.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from sercache.nn import own_streams
from sercache.recipe import Recipe
from sercache.training.contract import Fit, total_layers
from sercache.training.feeding import Tables
from sercache.training.grouping import share_batches, stacks
from sercache.training.loop import (
    Course,
    begin,
    epoch_plan,
    finish,
    mean_loss,
    optimiser_of,
    record,
    truth_of,
)
from sercache.training.members import TRIAL_SECONDS, Member
from sercache.training.plan import Epoch
from sercache.training.streams import stream
from sercache.training.threads import fitting_threads, products


@dataclass(eq=False)
class Stack:
    """Courses that are computed as one model."""

    courses: list[Course]
    shared: bool
    """Whether all see the same batches."""
    values: dict[str, Tensor] = field(default_factory=dict)
    """By name: parameters (K, ...) of all courses; those of each head are slices of them."""
    gradients: dict[str, Tensor] = field(default_factory=dict)
    """By name: gradients (K, ...) of the update that is being computed."""
    streams: list[torch.Generator] = field(default_factory=list)
    """What each member draws its dropout from."""

    def __post_init__(self) -> None:
        self.pack()

    def pack(self) -> None:
        """Lay the parameters of the courses side by side; an optimiser goes on with them as they were."""
        own = [dict(course.head.named_parameters()) for course in self.courses]
        self.values = {name: torch.stack([each[name].detach() for each in own]) for name in own[0]}
        for k, each in enumerate(own):
            for name, parameter in each.items():
                parameter.data = self.values[name][k]

    def reseed(self) -> None:
        """Begin the streams of an epoch, as ``advance`` does for a course alone."""
        self.streams = [torch.Generator(course.place) for course in self.courses]
        for generator, course in zip(self.streams, self.courses, strict=True):
            generator.manual_seed(stream(course.seed, len(course.history) + 1, "dropout"))


def pace(
    members: Sequence[Member], recipe: Recipe, device: str, tables: Tables, limit: float = TRIAL_SECONDS
) -> float | None:
    """Seconds of a batch of one of these members, in copies of them; None for heads that do not stack."""
    copies = [Member(copy.deepcopy(m.head), m.train, m.dev, m.seed, m.order_seed) for m in members]
    stack, optimiser = _begin(copies, recipe, device, tables)
    times, sizes = [time.perf_counter()], []
    try:
        for update in _epoch(stack, [epoch_plan(course)[1] for course in stack.courses], optimiser):
            _wait(stack)
            times.append(time.perf_counter())
            sizes.append(sum(len(found) for found in update.values()))
            if len(times) > 2 and times[-1] - times[1] > limit:
                break
    except RuntimeError as fault:
        if "vmap" in str(fault) or "randomness" in str(fault):
            return None
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
    stack, optimiser = _begin(members, recipe, device, tables)
    numbers = {id(course): number for number, course in enumerate(stack.courses)}
    while stack.courses:
        began, plans = time.perf_counter(), [epoch_plan(course) for course in stack.courses]
        _set_rates(optimiser, stack.courses, [lr for lr, _ in plans])
        done: dict[int, list[tuple[Tensor, int]]] = {k: [] for k in range(len(plans))}
        for update in _epoch(stack, [groups for _, groups in plans], optimiser):
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
        if over and stack.courses:
            stack.pack()
        for course in over:
            for parameter in course.head.parameters():
                parameter.data = parameter.data.clone()  # a slice would hold the memory of all
            yield numbers[id(course)], finish(course)


def _begin(
    members: Sequence[Member], recipe: Recipe, device: str, tables: Tables
) -> tuple[Stack, torch.optim.Optimizer]:
    courses = [
        begin(m.head, m.train, m.dev, recipe, m.seed, device, order_seed=m.order_seed, tables=tables)
        for m in members
    ]
    stack = Stack(courses, shared=len(stacks(members, len(members))) == 1 and share_batches(members))
    optimiser = optimiser_of([p for course in courses for p in course.parameters], recipe)
    if recipe.schedule == "halve-on-plateau":  # elsewhere all members have one rate in an epoch
        settings = {name: value for name, value in optimiser.param_groups[0].items() if name != "params"}
        optimiser.param_groups.clear()
        for course in courses:
            optimiser.add_param_group({**settings, "params": course.parameters})
    return stack, optimiser


def _set_rates(optimiser: torch.optim.Optimizer, courses: Sequence[Course], rates: Sequence[float]) -> None:
    of = {id(course.parameters[0]): lr for course, lr in zip(courses, rates, strict=True)}
    for group in optimiser.param_groups:
        group["lr"] = of.get(id(group["params"][0]), rates[0])


def _epoch(
    stack: Stack, plans: list[list[list[np.ndarray]]], optimiser: torch.optim.Optimizer
) -> Iterator[dict[int, list[tuple[Tensor, int]]]]:
    """The updates of an epoch: of every member that takes part, loss and size of each of its batches."""
    first = stack.courses[0]
    work = products(
        first.head, first.recipe.batch_size, total_layers(first.train), float(first.train.n_frames.mean())
    )
    stack.reseed()
    for course in stack.courses:
        course.head.train()
    read = None
    if stack.shared:
        read = first.feeder.feed(first.train, [rows for group in plans[0] for rows in group])
    with fitting_threads(first.place, work * len(stack.courses)):
        for number in range(max(len(plan) for plan in plans)):
            groups = {k: plan[number] for k, plan in enumerate(plans) if number < len(plan)}
            found = _update(stack, groups, read)
            optimiser.step()
            for k in groups:
                for parameter in stack.courses[k].parameters:
                    parameter.grad = None
            yield found


def _update(
    stack: Stack, groups: dict[int, list[np.ndarray]], read: Iterator[tuple[Any, Any]] | None
) -> dict[int, list[tuple[Tensor, int]]]:
    """Gradients of an update of the members in ``groups``, clipped; losses and sizes of their batches."""
    found: dict[int, list[tuple[Tensor, int]]] = {k: [] for k in groups}
    stack.gradients = {}
    for place in range(max(len(group) for group in groups.values())):
        by_size: dict[int, list[int]] = {}
        for k, group in groups.items():
            if place < len(group):
                by_size.setdefault(len(group[place]), []).append(k)
        for size, ks in by_size.items():
            shares = [size / sum(len(rows) for rows in groups[k]) for k in ks]
            losses = _step(stack, ks, [groups[k][place] for k in ks], shares, next(read) if read else None)
            for k, loss in zip(ks, losses, strict=True):
                found[k].append((loss, size))
    _clip(stack)
    for name, gradient in stack.gradients.items():
        each = gradient.unbind()
        for k in groups:
            stack.courses[k].head.get_parameter(name).grad = each[k]
    return found


def _clip(stack: Stack) -> None:
    """Clip the gradients of each member as torch does; rows of members that take no part are zeros."""
    recipe, gradients = stack.courses[0].recipe, list(stack.gradients.values())
    if recipe.clip_value is not None:
        for gradient in gradients:
            gradient.clamp_(-recipe.clip_value, recipe.clip_value)
    if recipe.clip_norm is not None:
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
        factors = (recipe.clip_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp_max(1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *(1,) * (gradient.dim() - 1)))


def _step(
    stack: Stack,
    ks: list[int],
    parts: list[np.ndarray],
    shares: list[float],
    batch: tuple[Any, Any] | None,
) -> Tensor:
    """Losses (K,) of a batch of each of some members; adds its share to their gradients.

    ``batch`` is the one that all share, where they do.
    """
    courses = [stack.courses[k] for k in ks]
    everybody = len(ks) == len(stack.courses)
    head, recipe, place = courses[0].head, courses[0].recipe, courses[0].place
    trained = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
    values = {
        name: (whole if everybody else whole[ks]).detach().requires_grad_(name in trained)
        for name, whole in stack.values.items()
    }
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
    total = (losses * torch.tensor(shares).to(place)).sum()
    names = sorted(trained)
    found = torch.autograd.grad(total, [values[name] for name in names])
    for name, gradient in zip(names, found, strict=True):
        if everybody and name not in stack.gradients:
            stack.gradients[name] = gradient.contiguous()  # fused optimisers read memory as if it were
            continue
        whole = stack.gradients.setdefault(name, torch.zeros_like(stack.values[name]))
        whole.index_add_(0, torch.tensor(ks, device=whole.device), gradient)
    return losses.detach()


def _losses(courses: list[Course], outputs: Any, parts: list[np.ndarray], *, shared: bool) -> Tensor:
    """Losses (K,) of outputs (K, B, C)."""
    if shared:  # one truth, and one loss: class weights are those of the fold
        truth = truth_of(courses[0], parts[0])
        if courses[0].recipe.loss != "cross-entropy" or isinstance(outputs, tuple):
            return torch.stack([courses[0].loss_of(_member(outputs, k), truth) for k in range(len(courses))])
        return vmap(lambda each: courses[0].loss_of(each, truth))(outputs)
    return torch.stack(
        [
            course.loss_of(_member(outputs, k), truth_of(course, rows))
            for k, (course, rows) in enumerate(zip(courses, parts, strict=True))
        ]
    )


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

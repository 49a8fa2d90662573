"""Members trained as one model: their parameters lie in one tensor each, and a step computes all of them.

Each member keeps its own batches, learning rate, early stopping and best epoch; those that stop leave. For
pooled features and heads without randomness of their own: a mask of dropout that is drawn for all members at
once is not the one that each would draw alone.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from sercache.recipe import Recipe
from sercache.training.contract import Fit
from sercache.training.feeding import Resident, Tables
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


@dataclass(eq=False)
class Stack:
    """Courses that are computed as one model."""

    courses: list[Course]
    values: dict[str, Tensor] = field(default_factory=dict)
    """By name: parameters (K, ...) of all courses; those of each head are slices of them."""

    def __post_init__(self) -> None:
        self.pack()

    def pack(self) -> None:
        """Lay the parameters of the courses side by side; an optimiser goes on with them as they were."""
        own = [dict(course.head.named_parameters()) for course in self.courses]
        self.values = {name: torch.stack([each[name].detach() for each in own]) for name in own[0]}
        for k, each in enumerate(own):
            for name, parameter in each.items():
                parameter.data = self.values[name][k]


def can_stack(members: Sequence[Member]) -> bool:
    """Whether these members may be computed as one model: one geometry, one set of options, pooled."""
    first = members[0].head
    if any(
        not getattr(module, "STACKS", True) or isinstance(module, nn.RNNBase) for module in first.modules()
    ):
        return False
    if any(True for _ in first.buffers()) or any(_is_random(module) for module in first.modules()):
        return False
    views = [
        view for member in members for view in (member.train, member.dev) if view is not None and len(view)
    ]
    if any(int(view.n_frames.max()) > 1 for view in views):
        return False
    return len({_shape(member.head) for member in members}) == 1


def pace(members: Sequence[Member], recipe: Recipe, device: str, tables: Tables) -> float | None:
    """Seconds of a batch of one of these members, in copies of them; None for heads that do not stack."""
    copies = [Member(copy.deepcopy(m.head), m.train, m.dev, m.seed, m.order_seed) for m in members]
    stack, optimiser = _begin(copies, recipe, device, tables)
    times, sizes = [time.perf_counter()], []
    try:
        for update in _updates(stack, [epoch_plan(course)[1] for course in stack.courses], optimiser):
            _wait(stack)
            times.append(time.perf_counter())
            sizes.append(sum(len(found) for found in update.values()))
            if len(times) > 2 and times[-1] - times[1] > TRIAL_SECONDS:
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
        for update in _updates(stack, [groups for _, groups in plans], optimiser):
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
    stack = Stack(courses)
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


def _updates(
    stack: Stack, plans: Sequence[list[list[np.ndarray]]], optimiser: torch.optim.Optimizer
) -> Iterator[dict[int, list[tuple[Tensor, int]]]]:
    """The updates of an epoch: of every member that takes part, loss and size of each of its batches."""
    recipe = stack.courses[0].recipe
    for course in stack.courses:
        course.head.train()
    for number in range(max(len(plan) for plan in plans)):
        groups = {k: plan[number] for k, plan in enumerate(plans) if number < len(plan)}
        found: dict[int, list[tuple[Tensor, int]]] = {k: [] for k in groups}
        for place in range(recipe.accumulate):
            by_size: dict[int, list[int]] = {}
            for k, group in groups.items():
                if place < len(group):
                    by_size.setdefault(len(group[place]), []).append(k)
            for size, ks in by_size.items():
                shares = [size / sum(len(rows) for rows in groups[k]) for k in ks]
                losses = _step(stack, ks, [groups[k][place] for k in ks], shares)
                for k, loss in zip(ks, losses, strict=True):
                    found[k].append((loss, size))
        for k in groups:
            if recipe.clip_value is not None:
                nn.utils.clip_grad_value_(stack.courses[k].parameters, recipe.clip_value)
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(stack.courses[k].parameters, recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        yield found


def _step(stack: Stack, ks: list[int], parts: list[np.ndarray], shares: list[float]) -> list[Tensor]:
    """Losses of a batch of each of some members; adds its share to their gradients."""
    courses = [stack.courses[k] for k in ks]
    everybody = len(ks) == len(stack.courses)
    head, recipe, place = courses[0].head, courses[0].recipe, courses[0].place
    trained = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
    values = {
        name: (whole if everybody else whole[ks]).detach().requires_grad_(name in trained)
        for name, whole in stack.values.items()
    }
    shared = (
        all(np.array_equal(parts[0], rows) for rows in parts[1:])
        and len({id(_rows(c)) for c in courses}) == 1
    )
    batches = [course.train.batch(rows) for course, rows in zip(courses[:1] if shared else courses, parts)]  # noqa: B905
    x, mask = batches[0] if shared else (_stacked([b[0] for b in batches]), batches[0][1])
    with torch.autocast(place.type, torch.bfloat16, enabled=recipe.mixed_precision and place.type == "cuda"):
        outputs = vmap(
            lambda weights, features: functional_call(head, weights, (features, mask)),
            in_dims=(0, None if shared else 0),
        )(values, x)
    losses = [
        course.loss_of(_member(outputs, k), truth_of(course, rows))
        for k, (course, rows) in enumerate(zip(courses, parts, strict=True))
    ]
    total = sum(
        (loss * share for loss, share in zip(losses, shares, strict=True)), torch.zeros((), device=place)
    )
    names = sorted(trained)
    for name, gradient in zip(names, torch.autograd.grad(total, [values[n] for n in names]), strict=True):
        gradient = gradient.contiguous()  # torch's fused optimisers read memory as if it were
        for k, course in enumerate(courses):
            parameter = course.head.get_parameter(name)
            parameter.grad = gradient[k] if parameter.grad is None else parameter.grad + gradient[k]
    return [loss.detach() for loss in losses]


def _rows(course: Course) -> Tensor:
    assert isinstance(course.train, Resident)
    return course.train.rows[0]


def _stacked(parts: Sequence[Any]) -> Any:
    """Inputs of several members side by side."""
    if isinstance(parts[0], tuple):
        return tuple(torch.stack([part[k] for part in parts]) for k in range(len(parts[0])))
    return torch.stack(list(parts))


def _member(outputs: Any, k: int) -> Any:
    return tuple(each[k] for each in outputs) if isinstance(outputs, tuple) else outputs[k]


def _is_random(module: nn.Module) -> bool:
    """Whether a part draws random numbers in training."""
    return isinstance(module, nn.modules.dropout._DropoutNd) or getattr(module, "dropout_rate", 0) > 0


def _shape(head: nn.Module) -> str:
    """What two heads must share to be one model with two sets of parameters."""
    shapes = [(name, tuple(p.shape), p.requires_grad) for name, p in head.named_parameters()]
    plain = [
        (name, key, value)
        for name, module in head.named_modules()
        for key, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str | tuple) and key != "training"
    ]
    return repr((type(head), shapes, plain))


def _wait(stack: Stack) -> None:
    if stack.courses[0].place.type == "cuda":
        torch.cuda.synchronize(stack.courses[0].place)

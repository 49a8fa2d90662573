"""Members: trainings that have nothing to do with each other, to be done together; and a look at their pace."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sercache.recipe import Recipe
from sercache.training.contract import Fit, View, total_layers
from sercache.training.feeding import Tables, digest, features_of, resident
from sercache.training.loop import begin, epoch_plan, optimiser_of, run, updates
from sercache.training.memory import peak_meter
from sercache.training.plan import Epoch
from sercache.training.streams import own_randomness
from sercache.training.threads import fitting_threads, products
from sercache.views import FeatureView, JoinedView, SideBySideView

TRIAL_SECONDS = 0.3
"""How long the pace of one member is looked at, at most."""
TRIAL_SHARE = 0.02
"""Of the time that all members take one after another: how much of it their pace is looked at, at most."""

_LEAST = 4
"""Batches that tell a pace."""


@dataclass(frozen=True, eq=False)
class Member:
    """One training: a fold with a seed, or a variant of the recipe's options in the head."""

    head: nn.Module
    train: View
    dev: View | None
    seed: int
    order_seed: int | None = None
    """Decides the order of batches in place of ``seed``, for members that share their batches."""


@dataclass(frozen=True)
class Pace:
    """How fast one member went."""

    step: float
    """Seconds of a batch."""
    n_steps: int
    """Batches of an epoch."""
    n_bytes: int = 0
    """Memory that it took at its peak beside what was held before; 0 where that is not known."""


def train_member(
    member: Member,
    recipe: Recipe,
    device: str,
    progress: Callable[[Epoch], None] | None,
    tables: Tables | None = None,
) -> Fit:
    """A member trained by itself: what every other way of training it must equal."""
    course = begin(
        member.head, member.train, member.dev, recipe, member.seed, device,
        order_seed=member.order_seed, tables=tables,
    )  # fmt: skip
    return run(course, progress)


def pace(
    member: Member,
    recipe: Recipe,
    device: str,
    tables: Tables | None = None,
    limit: float | None = None,
    n_members: int = 1,
) -> Pace:
    """The pace of a copy of a member over its first batches; the member stays as it is.

    The look takes ``limit`` seconds; without a limit no more than the share of a trial in the training of
    ``n_members`` like it.
    """
    taken = peak_meter()
    head = copy.deepcopy(member.head)
    course = begin(head, member.train, member.dev, recipe, member.seed, device, tables=tables)
    optimiser = optimiser_of(course.parameters, recipe)
    _, groups = epoch_plan(course)
    n_steps = sum(len(group) for group in groups)
    work = products(head, recipe.batch_size, total_layers(course.train), float(course.train.n_frames.mean()))
    with own_randomness(course.place) as reseed, fitting_threads(course.place, work):
        reseed(0)
        read = updates(course, groups, optimiser)
        if len(groups) > 1:
            next(read)  # the first also pays for what is done once
        started, done = time.perf_counter(), 0
        for update in read:
            done += len(update)
            elapsed = time.perf_counter() - started
            whole = elapsed / done * n_steps * recipe.max_epochs * n_members
            share = TRIAL_SHARE * whole if limit is None else limit
            if elapsed > TRIAL_SECONDS or (done >= _LEAST and elapsed > share):
                break
        read.close()
    return Pace((time.perf_counter() - started) / max(1, done), n_steps, taken())


def share(members: Sequence[Member], device: str) -> tuple[Tables, list[View]]:
    """What all members read, brought into memory once; it stays while the views that are given do.

    Folds with statistics of their own would need a table each: those are made when they are trained.
    """
    tables, held = Tables(), []
    views = {id(v): v for member in members for v in (member.train, member.dev) if v is not None and len(v)}
    inputs = [each for view in views.values() for each in _inputs(view)]
    for each in inputs:
        each.source.load()
    alike = len({(id(each.source), digest(each)) for each in inputs})
    if alike == len({id(each.source) for each in inputs}):
        held = [resident(view, torch.device(device), tables) for view in views.values()]
    return tables, held


def _inputs(view: View) -> list[FeatureView]:
    view = features_of(view)
    if isinstance(view, SideBySideView):
        return [found for each in view.inputs for found in _inputs(each)]
    if isinstance(view, JoinedView):
        return list(view.parts)
    return [view] if isinstance(view, FeatureView) else []

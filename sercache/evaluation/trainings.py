"""The trainings of an evaluation: every fold with every seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import nn

from sercache.evaluation.material import FoldViews, Material, fold_views
from sercache.evaluation.method import How, Method
from sercache.evaluation.partial import Partial
from sercache.evaluation.scores import weights_digest
from sercache.evaluation.second import WithSpeakers, with_speakers
from sercache.progress import used
from sercache.protocols import Fold
from sercache.recipe import Recipe
from sercache.record import Job, digest_of
from sercache.training import Epoch, Fit, Member, build, fits, start_centres
from sercache.views import AnyView

_HEADS_BYTES = 2 * 2**30
"""Of untrained heads at a time: fifty copies of an encoder that is trained would not fit."""


@dataclass(frozen=True)
class Progress:
    """Where an evaluation stands, after each epoch of any of its trainings."""

    fold: str
    seed: int
    run: int
    """From 1."""
    n_runs: int
    epoch: Epoch
    max_epochs: int
    left: int = 0
    """Epochs that all trainings together may still take."""


@dataclass(frozen=True, eq=False)
class TrainedMember:
    """One training that is done: a fold with a seed."""

    fold: Fold
    seed: int
    views: FoldViews
    done: Fit
    job: Job


@dataclass(frozen=True, eq=False)
class _Waiting:
    """One training that is to be done."""

    number: int
    """From 0, of all."""
    fold: Fold
    views: FoldViews
    member: Member
    job: Job


@dataclass(eq=False)
class _Counter:
    """How far each training is."""

    progress: Callable[[Progress], None] | None
    jobs: Sequence[Job]
    max_epochs: int
    epochs: dict[int, int] = field(default_factory=dict)
    """Number of the last, by training."""
    done: set[int] = field(default_factory=set)

    def of(self, waiting: Sequence[_Waiting]) -> Callable[[int, Epoch], None]:
        """What is called after an epoch of these trainings, by their place among them."""
        return lambda place, epoch: self.count(waiting[place].number, epoch)

    def count(self, number: int, epoch: Epoch) -> None:
        self.epochs[number] = epoch.number
        if self.progress is None:
            return
        running = [number for number in range(len(self.jobs)) if number not in self.done]
        left = sum(self.max_epochs - self.epochs.get(number, 0) for number in running)
        fold, seed = self.jobs[number].fold, self.jobs[number].seed
        self.progress(Progress(fold, seed, number + 1, len(self.jobs), epoch, self.max_epochs, left))


def trainings(
    method: Method,
    material: Material,
    jobs: Sequence[Job],
    how: How,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedMember]:
    """Train every fold with every seed; members come one by one, folds outside, seeds inside.

    ``jobs`` are what is to be trained, in this order; those that ``how.partial`` or ``how.runs`` hold are not trained
    again.
    """
    counter = _Counter(progress, jobs, method.recipe.max_epochs)
    partial = _partial(jobs, how)
    computed = {"device": torch.device(how.device).type, "torch": torch.__version__}
    for group in _groups(_waiting(method, material, jobs, how)):
        found = _finished_before(group, partial, how)
        counter.done |= found.keys()
        left = [each for each in group if each.number not in found]
        yield from _next_ones(group, found)
        for place, done in fits(
            [each.member for each in left],
            method.recipe,
            device=how.device,
            way=how.way,
            progress=counter.of(left),
            say=lambda text: used("training", text),
        ):
            each = left[place]
            found[each.number] = replace(done, timing={**done.timing, **computed})
            counter.done.add(each.number)
            if partial:
                partial.write(each.job, found[each.number])
            yield from _next_ones(group, found)
        left.clear()  # with the group, which is empty: its heads make room for the next ones


def _partial(jobs: Sequence[Job], how: How) -> Partial | None:
    """What keeps the trainings; says how many it holds that are not of these."""
    if how.partial is None:
        return None
    partial = Partial(how.partial, jobs[0].experiment, how.runs)
    n_others = partial.n_others(() if how.prepare else jobs)
    if n_others:
        used(
            "training",
            f"{n_others} trainings in {how.partial} are of other settings, another version or labels that have "
            "changed since: they are not taken",
        )
    return partial


def _waiting(method: Method, material: Material, jobs: Sequence[Job], how: How) -> Iterator[_Waiting]:
    """Every training, its head made when it is asked for."""
    setup, folds = method.setup, material.folds
    views = [fold_views(material, fold, setup.normalise) for fold in folds]
    parts = [_training_part(each, material, method.recipe, method.options) for each in views]
    read = {fold.name: (fold, own, part) for fold, own, part in zip(folds, views, parts, strict=True)}
    order = setup.seeds[0] if how.share_order else None
    for number, job in enumerate(jobs):
        fold, own, part = read[job.fold]
        head = build(method.kind, part, len(material.target.names), job.seed, **method.options)
        if how.prepare:
            how.prepare(head, fold, job.seed)
            job = begun_from(job, head)
        start_centres(head, part, how.device)
        yield _Waiting(number, fold, own, Member(head, part, own.dev, job.seed, order), job)


def _groups(waiting: Iterator[_Waiting]) -> Iterator[list[_Waiting]]:
    """Trainings by as many as untrained heads may lie in memory."""
    for first in waiting:
        n_bytes = sum(value.nbytes for value in first.member.head.state_dict().values())
        yield [first, *islice(waiting, max(1, _HEADS_BYTES // max(n_bytes, 1)) - 1)]


def _finished_before(group: Sequence[_Waiting], partial: Partial | None, how: How) -> dict[int, Fit]:
    """By number, those of a group that were trained before."""
    found = {}
    for each in group if partial else ():
        assert partial
        done = partial.read(each.job, each.member.head)
        if done is None:
            continue
        if not how.test and not partial.holds(
            each.job
        ):  # heads that wait for the choice by dev lie in one place
            partial.write(each.job, done)
        found[each.number] = done
    if found:
        used("training", f"{len(found)} of {len(group)} trainings were finished before")
    return found


def _next_ones(group: list[_Waiting], found: dict[int, Fit]) -> Iterator[TrainedMember]:
    """The first of a group that are done, taken out of it: they come in their order, however they finish."""
    while group and group[0].number in found:
        each = group.pop(0)
        yield TrainedMember(each.fold, each.job.seed, each.views, found.pop(each.number), each.job)


def _training_part(
    views: FoldViews, material: Material, recipe: Recipe, options: Mapping[str, Any]
) -> AnyView | WithSpeakers:
    """What a fold's heads are trained on, with its speakers where the recipe trains them too."""
    if not recipe.second_weight:
        return views.train
    return with_speakers(views.train, material.main.speakers, options)


def begun_from(job: Job, head: nn.Module) -> Job:
    """The training that begins with the weights of ``head``, where these are from a run that was done before."""
    return replace(job, items=digest_of([job.items, weights_digest(head)]))

"""The trainings of an evaluation: every fold with every seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from sercache.training import Epoch, Fit, build, fits
from sercache.training import Member as Training
from sercache.training.starting import start_centres
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


@dataclass(eq=False)
class _Counter:
    """Epochs that were heard of, by training."""

    progress: Callable[[Progress], None] | None
    places: Sequence[tuple[Fold, int]]
    max_epochs: int
    heard: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)

    def hear(self, number: int, epoch: Epoch) -> None:
        self.heard[number] = epoch.number
        if self.progress is None:
            return
        running = [number for number in range(len(self.places)) if number not in self.done]
        left = sum(self.max_epochs - self.heard.get(number, 0) for number in running)
        fold, seed = self.places[number]
        self.progress(Progress(fold.name, seed, number + 1, len(self.places), epoch, self.max_epochs, left))


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
    setup, recipe, options = method.setup, method.recipe, method.options
    views = [fold_views(material, fold, setup.normalise) for fold in material.folds]
    parts = [_training_part(each, material, recipe, options) for each in views]
    places = [(k, seed) for k in range(len(views)) for seed in setup.seeds]
    named = [(material.folds[k], seed) for k, seed in places]
    own = list(jobs)
    counter = _Counter(progress, named, recipe.max_epochs)
    partial = Partial(how.partial, own[0].experiment, how.runs) if how.partial else None
    strangers = partial.strangers(() if how.prepare else own) if partial else 0
    if strangers:
        used(
            "training",
            f"{strangers} trainings in {how.partial} are of other settings, another version or labels that have "
            "changed since: they are not taken",
        )

    def member(place: int) -> Training:
        k, seed = places[place]
        head = build(method.kind, parts[k], len(material.outputs), seed, **options)
        if how.prepare:
            how.prepare(head, material.folds[k], seed)
            own[place] = begun_from(own[place], head)
        start_centres(head, parts[k], how.device)
        order = setup.seeds[0] if how.share_order else None
        return Training(head, parts[k], views[k].dev, seed, order)

    found: dict[int, Fit] = {}
    next_one = 0
    first = 0
    while first < len(places):
        group = [member(first)]
        n_bytes = sum(value.nbytes for value in group[0].head.state_dict().values())
        last = min(len(places), first + max(1, _HEADS_BYTES // max(n_bytes, 1)))
        group += [member(place) for place in range(first + 1, last)]
        for number, done in _fits(group, own[first:last], first, recipe, how, partial, counter):
            found[number] = done
            while next_one in found:  # in their order, however they finish
                k, seed = places[next_one]
                yield TrainedMember(material.folds[k], seed, views[k], found.pop(next_one), own[next_one])
                next_one += 1
        first = last


def _training_part(
    views: FoldViews, material: Material, recipe: Recipe, options: Mapping[str, Any]
) -> AnyView | WithSpeakers:
    """What a fold's heads are trained on, with its speakers where the recipe trains them too."""
    if not recipe.second_weight:
        return views.train
    return with_speakers(views.train, material.main.speakers, options)


def _fits(
    waiting: Sequence[Training],
    jobs: Sequence[Job],
    first: int,
    recipe: Recipe,
    how: How,
    partial: Partial | None,
    counter: _Counter,
) -> Iterator[tuple[int, Fit]]:
    """Number and Fit of trainings ``first``, …: before all those that were finished before."""
    left: list[int] = []
    for number, (member, job) in enumerate(zip(waiting, jobs, strict=True)):
        earlier = partial.read(job, member.head) if partial else None
        if partial is None or earlier is None:
            left.append(number)
            continue
        if not how.test and not partial.holds(job):  # heads that wait for the choice by dev lie in one place
            partial.write(job, earlier)
        counter.done.add(first + number)
        yield first + number, earlier
    if len(left) < len(waiting):
        used("training", f"{len(waiting) - len(left)} of {len(waiting)} trainings were finished before")
    computed = {"device": torch.device(how.device).type, "torch": torch.__version__}
    for place, done in fits(
        [waiting[number] for number in left],
        recipe,
        device=how.device,
        way=how.way,
        progress=lambda place, epoch: counter.hear(first + left[place], epoch),
        say=lambda text: used("training", text),
    ):
        done = replace(done, timing={**done.timing, **computed})
        counter.done.add(first + left[place])
        if partial:
            partial.write(jobs[left[place]], done)
        yield first + left[place], done


def begun_from(job: Job, head: nn.Module) -> Job:
    """The training that begins with the weights of ``head``, where these are from a run that was done before."""
    return replace(job, items=digest_of([job.items, weights_digest(head)]))

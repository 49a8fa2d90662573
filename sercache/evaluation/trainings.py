"""The trainings of an evaluation: every fold with every seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sercache.evaluation.material import FoldViews, Material, fold_views
from sercache.evaluation.partial import Partial
from sercache.evaluation.second import WithSpeakers, with_speakers
from sercache.protocols import Fold
from sercache.recipe import Recipe, Setup
from sercache.report.record import StartRecord
from sercache.training import Epoch, Fit, build, fits
from sercache.training import Member as Training
from sercache.training.many import Way
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


@dataclass(frozen=True)
class How:
    """How the trainings are computed; all but ``share_order`` and ``prepare`` leave the numbers as they are."""

    way: Way = "auto"
    share_order: bool = False
    """Whether the seeds of a fold see the same batches; they differ in initial weights and dropout then."""
    partial: Path | None = None
    """Folder that keeps each training when it is done, so that a killed evaluation goes on from there."""
    say: Callable[[str], None] | None = None
    """Hears how they are computed, and what was done before."""
    prepare: Callable[[nn.Module, Fold, int], None] | None = None
    """Gives each untrained head its initial weights, from its fold and seed."""
    test: bool = True
    """Whether heads are tested. Without, no score but those of dev is ever computed, as a choice by dev needs it."""
    started_from: tuple[StartRecord, ...] = ()
    """Where these initial weights are from, for the record; nothing that they have seen is tested on."""


@dataclass(frozen=True, eq=False)
class Member:
    """One training that is done: a fold with a seed."""

    fold: Fold
    seed: int
    views: FoldViews
    done: Fit


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
    head_class: type[nn.Module],
    material: Material,
    setup: Setup,
    recipe: Recipe,
    options: Mapping[str, Any],
    *,
    device: str = "cpu",
    progress: Callable[[Progress], None] | None = None,
    how: How | None = None,
) -> Iterator[Member]:
    """Train every fold with every seed; members come one by one, folds outside, seeds inside.

    Those that ``how.partial`` holds are not trained again.
    """
    how = how or How()
    views = [fold_views(material, fold, setup.normalise) for fold in material.folds]
    parts = [_training_part(each, material, recipe, options) for each in views]
    places = [(k, seed) for k in range(len(views)) for seed in setup.seeds]
    named = [(material.folds[k], seed) for k, seed in places]
    counter = _Counter(progress, named, recipe.max_epochs)

    def member(place: int) -> Training:
        k, seed = places[place]
        head = build(head_class, parts[k], len(material.outputs), seed, **options)
        if how.prepare:
            how.prepare(head, material.folds[k], seed)
        start_centres(head, parts[k], device)
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
        for number, done in _fits(group, first, recipe, options, device, how, counter):
            found[number] = done
            while next_one in found:  # in their order, however they finish
                k, seed = places[next_one]
                yield Member(material.folds[k], seed, views[k], found.pop(next_one))
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
    first: int,
    recipe: Recipe,
    options: Mapping[str, Any],
    device: str,
    how: How,
    counter: _Counter,
) -> Iterator[tuple[int, Fit]]:
    """Number and Fit of trainings ``first``, …: before all those that an earlier evaluation finished."""
    partial = Partial(how.partial, recipe, device, options) if how.partial else None
    keys = [
        partial.key(fold.name, member) if partial else ""
        for (fold, _), member in zip(counter.places[first:], waiting, strict=False)
    ]
    left: list[int] = []
    for number, member in enumerate(waiting):
        earlier = partial.read(keys[number], member.head) if partial else None
        if earlier is None:
            left.append(number)
            continue
        counter.done.add(first + number)
        yield first + number, earlier
    if how.say and len(left) < len(waiting):
        how.say(f"{len(waiting) - len(left)} of {len(waiting)} trainings were finished before")
    for place, done in fits(
        [waiting[number] for number in left],
        recipe,
        device=device,
        way=how.way,
        progress=lambda place, epoch: counter.hear(first + left[place], epoch),
        say=how.say,
    ):
        counter.done.add(first + left[place])
        if partial:
            partial.write(keys[left[place]], done)
        yield first + left[place], done

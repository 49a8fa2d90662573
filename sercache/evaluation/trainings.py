"""The trainings of an evaluation: every fold with every seed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch
from torch import nn

from sercache.evaluation.counter import Counter, Progress, Waiting
from sercache.evaluation.forecast import Forecast, of_alike
from sercache.evaluation.material import FoldViews, Material, fold_views
from sercache.evaluation.method import How, Method
from sercache.evaluation.partial import Partial
from sercache.evaluation.prepare import Prepared
from sercache.evaluation.risked import at_risk
from sercache.evaluation.scores import weights_digest
from sercache.evaluation.second import speakers_of
from sercache.evaluation.solving import solve
from sercache.head import is_solved
from sercache.progress import used
from sercache.protocols import Fold
from sercache.record import Job, digest_of
from sercache.training import Choice, Fit, Member, build, choose, fits, start_centres

_HEADS_BYTES = 2 * 2**30
"""Of untrained heads at a time: fifty copies of an encoder that is trained would not fit."""


@dataclass(frozen=True, eq=False)
class TrainedMember:
    """One training that is done: a fold with a seed."""

    fold: Fold
    seed: int
    views: FoldViews
    done: Fit
    job: Job


def trainings(
    method: Method,
    material: Material,
    jobs: Sequence[Job],
    how: How,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedMember]:
    """Every fold with every seed, as they are done; members come one by one, folds outside, seeds inside.

    ``jobs`` are what is to be trained, in this order; those that ``how.partial`` or ``how.runs`` hold are not trained
    again.
    """
    counter = Counter(progress, jobs, method.recipe.max_epochs)
    kept = Partial(how.partial, jobs[0].experiment, how.runs) if how.partial else None
    if kept:
        counter.note_known(kept)
    for group in groups(waiting(method, material, list(enumerate(jobs)), how)):
        found = finished_before(group, kept, how, say=False) if kept else {}
        counter.done |= found.keys()
        left = [each for each in group if each.number not in found]
        yield from _next_ones(group, found)
        for place, done in trained(left, method, how, counter):
            found[left[place].number] = done
            counter.done.add(left[place].number)
            yield from _next_ones(group, found)
        left.clear()  # with the group, which is empty: its heads make room for the next ones


def trained(
    left: Sequence[Waiting],
    method: Method,
    how: How,
    counter: Counter,
    take: Callable[[int], bool] | None = None,
) -> Iterator[tuple[int, Fit]]:
    """Place and Fit of each of ``left`` as it finishes; ``take`` may leave some out.

    Some updates are measured of the first that is taken, after that: where the head ends this process, it is known
    with what.
    """
    if is_solved(method.kind):
        return _solved(left, take)
    choices: list[Choice] = []

    def foretell(choice: Choice) -> None:
        choices.append(choice)
        if take is None:
            _foretell(left[0], method, how, counter, choice)

    def taken(place: int) -> bool:
        is_taken = take is None or take(place)
        if is_taken:
            _foretell(left[place], method, how, counter, choices[0])
        return is_taken

    done = fits(
        [each.member for each in left],
        method.recipe,
        device=how.device,
        way=how.way,
        progress=counter.of(left),
        say=lambda text: used("training", text),
        take=None if take is None else taken,
        ahead=foretell,
    )
    return map(partial(_with_place, how.device), done)


def _foretell(first: Waiting, method: Method, how: How, counter: Counter, choice: Choice) -> None:
    """Say once what all trainings that are not done take, by one of them."""
    if counter.is_foretold:
        return
    counter.is_foretold = True
    found = of_alike(first.member, first.views, len(counter.running), method, how, choice)
    used("forecast", replace(found, n_others=counter.n_others))


def forecast(
    ready: Prepared, how: How, part: Collection[tuple[str, int]] | None = None
) -> tuple[Forecast, list[tuple[str, int]]]:
    """What the trainings of an evaluation take that are not done, and their folds and seeds; of a ``part``, if given.

    Nothing is trained but some updates. Raises RecipeError; LeftOutError where a process was lost with that before.
    """
    wanted = [k for k, job in enumerate(ready.jobs) if part is None or (job.fold, job.seed) in part]
    counter = Counter(None, ready.jobs, ready.method.recipe.max_epochs, wanted=wanted)
    if how.partial is not None:
        counter.note_known(Partial(how.partial, ready.experiment.digest, how.runs))
    todo = [(number, ready.jobs[number]) for number in counter.running]
    if not todo:
        return Forecast(), []
    recipe = ready.method.recipe
    with at_risk("measuring", ready.method, how, ready.experiment, is_ahead=True):
        first = next(waiting(ready.method, ready.material, todo[:1], how))
        solved = is_solved(ready.method.kind)
        choice = None if solved else choose([first.member] * len(todo), recipe, how.device, how.way)
        found = of_alike(first.member, first.views, len(todo), ready.method, how, choice)
    return found, [(job.fold, job.seed) for _, job in todo]


def _solved(left: Sequence[Waiting], take: Callable[[int], bool] | None) -> Iterator[tuple[int, Fit]]:
    for place, each in enumerate(left):
        if take is None or take(place):
            yield place, solve(each.member.head, each.views.train, each.job.seed)


def _with_place(device: str, found: tuple[int, Fit]) -> tuple[int, Fit]:
    """A training with a record of what it was computed on."""
    place, done = found
    computed = {"device": torch.device(device).type, "torch": torch.__version__}
    return place, replace(done, timing={**done.timing, **computed})


def kept_in(how: How, jobs: Sequence[Job]) -> Partial | None:
    """What keeps the trainings; says how many it holds that are not of these."""
    if how.partial is None:
        return None
    kept = Partial(how.partial, jobs[0].experiment, how.runs)
    n_others = kept.n_others(() if how.prepare else jobs)
    if n_others:
        used(
            "training",
            f"{n_others} trainings in {how.partial} are of other settings, another version or labels that have "
            "changed since: they are not taken",
        )
    return kept


def waiting(
    method: Method, material: Material, jobs: Sequence[tuple[int, Job]], how: How
) -> Iterator[Waiting]:
    """Trainings by number, each with its head, made when it is asked for."""
    setup, folds = method.setup, material.folds
    views = [fold_views(material, fold, setup.normalise) for fold in folds]
    trains_speakers, speakers = method.recipe.second_weight > 0, material.main.speakers
    spoken = [
        speakers_of(each.train, speakers, method.options) if trains_speakers else None for each in views
    ]
    read = {fold.name: (fold, own, who) for fold, own, who in zip(folds, views, spoken, strict=True)}
    order = setup.seeds[0] if how.share_order else None
    for number, job in jobs:
        fold, own, who = read[job.fold]
        head = build(method.kind, own.train, len(material.target.names), job.seed, **method.options)
        if how.prepare:
            how.prepare(head, fold, job.seed)
            job = begun_from(job, head)
        if who is not None:
            start_centres(head, own.train, who, how.device)
        yield Waiting(number, fold, own, Member(head, own.train, own.dev, job.seed, order, who), job)


def groups(waiting: Iterator[Waiting]) -> Iterator[list[Waiting]]:
    """Trainings by as many as untrained heads may lie in memory."""
    for first in waiting:
        n_bytes = sum(value.nbytes for value in first.member.head.state_dict().values())
        yield [first, *islice(waiting, max(1, _HEADS_BYTES // max(n_bytes, 1)) - 1)]


def finished_before(group: Sequence[Waiting], kept: Partial, how: How, *, say: bool) -> dict[int, Fit]:
    """By number, those of a group that were trained before, which is said if ``say``."""
    found = {}
    for each in group:
        done = kept.read(each.job, each.member.head)
        if done is None:
            continue
        if not how.test and not kept.holds(
            each.job
        ):  # heads that wait for the choice by dev lie in one place
            kept.write(each.job, done)
        found[each.number] = done
    if found and say:
        used("training", f"{len(found)} of {len(group)} trainings were finished before")
    return found


def _next_ones(group: list[Waiting], found: dict[int, Fit]) -> Iterator[TrainedMember]:
    """The first of a group that are done, taken out of it: they come in their order, however they finish."""
    while group and group[0].number in found:
        each = group.pop(0)
        yield TrainedMember(each.fold, each.job.seed, each.views, found.pop(each.number), each.job)


def begun_from(job: Job, head: nn.Module) -> Job:
    """The training that begins with the weights of ``head``, where these are from a run that was done before."""
    return replace(job, items=digest_of([job.items, weights_digest(head)]))

"""What several trainings take together, told before the first of them, and which of them fit into a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sercache.claims import Claims
from sercache.errors import SercacheError, SettingsError
from sercache.evaluation import Forecast, How, Prepared, Several, forecast, looking_ahead, prepare
from sercache.experiment.ready import AskedTraining, AtHand, ready
from sercache.experiment.setup import TrainOptions
from sercache.progress import unheard, used
from sercache.units import duration, seconds

LIMIT = 10.0
"""Seconds that are spent on looking ahead; what is not looked at by then is taken for the mean of the others."""
Asked = TypeVar("Asked")
FoldSeeds = Collection[tuple[str, int]]
"""Folds with seeds."""


@dataclass(frozen=True)
class LeftToTrain:
    """What the trainings of a call take that are not done."""

    found: Forecast
    left: Sequence[tuple[str, int]]
    """Their folds and seeds."""
    seeds: tuple[int, ...]
    """Of the whole run."""

    def of(self, seeds: Collection[int]) -> float:
        """Seconds of those with these seeds."""
        n = sum(seed in seeds for _, seed in self.left)
        return self.found.seconds * n / len(self.left) if n else 0.0


def looked(asks: Sequence[Callable[[], Asked]], *, needs_all: bool = False) -> list[Asked | None]:
    """What some questions give, as many as can be had in LIMIT seconds; None for one that is refused.

    Who does that is told why. Raises SercacheError where one of them is refused and all are needed.
    """
    began, found = time.perf_counter(), list[Asked | None]()
    for ask in asks:
        found.append(None)
        try:
            with unheard():
                found[-1] = ask()
        except SercacheError:
            if needs_all:
                raise
        if time.perf_counter() - began > LIMIT:
            break
    return found


def of_request(request: TrainOptions, partial: Path) -> LeftToTrain:
    """What the trainings of a call take that neither ``partial`` nor other runs hold. Raises SercacheError."""
    asked = ready(request, AtHand(), test=False)
    how = replace(asked.how, partial=partial, runs=asked.runs)
    prepared = prepare(asked.method, asked.data, how, is_ahead=True)
    return LeftToTrain(*forecast(prepared, how), prepared.method.setup.seeds)


def tell(
    asks: Sequence[Callable[[], LeftToTrain]],
    what: str,
    claims: Claims | None = None,
    *,
    needs_all: bool = False,
) -> Several | None:
    """Say what all of some ``what`` take that are not done, before the first begins: one process of those at work.

    Those that were not looked at in LIMIT seconds are taken for the mean of the others. None where nobody knows.
    Raises as ``looked`` does.
    """
    if not asks:
        return None
    with nullcontext(True) if claims is None else looking_ahead(claims) as is_ours:
        found = looked(asks, needs_all=needs_all) if is_ours else []
        known = [each.found for each in found if each is not None]
        if not known:
            return None
        told = Several(len(asks), what, sum(known, Forecast()).times(len(asks) / len(found)))
        used("forecast", told)
        return told


def dry(asked: AskedTraining, chosen: Callable[[Prepared], FoldSeeds] | None) -> Forecast:
    """Say what the trainings of a call take that are not done, and do none of them. Raises SercacheError."""
    ready = prepare(asked.method, asked.data, asked.how, is_ahead=True)
    found, _ = forecast(ready, asked.how, None if chosen is None else chosen(ready))
    used("forecast", found)
    return found


def fitting(
    given: str, how: How, chosen: Callable[[Prepared], FoldSeeds] | None
) -> Callable[[Prepared], FoldSeeds]:
    """The folds and seeds that fit into a time, all folds of a seed before the next one; of those ``chosen``, if any.

    What is done counts as nothing. Raises SettingsError where not one of them fits, or nobody knows.
    """
    budget = seconds(given, "--budget")

    def part(ready: Prepared) -> FoldSeeds:
        wanted = {(job.fold, job.seed) for job in ready.jobs} if chosen is None else set(chosen(ready))
        found, left = forecast(ready, how, wanted)
        if not found.is_known:
            raise SettingsError(f"nobody knows how long {ready.method.head} takes; leave --budget out")
        if found.seconds <= budget:
            return wanted
        n = int(budget / found.seconds * len(left))
        if n < 1:
            of_one = duration(found.seconds / len(left))
            raise SettingsError(
                f"one training takes about {of_one}, which is more than --budget {given}; give it more, or take a "
                "coarse --look"
            )
        seeds = [job.seed for job in ready.jobs]
        out = sorted(left, key=lambda each: seeds.index(each[1]))[n:]
        used(
            "budget",
            f"{given}: {n} of the {len(left)} trainings that are left; left out: {shown(out)}",
        )
        return wanted - set(out)

    return part


def shown(trainings: Sequence[tuple[str, int]]) -> str:
    """Folds by seed: ``seed 1 (folds 3, 4), seed 2 (5 folds)``."""
    by_seed: dict[int, list[str]] = {}
    for fold, seed in trainings:
        by_seed.setdefault(seed, []).append(fold)
    return ", ".join(f"seed {seed} ({_folds(folds)})" for seed, folds in by_seed.items())


def _folds(names: Sequence[str]) -> str:
    if len(names) >= 5:
        return f"{len(names)} folds"
    return f"fold{'s' if len(names) > 1 else ''} {', '.join(names)}"

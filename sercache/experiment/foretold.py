"""What several trainings take together, told before the first of them, and which of them fit into a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sercache.claims import Claims
from sercache.errors import SercacheError, SettingsError
from sercache.evaluation import Forecast, How, Prepared, forecast, looking_ahead, prepare
from sercache.experiment.ready import AtHand, ready
from sercache.experiment.setup import TrainOptions
from sercache.progress import unheard, used
from sercache.units import duration, seconds

LIMIT = 10.0
"""Seconds that are spent on looking ahead; what is not looked at by then is taken for the mean of the others."""
FoldSeeds = Collection[tuple[str, int]]
"""Folds with seeds."""


def together(asks: Sequence[Callable[[], Forecast]]) -> tuple[Forecast, int]:
    """The sum of some forecasts, as many as can be had in LIMIT seconds times what was left out; how many were had.

    One that is refused counts as none: who does it is told why.
    """
    began, total, n_asked, n_had = time.perf_counter(), Forecast(), 0, 0
    for ask in asks:
        with suppress(SercacheError), unheard():
            total += ask()
            n_had += 1
        n_asked += 1
        if time.perf_counter() - began > LIMIT:
            break
    return total.times(len(asks) / n_asked) if n_asked else total, n_had


def of_request(request: TrainOptions, partial: Path) -> Forecast:
    """What the trainings of a call take that neither ``partial`` nor other runs hold. Raises SercacheError."""
    asked = ready(request, AtHand(), test=False)
    how = replace(asked.how, partial=partial, runs=asked.runs)
    return forecast(prepare(asked.method, asked.data, how, is_ahead=True), how)[0]


def tell(asks: Sequence[Callable[[], Forecast]], what: str, claims: Claims) -> None:
    """Say what all of some ``what`` take that are not done, before the first begins: one process of those at work."""
    if not asks:
        return
    with looking_ahead(claims) as is_ours:
        found, n_had = together(asks) if is_ours else (Forecast(), 0)
        if n_had:
            used("forecast", f"{len(asks)} {what}{'' if len(asks) == 1 else 's'}: {found}")


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

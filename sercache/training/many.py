"""Many trainings for little more than the price of one: all folds and seeds of a head.

Members are trained one after another, by processes that share the cache, or stacked into one model; which of
these, a short trial on this machine decides. The numbers are those of each member trained alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch

from sercache.recipe import Recipe
from sercache.training import grouping, processes, stacked
from sercache.training.contract import Fit
from sercache.training.feeding import Tables
from sercache.training.members import TRIAL_SECONDS, TRIAL_SHARE, Member, Pace, pace, share, train_member
from sercache.training.plan import Epoch

Way = Literal["auto", "serial", "processes", "stacked"]
WORTH = 2.0
"""Seconds of training, at most, that are not worth a trial."""
MARGIN = 0.9
"""Another way must take less than this part of the serial time, since a trial is short."""

_MOST = 25
"""Members of one stacked model."""

Progress = Callable[[int, Epoch], None]
"""Hears of each epoch: number of the member, epoch."""


def fit_many(
    members: Sequence[Member],
    recipe: Recipe,
    *,
    device: str = "cpu",
    way: Way = "auto",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Fit]:
    """Each member trained as ``fit`` trains it alone with its seed, in the order given (see ``fits``)."""
    found = dict(fits(members, recipe, device=device, way=way, progress=progress, say=say))
    return [found[number] for number in range(len(members))]


def fits(
    members: Sequence[Member],
    recipe: Recipe,
    *,
    device: str = "cpu",
    way: Way = "auto",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[tuple[int, Fit]]:
    """Number and Fit of each member as it finishes; ``say`` hears which way was chosen, and why.

    Raises as ``fit`` does.
    """
    if not members:
        return
    tell = say or (lambda text: None)
    tables, _held = share(members, device)
    alone: Pace | None = None
    limit = TRIAL_SECONDS
    if len(members) == 1:
        way = "serial"
    if way == "auto":
        alone = pace(members[0], recipe, device, tables, len(members))
        limit = alone.step * alone.n_steps * recipe.max_epochs * len(members)
        if limit < WORTH:
            way, alone = "serial", None
        limit = min(TRIAL_SECONDS, TRIAL_SHARE * limit)
    parts = grouping.stacks(members, _MOST)
    stacks = way in ("auto", "stacked") and len(members) > 1 and grouping.can_stack(members)
    # On a CPU a batch of many members of their own is no faster than as many batches.
    if way == "auto" and torch.device(device).type == "cpu" and not grouping.share_batches(members):
        stacks = False
    paces: dict[Way, float] = {"serial": alone.step} if alone else {}
    first = [members[number] for number in parts[0]]
    if stacks and (together := stacked.pace(first, recipe, device, tables, limit)):
        paces["stacked"] = together
    n_workers = min(len(members), _cores())
    forks = way in ("auto", "processes") and n_workers > 1 and processes.can_fork(device)
    with processes.workers(members, recipe, n_workers if forks else 0, tables) as crew:
        if forks:
            paces["processes"] = max(each.step for each in processes.trial(crew, 0)) / n_workers
        chosen = _chosen(way, paces)
        tell(_sentence(chosen, paces, n_workers))
        if chosen == "processes":
            yield from processes.train(crew, members, range(len(members)), progress)
            return
    if chosen == "stacked":
        for numbers in parts:
            several = [members[number] for number in numbers]
            for k, done in stacked.train(several, recipe, device, _of(progress, numbers), tables):
                yield numbers[k], done
        return
    yield from _serial(members, recipe, device, progress, tables)


def _chosen(way: Way, paces: dict[Way, float]) -> Way:
    """The way that was asked for where it can be gone, else the fastest, serial unless another is clearly so."""
    if way != "auto":
        return way if way in paces else "serial"
    return min(paces, key=lambda each: paces[each] * (MARGIN if each == "serial" else 1))


def _sentence(chosen: Way, paces: dict[Way, float], n_workers: int) -> str:
    how = {
        "serial": "one after another",
        "stacked": "as one stacked model",
        "processes": f"in {n_workers} processes",
    }
    measured = ", ".join(f"{value * 1e3:.2f} ms a batch {how[name]}" for name, value in paces.items())
    return f"{how[chosen]}{': ' + measured if measured else ''}"


def _of(progress: Progress | None, numbers: Sequence[int]) -> Progress | None:
    return None if progress is None else lambda k, epoch: progress(numbers[k], epoch)


def _serial(
    members: Sequence[Member], recipe: Recipe, device: str, progress: Progress | None, tables: Tables
) -> Iterator[tuple[int, Fit]]:
    for number, member in enumerate(members):
        yield number, train_member(member, recipe, device, _listener(progress, number), tables)


def _listener(progress: Progress | None, number: int) -> Callable[[Epoch], None] | None:
    return None if progress is None else lambda epoch: progress(number, epoch)


def _cores() -> int:
    """Cores that this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1

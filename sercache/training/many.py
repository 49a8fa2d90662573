"""Many trainings for little more than the price of one: all folds and seeds of a head.

Members are trained one after another, by processes that share the cache, or stacked into one model; which of
these, a short trial on this machine decides. The numbers are those of each member trained alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from sercache.recipe import Recipe
from sercache.training import processes
from sercache.training.contract import Fit
from sercache.training.feeding import Tables
from sercache.training.members import Member, pace, share, train_member
from sercache.training.plan import Epoch

Way = Literal["auto", "serial", "processes"]
WORTH = 2.0
"""Seconds of training, at most, that are not worth the start of processes."""
MARGIN = 0.9
"""Another way must take less than this part of the serial time, since a trial is short."""

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
    n_workers = min(len(members), _cores())
    if way == "serial" or n_workers < 2 or not processes.can_fork(device):
        tell("training one after another")
        yield from _serial(members, recipe, device, progress, tables)
        return
    alone = pace(members[0], recipe, device, tables)
    if way == "auto" and alone.step * alone.n_steps * recipe.max_epochs * len(members) < WORTH:
        tell("training one after another: it is done sooner than processes start")
        yield from _serial(members, recipe, device, progress, tables)
        return
    with processes.workers(members, recipe, n_workers, tables) as crew:
        together = max(each.step for each in processes.trial(crew, 0)) / n_workers
        gain = f"{alone.step * 1e3:.2f} ms a batch alone, {together * 1e3:.2f} ms in {n_workers} processes"
        if way == "processes" or together < MARGIN * alone.step:
            tell(f"training in {n_workers} processes: {gain}")
            yield from processes.train(crew, members, range(len(members)), progress)
            return
    tell(f"training one after another: {gain}")
    yield from _serial(members, recipe, device, progress, tables)


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

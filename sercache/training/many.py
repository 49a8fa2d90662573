"""Many trainings for little more than the price of one: all folds and seeds of a head.

Members are trained one after another, stacked into one model, or by processes that share the cache and train
members by themselves or stacks of them; which of these, a short trial on this machine decides. The numbers are
those of each member trained alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import torch

from sercache.recipe import Recipe
from sercache.training import grouping, processes, stacked
from sercache.training.contract import Fit
from sercache.training.feeding import Tables
from sercache.training.members import TRIAL_SECONDS, TRIAL_SHARE, Member, Pace, pace, share, train_member
from sercache.training.plan import Epoch
from sercache.views import free_memory

Way = Literal["auto", "serial", "processes", "stacked", "stacked-processes"]
WORTH = 2.0
"""Seconds of training, at most, that are not worth a trial."""
MARGIN = 0.9
"""Another way must take less than this part of the serial time, since a trial is short."""

_MEMORY = 0.8
"""Of the free memory: how much of it processes may take."""
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
        alone = pace(members[0], recipe, device, tables, n_members=len(members))
        limit = alone.step * alone.n_steps * recipe.max_epochs * len(members)
        if limit < WORTH:
            way, alone = "serial", None
        limit = min(TRIAL_SECONDS, TRIAL_SHARE * limit)
    paces: dict[str, float | str] = {"serial": alone.step} if alone else {}
    room = _room(alone) if torch.device(device).type == "cpu" else sys.maxsize
    n_workers = min(len(members), _cores(), room)
    orders = _orders(members, way, device, n_workers, room // n_workers)
    parts: list[list[int]] = []
    if way == "stacked" or (way == "auto" and not orders):
        parts, pace_of_stack = _fitting(members, recipe, way, device, tables, limit, room)
        paces |= {"stacked": pace_of_stack} if parts else {}
    with processes.workers(members, recipe, n_workers if orders else 0, tables) as crew:
        if orders:
            found = processes.trial(crew, {name: order[0] for name, order in orders.items()}, limit)
            paces |= {name: _of_all(value, orders[name], n_workers) for name, value in found.items()}
        chosen = _chosen(way, paces)
        tell(_sentence(chosen, paces, n_workers))
        if chosen in orders:
            yield from processes.train(crew, members, orders[chosen], progress)
            return
    if chosen == "stacked":
        for numbers in parts:
            several = [members[number] for number in numbers]
            for k, done in stacked.train(several, recipe, device, _of(progress, numbers), tables):
                yield numbers[k], done
        return
    yield from _serial(members, recipe, device, progress, tables)


def _orders(
    members: Sequence[Member], way: Way, device: str, n_workers: int, most: int
) -> dict[str, Sequence[processes.Order]]:
    """What processes may be asked to train, by way, ``most`` at a time; nothing where they cannot be had."""
    found: dict[str, Sequence[processes.Order]] = {}
    if n_workers < 2 or not processes.can_fork(device):
        return found
    if way in ("auto", "processes"):
        found["processes"] = [[number] for number in range(len(members))]
    if way in ("auto", "stacked-processes") and (parts := _stacks(members, way, device, most)):
        pieces = grouping.pieces(parts, n_workers)
        if way != "auto" or len(pieces) < len(members):  # else no stack is left of them
            found["stacked-processes"] = pieces
    return found


def _fitting(
    members: Sequence[Member],
    recipe: Recipe,
    way: Way,
    device: str,
    tables: Tables,
    limit: float,
    most: int,
) -> tuple[list[list[int]], float | str]:
    """Stacks that fit in the memory of the device, and the pace of a member of the first, or why it has none."""
    parts = _stacks(members, way, device, most)
    while parts:
        first = [members[number] for number in parts[0]]
        try:
            return parts, stacked.pace(first, recipe, device, tables, limit)
        except torch.OutOfMemoryError:
            if len(first) < 4:
                return parts, f"{len(first)} of them do not fit in the memory of {device}"
            parts = grouping.stacks(members, len(first) // 2)
    return parts, 0.0


def _stacks(members: Sequence[Member], way: Way, device: str, most: int) -> list[list[int]]:
    """The stacks, of ``most`` at most, that may be asked for; none where members do not stack or it would not pay."""
    # On a CPU a batch of many members of their own is no faster than as many batches.
    on_gpu, asked = torch.device(device).type == "cuda", way in ("stacked", "stacked-processes")
    pays = torch.device(device).type != "cpu" or grouping.share_batches(members)
    # Padding to the longest of all costs more than it saves where launches are cheap.
    stackable = (
        (asked or pays)
        and min(len(members), most) > 1
        and grouping.can_stack(members, padded=on_gpu or asked)
    )
    return grouping.stacks(members, min(most, _MOST)) if stackable else []


def _of_all(pace: float | str, order: Sequence[processes.Order], n_workers: int) -> float | str:
    """Seconds of a batch, by the clock, when the process with the most to do is done: of all members, by one."""
    loads = grouping.loads(order, n_workers)
    return pace if isinstance(pace, str) else pace * max(loads) / sum(loads)


def _chosen(way: Way, paces: Mapping[str, float | str]) -> str:
    """The way that was asked for where it can be gone, else the fastest, serial unless another is clearly so."""
    seconds = {name: value for name, value in paces.items() if not isinstance(value, str)}
    if way != "auto":
        return way if way in seconds else "serial"
    return min(seconds, key=lambda each: seconds[each] * (MARGIN if each == "serial" else 1))


def _sentence(chosen: str, paces: Mapping[str, float | str], n_workers: int) -> str:
    how = {
        "serial": "one after another",
        "stacked": "as one stacked model",
        "processes": f"in {n_workers} processes",
        "stacked-processes": f"as stacks in {n_workers} processes",
    }
    measured = [
        f"not {how[name]}, {value}" if isinstance(value, str) else f"{value * 1e3:.2f} ms a batch {how[name]}"
        for name, value in paces.items()
    ]
    return f"{how[chosen]}{': ' + ', '.join(measured) if measured else ''}"


def _of(progress: Progress | None, numbers: Sequence[int]) -> Progress | None:
    return None if progress is None else lambda k, epoch: progress(numbers[k], epoch)


def _serial(
    members: Sequence[Member], recipe: Recipe, device: str, progress: Progress | None, tables: Tables
) -> Iterator[tuple[int, Fit]]:
    for number, member in enumerate(members):
        yield number, train_member(member, recipe, device, _listener(progress, number), tables)


def _listener(progress: Progress | None, number: int) -> Callable[[Epoch], None] | None:
    return None if progress is None else lambda epoch: progress(number, epoch)


def _room(alone: Pace | None) -> int:
    """Members that the free memory holds at a time, by themselves in processes or in stacks.

    CTA-RNN takes 4 GB of activations: as many processes as a server has cores would be killed.
    """
    if alone is None or not alone.n_bytes:
        return sys.maxsize
    return max(1, int(_MEMORY * free_memory() // alone.n_bytes))


def _cores() -> int:
    """Cores that this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1

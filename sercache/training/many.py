"""Many trainings for little more than the price of one: all folds and seeds of a head.

Members are trained one after another, by processes that share the cache, or as one stacked model. Which of these is
a rule (``fits``, docs/decisions/0007); the numbers are those of each member trained alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from sercache.machine import cores, free_memory
from sercache.recipe import Recipe
from sercache.training import grouping, processes, stacked
from sercache.training.contract import Fit, Member, place_of
from sercache.training.loop import train_alone
from sercache.training.members import peak_bytes, share, size_of
from sercache.training.plan import Epoch
from sercache.training.state import begin
from sercache.training.tables import Resident, Tables
from sercache.training.threads import SMALL

Way = Literal["auto", "serial", "processes", "stacked"]
WORTH = 2e11
"""Products in all members' forward passes from which processes pay for their start: a second or two."""

FILLED = 4
"""Cores below which the threads of one large product do as much as processes: on two cores these gained nothing."""

_MEMORY = 0.8
"""Of the free memory: how much of it processes may take."""
_MOST = 25
"""Members of one stacked model."""

Progress = Callable[[int, Epoch], None]
"""Is called after each epoch: number of the member, epoch."""
Take = Callable[[int], bool]
"""Is asked right before a member is begun: whether it is to be trained here."""


@dataclass(frozen=True)
class Choice:
    """How members are trained: in processes, as stacks, or, with neither, one after another."""

    n_workers: int = 0
    stacks: Sequence[Sequence[int]] = ()
    why: str = ""
    """Why a stack is not what it came to."""
    held: bool | None = None
    """Whether the features lie on the device by now; None where nothing was brought there yet."""

    def __str__(self) -> str:
        if self.n_workers:
            return f"in {self.n_workers} processes"
        return "as one stacked model" if self.stacks else "one after another" + (self.why and f": {self.why}")


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
    take: Take | None = None,
    ahead: Callable[[Choice], None] | None = None,
) -> Iterator[tuple[int, Fit]]:
    """Number and Fit of each member as it finishes; ``say`` is told how they are trained.

    ``take`` may leave members out, which another process trains; those of a stack are asked for together. ``ahead`` is
    told how they are trained before the first is.

    ``auto`` is a stack on CUDA, where the head can be stacked and fits in memory; on a CPU processes, where they can
    be had and there is work for them; else one after another. So is a way that was asked for and cannot be gone.

    Raises as ``fit`` does.
    """
    if not members:
        return
    tables, held = share(members, device)
    choice = choose(members, recipe, device, way, tables)
    if place_of(device).type != "cpu":
        choice = replace(choice, held=all(isinstance(view, Resident) for view in held))
    if say:
        say(str(choice))
    if ahead:
        ahead(choice)
    if choice.n_workers:
        with processes.workers(members, recipe, choice.n_workers, tables) as crew:
            yield from processes.train(crew, members, progress, take)
        return
    for stack in choice.stacks:
        numbers = [number for number in stack if take is None or take(number)]
        several = [members[number] for number in numbers]
        if not several:
            continue
        for k, done in stacked.train(several, recipe, device, _of(progress, numbers), tables):
            yield numbers[k], done
    if not choice.stacks:
        for number, member in enumerate(members):
            if take is not None and not take(number):
                continue
            yield number, train_alone(begin(member, recipe, device, tables), _listener(progress, number))


def choose(
    members: Sequence[Member], recipe: Recipe, device: str, way: Way, tables: Tables | None = None
) -> Choice:
    """How ``fits`` trains these members."""
    tables = Tables() if tables is None else tables
    if len(members) == 1 or way == "serial":
        return Choice()
    if way == "stacked" or (way == "auto" and torch.device(device).type == "cuda"):
        return _stacks(members, recipe, device, tables)
    n_workers = min(len(members), cores()) if processes.can_fork(device) else 1
    if n_workers == 1 or way == "processes":
        return Choice(n_workers if n_workers > 1 else 0)
    n_products, n_batches = size_of(members[0], recipe)
    if max(n_products, SMALL) * n_batches * recipe.max_epochs * len(members) < WORTH:
        return Choice()
    # CTA-RNN takes 4 GB of activations: as many processes as a server has cores would be killed.
    n_bytes = peak_bytes(members[0], recipe, tables)
    n_workers = min(n_workers, max(1, int(_MEMORY * free_memory() // n_bytes))) if n_bytes else n_workers
    # A process has one thread: a few of them would leave most cores idle, where products are large enough for all.
    pays = n_workers > 1 and (n_products <= SMALL or n_workers >= max(FILLED, cores() / 2))
    return Choice(n_workers if pays else 0)


def _stacks(members: Sequence[Member], recipe: Recipe, device: str, tables: Tables) -> Choice:
    """Stacks that fit in the memory of the device, or why there are none."""
    if not grouping.can_stack(members):
        return Choice()
    n, why = min(len(members), _MOST), ""
    while n > 1 and not why:
        parts = grouping.stacks(members, n)
        first = [members[number] for number in parts[0]]
        if not grouping.gains(first, torch.device(device)):
            return Choice(why="few recurrent networks at once take longer than cuDNN takes for each")
        try:
            if not (why := stacked.refusal(first, recipe, device, tables)):
                return Choice(stacks=parts)
        except torch.OutOfMemoryError:
            n = len(first) // 2
    why = why or f"{len(first)} of them do not fit in the memory of {device}"
    return Choice(why=f"not as one stacked model, {why}")


def _of(progress: Progress | None, numbers: Sequence[int]) -> Progress | None:
    return None if progress is None else lambda k, epoch: progress(numbers[k], epoch)


def _listener(progress: Progress | None, number: int) -> Callable[[Epoch], None] | None:
    return None if progress is None else lambda epoch: progress(number, epoch)

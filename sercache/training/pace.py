"""How fast a training goes on this machine: a few updates of its head, made of random features of the same shapes.

Measured once for each head, size, recipe and device, and kept in a small file beside the caches, so that what many
trainings take can be told before the first of them.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sercache import paces
from sercache.errors import SercacheError
from sercache.recipe import Recipe
from sercache.training.contract import Member, View, place_of
from sercache.training.loop import train_alone
from sercache.training.plan import Epoch
from sercache.training.predicting import predict
from sercache.training.residing import resident
from sercache.training.stacked import train as train_stack
from sercache.training.state import begin
from sercache.training.tables import Tables
from sercache.training.work import Pace, Work
from sercache.views import drawn_like

QUICK = 3.0
"""Seconds of all trainings together below which nothing is measured but one update."""
LIMIT, SHARE = 3.0, 0.01
"""Seconds that a measurement may take, and the share of the work where three updates take longer."""
_MOST = 64
"""Updates that are measured at a time."""
_JUDGED = 64
"""Items that are judged."""
_NUMBERS = ("update", "frames", "judged", "tested", "start", "brought")
"""What is kept of a Pace."""
_NO_ROOM = 1 << 60
"""Bytes that no device has."""


def pace_of(work: Work, n_trainings: int, kept: Path | None = None) -> Pace | None:
    """How fast a training goes; None where its random features cannot be trained.

    Looked up in the file ``kept``, or measured: one update where all ``n_trainings`` are few seconds, else for some
    seconds at most, or a hundredth of the work.
    """
    found = paces.read(kept, _NUMBERS).get(work.key)
    if found is not None:
        return Pace(**{name: found[name] for name in _NUMBERS})
    try:
        pace = measured(work, n_trainings)
    except (SercacheError, ArithmeticError, RuntimeError, ValueError, MemoryError):
        return None  # of random features: what trains on real ones may fail there, and has its own words if it does not
    if kept is not None and not pace.is_rough:
        about = {"head": type(work.member.head).__qualname__, "on": paces.machine(work.device)}
        paces.write(kept, work.key, {**{name: getattr(pace, name) for name in _NUMBERS}, **about})
    return pace


def measured(work: Work, n_trainings: int) -> Pace:
    """How fast a training goes, measured now (see ``pace_of``). Raises TrainingError."""
    order = np.argsort(work.sizes, kind="stable")
    middle = int(np.abs(np.array(work.sizes)[order] - np.mean(work.sizes)).argmin())
    # The very first update on a card loads its libraries and kernels, which takes as long as a thousand others.
    first = _epochs(work, [order[middle]], 1 if place_of(work.device).type == "cpu" else 2)
    n_rounds = n_trainings / work.n_at_once
    total = n_rounds * (first.update * len(work.sizes) * work.recipe.max_epochs + first.start)
    if total < QUICK:
        return first.pace(work.sizes[order[middle]], is_rough=True)
    # Those that are as far apart as all are, so that their mean is that of all; an epoch of them is for warming up.
    left, n_epochs = min(LIMIT, total / 20) - first.update, 3
    n = min(_MOST, len(order), int(left / n_epochs / first.update), int(LIMIT / max(first.drawn, 1e-9)))
    if n < 1:
        n, n_epochs = 1, 2
        if (1 + n_epochs) * first.update > max(left, SHARE * total):
            return first.pace(work.sizes[order[middle]])
    chosen = [order[middle]] if n == 1 else [order[int((k + 0.5) * len(order) / n)] for k in range(n)]
    return _epochs(work, chosen, n_epochs).pace(float(np.mean([work.sizes[k] for k in chosen])))


@dataclass(frozen=True)
class _Seen:
    """What some epochs of a few updates took, in seconds."""

    epochs: list[float]
    """Each, of its updates alone."""
    n_updates: int
    """Of an epoch."""
    judged: float
    tested: float
    start: float
    brought: float
    """These four as in Pace."""
    drawn: float
    """Before the first epoch, by update: features were drawn and brought to the device."""

    @property
    def update(self) -> float:
        """Of an update, once it is no longer the first."""
        return statistics.median(self.epochs[1:] or self.epochs) / self.n_updates

    def pace(self, frames: float, *, is_rough: bool = False) -> Pace:
        """As a Pace, where an update has so many frames."""
        return Pace(self.update, frames, self.judged, self.tested, self.start, self.brought, is_rough)


def _epochs(work: Work, chosen: Sequence[int], n_epochs: int) -> _Seen:
    """Some epochs of the ``chosen`` updates, of features that lie where those of the training do."""
    rows = np.concatenate([part for k in chosen for part in work.groups[k]])
    member, place, began = work.member, place_of(work.device), time.perf_counter()
    n_bytes = None if work.is_held else _NO_ROOM
    train = drawn_like(member.train, rows, n_bytes)  # type: ignore[arg-type]
    seen = train
    if member.dev is not None:
        seen = drawn_like(member.dev, _typical(member.dev), n_bytes)  # type: ignore[arg-type]
    drawing, tables = time.perf_counter() - began, Tables()
    held = resident(train, place, tables)
    judged_on = held if seen is train else resident(seen, place, tables)
    _wait(place)
    bringing = time.perf_counter() - began - drawing
    # These items were drawn by class already: drawn anew, fewer of them would be trained on.
    balance = "none" if work.recipe.balance == "undersample" else work.recipe.balance
    recipe = replace(work.recipe, max_epochs=n_epochs, patience=None, balance=balance)
    second, dev = None if member.second is None else member.second[rows], None if seen is train else judged_on
    copies = [
        replace(member, head=copy.deepcopy(member.head), train=held, dev=dev, second=second)
        for _ in range(work.n_at_once if work.choice.stacks else 1)
    ]
    with _threads(1 if work.choice.n_workers else None):
        done, whole = _trained(work, copies, recipe)
        moved = _seconds(place, lambda: copies[0].head.to(place))
        once = _seconds(place, lambda: predict(copies[0].head, judged_on, device=work.device))
        alone = once
        if judged_on is not seen:
            alone = _seconds(place, lambda: predict(copies[0].head, seen, device=work.device))
    of_dev, n_seen = 0.0 if dev is None else once * len(copies), int(seen.n_frames.sum())
    n_brought = n_seen + (0 if seen is train else int(train.n_frames.sum()))
    typical = statistics.median(done[1:] or done)
    return _Seen(
        epochs=[max(each - of_dev, each / 20) for each in done],
        n_updates=len(chosen),
        judged=once * len(copies) / n_seen,
        tested=alone * len(copies) / n_seen,
        start=max(0.0, whole - n_epochs * typical) + moved * len(copies),
        brought=bringing / n_brought,
        drawn=(drawing + bringing) / len(chosen),
    )


def _trained(work: Work, copies: Sequence[Member], recipe: Recipe) -> tuple[list[float], float]:
    """Seconds of each epoch of trainings at once, what is judged included, and of all from begin to end."""
    done: dict[int, float] = {}

    def note(epoch: Epoch) -> None:
        done[epoch.number] = epoch.seconds  # of a stack the last member's, when all are through

    began = time.perf_counter()
    if work.choice.stacks:
        for _ in train_stack(copies, recipe, work.device, lambda _, epoch: note(epoch), Tables()):
            pass
    else:
        train_alone(begin(copies[0], recipe, work.device), note)
    return list(done.values()), time.perf_counter() - began


def _seconds(place: torch.device, do: Callable[[], object]) -> float:
    """Of doing something on a device."""
    _wait(place)
    began = time.perf_counter()
    do()
    _wait(place)
    return time.perf_counter() - began


def _wait(place: torch.device) -> None:
    """Until a card has done what it was told."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def _typical(view: View) -> np.ndarray:
    """Some items of a view in the middle of its lengths: predicted together, as those of like length are."""
    order = np.argsort(view.n_frames, kind="stable")
    middle = int(np.searchsorted(view.n_frames[order], view.n_frames.mean()))
    start = max(0, min(middle - _JUDGED // 2, len(order) - _JUDGED))
    return order[start : start + _JUDGED]


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """So many threads of torch, as a process of several has; None: as many as there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if n is None else n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

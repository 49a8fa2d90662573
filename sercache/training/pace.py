"""How fast a training goes on this machine: a few updates of its head, made of random features of the same shapes.

Measured once for each head, size, recipe and device, and kept in a small file beside the caches, so that what many
trainings take can be told before the first of them.
"""

from __future__ import annotations

import copy
import functools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sercache import __version__, paces
from sercache.errors import SercacheError
from sercache.head import version_of
from sercache.recipe import Recipe
from sercache.record import TRAINING, digest_of
from sercache.training.contract import Member, View, variants_of
from sercache.training.grouping import geometry
from sercache.training.loop import train_alone
from sercache.training.many import Choice
from sercache.training.plan import Epoch, computes_at_once, drawn_batches, update_groups
from sercache.training.predicting import predict
from sercache.training.stacked import train as train_stack
from sercache.training.state import begin
from sercache.training.tables import Tables
from sercache.views import drawn_like, inputs_of, shape_of

QUICK = 3.0
"""Seconds of all trainings together below which nothing is measured but one update."""
LIMIT, SHARE = 3.0, 0.01
"""Seconds that a measurement may take, and the share of the work where three updates take longer."""
_MOST = 64
"""Updates that are measured at a time."""
_JUDGED = 64
"""Items that are judged."""
_NUMBERS = ("update", "frames", "judged")
"""What is kept of a Pace."""
_COUNTS = ("loss", "optimiser", "batch_size", "accumulate", "bucket", "balance", "clip_value", "clip_norm")
"""Fields of a recipe that move the time of an update, beside ``mixed_precision`` and ``second_weight``."""


@dataclass(frozen=True)
class Pace:
    """What was measured."""

    update: float
    """Seconds of an update, of all members that are computed at once."""
    frames: float
    """Frames of it, padding included; of means one an item."""
    judged: float
    """Seconds of a frame of an item that is predicted, by all members that are computed at once."""
    is_rough: bool = False
    """Whether it is that of a first update alone, since there is so little to do."""


@dataclass(frozen=True, eq=False)
class Work:
    """A training of many that are alike."""

    member: Member
    recipe: Recipe
    device: str
    choice: Choice

    @property
    def n_at_once(self) -> int:
        """Trainings that are computed at once: processes, or members of a stack."""
        return self.choice.n_workers or max(map(len, self.choice.stacks), default=1)

    @functools.cached_property
    def groups(self) -> list[list[np.ndarray]]:
        """Batches of an epoch, by update."""
        train, recipe = self.member.train, self.recipe
        parts = drawn_batches(recipe, train.labels, train.n_frames, variants_of(train), self.member.seed, 1)
        at_once = computes_at_once(recipe, train.n_frames)
        return update_groups(parts, recipe.accumulate, at_once=at_once)

    @functools.cached_property
    def sizes(self) -> list[int]:
        """Frames of each update, padding included."""
        lengths = self.member.train.n_frames
        return [sum(len(rows) * int(lengths[rows].max()) for rows in group) for group in self.groups]

    def seconds(self, pace: Pace, n_tested: int) -> float:
        """What one training takes where each epoch is done, ``n_tested`` frames being tested at its end."""
        dev = 0 if self.member.dev is None else int(self.member.dev.n_frames.sum())
        updates = pace.update * sum(self.sizes) / max(pace.frames, 1)
        if self._is_of_means:  # an update of few items takes about as long as one of many
            updates = pace.update * len(self.groups)
        return self.recipe.max_epochs * (updates + pace.judged * dev) + pace.judged * n_tested

    @property
    def _is_of_means(self) -> bool:
        return int(self.member.train.n_frames.max(initial=1)) == 1

    @property
    def key(self) -> str:
        """What the time of an update depends on, in a digest."""
        recipe = asdict(self.recipe)
        fields = {name: recipe[name] for name in (*_COUNTS, "mixed_precision", "second_weight")}
        about = [
            version_of(type(self.member.head)),
            geometry(self.member.head),
            [asdict(shape_of(each)) for each in inputs_of(self.member.train)],  # type: ignore[arg-type]
            # Lengths within a tenth of each other count as the same; what is measured goes by frames.
            round(float(np.log(np.mean(self.sizes)) / np.log(1.1))),
            fields,
            [self.choice.n_workers > 0, self.n_at_once if self.choice.stacks else 1],
            [
                paces.machine(self.device),
                torch.get_num_threads(),
                torch.__version__,
                __version__,
            ],
            TRAINING,
        ]
        return digest_of(json.loads(json.dumps(about)))


def pace_of(work: Work, n_trainings: int, kept: Path | None = None) -> Pace | None:
    """How fast a training goes; None where its random features cannot be trained.

    Looked up in the file ``kept``, or measured: one update where all ``n_trainings`` are few seconds, else for some
    seconds at most, or a hundredth of the work.
    """
    found = paces.read(kept, _NUMBERS).get(work.key)
    if found is not None:
        return Pace(found["update"], found["frames"], found["judged"])
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
    first, judged = _epochs(work, [order[middle]], 1)
    n_updates = len(work.sizes) * work.recipe.max_epochs * n_trainings / work.n_at_once
    total = first[0] * n_updates
    if total < QUICK:
        return Pace(first[0], work.sizes[order[middle]], judged, is_rough=True)
    # Those that are as far apart as all are, so that their mean is that of all; an epoch of them is for warming up.
    left, n_epochs = min(LIMIT, total / 20) - first[0], 3
    n = min(_MOST, len(order), int(left / n_epochs / first[0]))
    if n < 1:
        n, n_epochs = 1, 2
        if (1 + n_epochs) * first[0] > max(left, SHARE * total):
            return Pace(first[0], work.sizes[order[middle]], judged)
    chosen = [order[middle]] if n == 1 else [order[int((k + 0.5) * len(order) / n)] for k in range(n)]
    epochs, judged = _epochs(work, chosen, n_epochs)
    frames = float(np.mean([work.sizes[k] for k in chosen]))
    return Pace(statistics.median(epochs[1:]) / n, frames, judged)


def _epochs(work: Work, chosen: Sequence[int], n_epochs: int) -> tuple[list[float], float]:
    """Seconds of the updates in each of some epochs of ``chosen`` updates, and of a frame that is judged."""
    rows = np.concatenate([part for k in chosen for part in work.groups[k]])
    member = work.member
    train = drawn_like(member.train, rows)  # type: ignore[arg-type]
    dev = None if member.dev is None else drawn_like(member.dev, _typical(member.dev))  # type: ignore[arg-type]
    second = None if member.second is None else member.second[rows]
    recipe = replace(work.recipe, max_epochs=n_epochs, patience=None)
    done: dict[int, float] = {}

    def note(epoch: Epoch) -> None:
        done[epoch.number] = epoch.seconds  # of a stack the last member's, when all are through

    with _threads(1 if work.choice.n_workers else None):
        copies = [
            replace(member, head=copy.deepcopy(member.head), train=train, dev=dev, second=second)
            for _ in range(work.n_at_once if work.choice.stacks else 1)
        ]
        if work.choice.stacks:
            for _ in train_stack(copies, recipe, work.device, lambda _, epoch: note(epoch), Tables()):
                pass
        else:
            train_alone(begin(copies[0], recipe, work.device), note)
        seen = train if dev is None else dev
        began = time.perf_counter()
        predict(copies[0].head, seen, device=work.device)
        once = (time.perf_counter() - began) * len(copies)
    judged = 0.0 if dev is None else once
    return [max(each - judged, each / 20) for each in done.values()], once / int(seen.n_frames.sum())


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

"""What the tables of the papers cost to train: an update of each head at its published size, measured.

A table is extrapolated from there: its trials, times folds, seeds and updates of the head's own set-up. What a trial
changes of them, and trainings that stop early or that other tables share, are left out: it is an upper bound.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import published_sizes
from random_cache import Cache, Case

from sercache import catalog, encoders, states
from sercache.papers import Trial, trials
from sercache.recipe import Recipe, Setup, inputs
from sercache.training import Choice, Member, Work, build, finetuned
from sercache.training.pace import measured
from sercache.units import duration
from sercache.views import SideBySideView

SIZES = {
    "wav2vec2-base": (12, 768),
    "hubert-base": (12, 768),
    "hubert-large": (24, 1024),
    "wavlm-large": (24, 1024),
    "wenet-gigaspeech": (12, 512),
    "whisper-large-v3": (32, 1280),
    "bert-large-uncased": (24, 1024),
    "egemaps-20ms": (1, 25),
}
"""Blocks L and feature size D of the encoders that the heads were published with."""
CONV = 512
"""Size D of the output of a wav2vec 2.0's convolutions, from which it is fine-tuned."""
ITEMS = {"iemocap": 4425, "hume-prosody": 31_745, "voxceleb1": 138_361}
"""Utterances in a training part: four sessions of five, and the published parts."""
FOLDS = {"leave-one-session-out": 5, "leave-one-speaker-out": 10}
"""On IEMOCAP; other protocols are one split."""


class Cost(NamedTuple):
    """Of a head at its published size."""

    head: str
    seconds: float
    """Of an update."""
    n_updates: int
    """Of a training, at most."""
    table: str
    """The one with most trainings of it: paper and name."""
    n_trials: int
    n_trainings: int

    def __str__(self) -> str:
        training = self.seconds * self.n_updates
        return (
            f"{self.seconds * 1e3:,.1f} ms an update; a training of at most "
            f"{self.n_updates:,} updates {duration(training)}; {self.table}: {self.n_trials} trials, "
            f"{self.n_trainings} trainings, {duration(training * self.n_trainings)} (extrapolated)"
        )


def of_papers() -> dict[str, tuple[str, int]]:
    """By head, the table that trains it most often, and in how many trials: those that others begin with too."""
    most: dict[str, tuple[str, int]] = {}
    for paper in catalog.names("sercache.papers"):
        for name, table in catalog.load("sercache.papers", paper).TABLES.items():
            each = {repr(trial): trial for cell in trials(table) for trial in _needed(cell)}
            for head, n in Counter(trial.head for trial in each.values()).items():
                if n > most.get(head, ("", 0))[1]:
                    most[head] = f"{paper} {name}", n
    return most


def _needed(trial: Trial | None) -> Iterator[Trial]:
    if trial is not None:
        yield trial
        yield from (*_needed(trial.start), *_needed(trial.speaker))


def n_updates(module: ModuleType) -> int:
    """Of a training of a head: what its file says, else epochs over the published training part."""
    recipe, setup = module.RECIPE, module.SETUP
    told = getattr(module, "UPDATES", None)
    items = ITEMS.get(setup.dataset, ITEMS["iemocap"])
    return told or recipe.max_epochs * math.ceil(items / recipe.batch_size / recipe.accumulate)


def view_of(module: ModuleType, n_items: int, small: bool) -> Any:
    """Random features in the shapes that a head was published with."""
    caches = [Cache(_case(each, small), n_items) for each in inputs(module.SETUP)]
    for cache in caches[1:]:
        if cache.spec.digest == caches[0].spec.digest and cache.means is None and caches[0].means is None:
            cache.n_frames, cache.frames = caches[0].n_frames, _like(caches[0].n_frames, cache)
    views = [_answered(cache.view(), module.RECIPE) for cache in caches]
    return views[0] if len(views) == 1 else SideBySideView(tuple(views))


def _like(n_frames: np.ndarray, cache: Cache) -> list[np.ndarray]:
    """Frames of as many as the first input has of each item."""
    longest = max(cache.frames, key=lambda each: each.shape[1])
    times = -(-int(n_frames.max()) // longest.shape[1])
    return [np.tile(longest, (1, times, 1))[:, :n].copy() for n in n_frames]


def _case(setup: Setup, small: bool) -> Case:
    n_blocks, dim = SIZES[str(setup.encoder)]
    if small:
        n_blocks, dim = min(n_blocks, 2), 64  # as the encoder that is trained below
    names = ("conv", "projection", "input", *map(str, range(1, n_blocks + 1)), "final")
    if setup.finetune_from:
        return Case(1, 24 if small else CONV, True, 0, 0)
    n_states = 1 if n_blocks == 1 else len(_chosen(names, setup.states, small))
    return Case(n_states, dim, setup.frames, 0, 0)


def _chosen(names: tuple[str, ...], selection: str, small: bool) -> tuple[str, ...]:
    return states.select(names, "1" if small and selection.isdigit() else selection)


def _answered(view: Any, recipe: Recipe) -> Any:
    if recipe.loss not in ("mse", "ccc"):
        return view
    targets = np.random.default_rng(0).random((len(view), 1), np.float32)
    return dataclasses.replace(view, targets=targets)


def head_of(module: ModuleType, view: Any, folder: Path, small: bool) -> Any:
    """The head, on top of the encoder's blocks where it was published so."""
    made, own = module.Head, inputs(module.SETUP)
    if any(module.SETUP.boundaries):
        source = published_sizes.write("wav2vec2-base", folder, small=small)
        last = "2" if small else "12"
        tails = [
            encoders.load_tail(source, each.finetune_from, [last]) if each.finetune_from else None
            for each in own
        ]
        made = finetuned(module.Head, tails, [each.frames for each in own])
    numeric = module.RECIPE.loss in ("mse", "ccc")
    options = getattr(module, "SMALL", {}) if small else {}
    return build(made, view, 1 if numeric else 4, 0, **options)


def work_of(name: str, folder: Path, device: str, *, updates: int = 2, small: bool = False) -> Work:
    """A training of a head at its published size, on so many updates of random features an epoch."""
    module = catalog.load("sercache.heads", name)
    recipe = dataclasses.replace(module.RECIPE, select="last-epoch", patience=None, schedule="constant")
    if small:
        recipe = dataclasses.replace(recipe, batch_size=4, accumulate=min(recipe.accumulate, 2))
    view = view_of(module, updates * recipe.batch_size * recipe.accumulate, small)
    return Work(Member(head_of(module, view, folder, small), view, None, 0), recipe, device, Choice())


def measure(name: str, folder: Path, device: str, *, small: bool = False) -> Cost:
    """An update of a head, as a forecast measures it."""
    module, work = catalog.load("sercache.heads", name), work_of(name, folder, device, small=small)
    (table, n_trials), setup = of_papers()[name], module.SETUP
    n_trainings = n_trials * FOLDS.get(setup.protocol, 1) * len(setup.seeds)
    of_epoch = work.seconds(measured(work, n_trainings), 0) / work.recipe.max_epochs
    return Cost(name, of_epoch / len(work.groups), n_updates(module), table, n_trials, n_trainings)

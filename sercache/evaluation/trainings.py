"""The trainings of an evaluation: every fold with every seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from sercache.evaluation.material import FoldViews, Material, fold_views
from sercache.protocols import Fold
from sercache.recipe import Recipe, Setup
from sercache.training import Epoch, Fit, build, fit


@dataclass(frozen=True)
class Progress:
    """Where an evaluation stands, after each epoch."""

    fold: str
    seed: int
    run: int
    """From 1."""
    n_runs: int
    epoch: Epoch
    max_epochs: int


@dataclass(frozen=True, eq=False)
class Member:
    """One training that is done: a fold with a seed."""

    fold: Fold
    seed: int
    views: FoldViews
    done: Fit


def trainings(
    head_class: type[nn.Module],
    material: Material,
    setup: Setup,
    recipe: Recipe,
    options: Mapping[str, Any],
    *,
    device: str = "cpu",
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Member]:
    """Train every fold with every seed; members come one by one, folds outside, seeds inside."""
    n_runs = len(material.folds) * len(setup.seeds)
    number = 0
    for fold in material.folds:
        views = fold_views(material, fold, setup.normalise)
        for seed in setup.seeds:
            number += 1
            hear = _listener(progress, fold.name, seed, number, n_runs, recipe.max_epochs)
            head = build(head_class, views.train, len(material.outputs), seed, **options)
            done = fit(head, views.train, views.dev, recipe, seed=seed, device=device, progress=hear)
            yield Member(fold, seed, views, done)


def _listener(
    progress: Callable[[Progress], None] | None, fold: str, seed: int, run: int, n_runs: int, max_epochs: int
) -> Callable[[Epoch], None] | None:
    if progress is None:
        return None
    return lambda epoch: progress(Progress(fold, seed, run, n_runs, epoch, max_epochs))

"""What a call of a sweep asks for, and what each of its points asks of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache.chosen import read_seeds
from sercache.experiment.augmented_stores import conditions
from sercache.experiment.grid import Point
from sercache.experiment.options import Count, DevScore, Duplicates, Seeds
from sercache.experiment.setup import TrainOptions
from sercache.published import head_options, of_variant, seeds_asked
from sercache.readings import Variant
from sercache.recipe import Recipe, override
from sercache.record import Report

_SETUP = ("states", "normalise", "finetune_from", "augmented")


@dataclass(frozen=True)
class SweepOptions:
    """The options of one call; None means as published."""

    head: str
    grid: Sequence[str]
    name: str
    on: DevScore | None = None
    trials: Count | None = None
    encoder: str | None = None
    dataset: str | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    runs: Path | None = None
    task: str | None = None
    protocol: str | None = None
    dev: str | None = None
    augmented: Sequence[str] = ()
    """What every point is trained on beside the plain recordings, where the grid does not say."""
    finetune_from: str | None = None
    """As for a training, for every point where the grid does not say."""
    duplicates: Duplicates | None = None
    seeds: Seeds | None = None
    settings: Sequence[str] = ()
    variant: Variant | None = None
    look: bool = False
    """A coarse look, no result: one seed, few epochs of every point."""
    budget: str | None = None
    """Time for the trainings of this call, as 2h: points, folds and seeds that fit are done."""
    only_foretold: bool = False
    """Say what it takes and train nothing."""
    serial: bool = False
    cluster: str | None = None
    cluster_options: Sequence[str] = ()
    lifetime: str | None = None


def request_of(module: ModuleType, request: SweepOptions, point: Point) -> TrainOptions:
    """What a point asks of `sercache train`. Raises RecipeError for a name that nothing knows, SettingsError."""
    fields = {field.name for field in dataclasses.fields(Recipe)}
    recipe = [f"{name}={value}" for name, value in point.items() if name in fields]
    setup: dict[str, Any] = {name: value for name, value in point.items() if name in _SETUP}
    if "augmented" in setup:
        setup["augmented"] = () if setup["augmented"] == "none" else (setup["augmented"],)
    options = [f"{n}={v}" for n, v in point.items() if n not in fields and n not in _SETUP]
    own = [*request.settings, *recipe]
    override(module.RECIPE, own)
    head_options(module, options)
    of_variant(module, request.variant, request.head)
    shared = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    for name in ("grid", "name", "on", "trials", "settings", "budget", "only_foretold"):
        del shared[name]
    asked = TrainOptions(**{**shared, **setup}, settings=own, head_options=options)
    conditions(asked.augmented)
    return asked


def has_seeds(report: Report, module: ModuleType, request: SweepOptions) -> bool:
    """Whether the report of a point is of the seeds that are asked for."""
    seeds = seeds_asked(module, report.setup["dataset"], read_seeds(request.seeds).run)
    return report.seeds == (seeds[:1] if request.look else seeds)

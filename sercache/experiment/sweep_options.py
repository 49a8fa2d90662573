"""What a call of a sweep asks for, and what each of its points asks of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache.chosen import read_seeds
from sercache.errors import SettingsError
from sercache.experiment.augmented_stores import conditions
from sercache.experiment.grid import Point
from sercache.experiment.options import Count, DevScore, Duplicates, Scope, Seeds
from sercache.experiment.setup import TrainOptions
from sercache.published import head_options, of_variant, seeds_asked
from sercache.readings import Variant
from sercache.recipe import Recipe, override
from sercache.record import Report

NUMERIC_LOSSES = ("mse", "ccc")
"""Losses of tasks that give numbers."""
_SCORES = {"dev-ua": False, "dev-wa": False, "dev-rho": True, "dev-ccc": True}
"""Whether a score that selects is of numbers; others are of both."""
_SETUP = ("states", "normalise", "finetune_from", "augmented")


@dataclass(frozen=True)
class SweepOptions:
    """The options of one call, those of a training for every point; None means as published."""

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
    store: Path | None = None
    states: str | None = None
    clip: str | None = None
    augmented: Sequence[str] = ()
    frames: bool | None = None
    normalise: Scope | None = None
    duplicates: Duplicates | None = None
    max_frames: Count | None = None
    beside: Sequence[str] | None = None
    target: str | None = None
    finetune_from: str | None = None
    start_from: Sequence[str] = ()
    seeds: Seeds | None = None
    settings: Sequence[str] = ()
    head_options: Sequence[str] = ()
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
    recipe, setup, options = _apart(point)
    if "augmented" in setup:
        setup["augmented"] = (setup["augmented"],)
    own = [*request.settings, *recipe]
    override(module.RECIPE, own)
    head_options(module, options)
    of_variant(module, request.variant, request.head)
    shared = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    for name in ("grid", "name", "on", "trials", "settings", "head_options", "budget", "only_foretold"):
        del shared[name]
    asked = TrainOptions(**{**shared, **setup}, settings=own, head_options=[*request.head_options, *options])
    conditions(asked.augmented)
    return asked


def _apart(point: Point) -> tuple[list[str], dict[str, Any], list[str]]:
    """What a point says of the recipe, of the set-up and of the head's options."""
    fields = {field.name for field in dataclasses.fields(Recipe)}
    recipe = [f"{name}={value}" for name, value in point.items() if name in fields]
    setup = {name: value for name, value in point.items() if name in _SETUP}
    options = [f"{n}={v}" for n, v in point.items() if n not in fields and n not in _SETUP]
    return recipe, setup, options


def check_points(module: ModuleType, request: SweepOptions, every: Sequence[Point]) -> None:
    """Raise RecipeError, SettingsError where a point is none, is another in other words, or where two say one thing."""
    for name in every[0]:
        flag = _named_by_option(request, name)
        if flag:
            raise SettingsError(
                f"{name.replace('_', '-')} is given by --grid and by {flag}, and a point has one value of it; "
                "leave one of them out"
            )
    known: dict[Any, Point] = {}
    for point in every:
        loss = override(module.RECIPE, request_of(module, request, point).settings).loss
        if _SCORES.get(request.on or "", loss in NUMERIC_LOSSES) != (loss in NUMERIC_LOSSES):
            fitting = [name for name, of_numbers in _SCORES.items() if of_numbers == (loss in NUMERIC_LOSSES)]
            raise SettingsError(
                f"loss={loss} gives no {request.on} to select on; give --on {' or '.join(fitting)} or dev-loss"
            )
        before = known.setdefault(_meaning(module, request, point), point)
        if before is not point:
            first, second = next((before[name], point[name]) for name in point if before[name] != point[name])
            raise SettingsError(
                f"two values of the grid are the same, {first} and {second}; leave one of them out"
            )


def _named_by_option(request: SweepOptions, name: str) -> str:
    """The option that says of every point what the grid names; empty where none does."""
    if name in _SETUP:
        return "" if getattr(request, name) in (None, (), []) else f"--{name.replace('_', '-')}"
    for flag, pairs in (("--set", request.settings), ("--option", request.head_options)):
        if name in (pair.partition("=")[0].strip().replace("-", "_") for pair in pairs):
            return flag
    return ""


def _meaning(module: ModuleType, request: SweepOptions, point: Point) -> Any:
    """What a point says, however its numbers and the order of its states and augmentations are written."""
    recipe, setup, options = _apart(point)
    if "augmented" in setup:
        setup["augmented"] = frozenset(conditions([setup["augmented"]]))
    if "states" in setup:
        setup["states"] = frozenset(part.strip() for part in setup["states"].replace(",", "+").split("+"))
    options_read = head_options(module, options)
    return (
        override(module.RECIPE, [*request.settings, *recipe]),
        tuple(setup.items()),
        tuple(options_read.items()),
    )


def has_seeds(report: Report, module: ModuleType, request: SweepOptions) -> bool:
    """Whether the report of a point is of the seeds that are asked for."""
    seeds = seeds_asked(module, report.setup["dataset"], read_seeds(request.seeds).run)
    return report.seeds == (seeds[:1] if request.look else seeds)

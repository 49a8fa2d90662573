"""The points of a sweep: what a grid spans, in which order they are tried, and what their run folders are called."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sercache.errors import MissingExtraError, SettingsError

Point = dict[str, str]
"""A value for each name of the grid, as written."""
_WITH_COMMAS = ("states", "finetune_from", "augmented")
"""Names whose values may hold commas."""
_PATIENCE = 20
"""Draws for each point: near the end a sampler mostly draws what it has seen."""


def read_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Values by name of ``name=a,b`` texts; where commas have a meaning, as in ``states``, ``states=a;b``.

    Raises SettingsError.
    """
    grid: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        split = values.split(";" if name in _WITH_COMMAS or ";" in values else ",")
        found = [value.strip() for value in split if value.strip()]
        if not equals or not found or name in grid or len(set(found)) < len(found):
            raise SettingsError(
                f"--grid {text}: expected NAME=VALUE,VALUE,… with different values, and each name once"
            )
        grid[name] = found
    return grid


def points(grid: Mapping[str, Sequence[str]]) -> list[Point]:
    """Every combination of a grid's values."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def drawn(
    grid: Mapping[str, Sequence[str]], trials: int | None, found: Sequence[tuple[Point, float, Path]]
) -> Iterator[Point]:
    """All points, or as many as ``trials`` says, each drawn with regard to the scores so far in ``found``.

    Raises MissingExtraError where Optuna is not there to draw.
    """
    if trials is None or trials >= math.prod(len(values) for values in grid.values()):
        yield from points(grid)
        return
    try:
        import optuna
    except ImportError:
        raise MissingExtraError(
            "drawing points needs Optuna: pip install 'sercache[tune]', or leave --trials out to train all"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # From the scores alone and one seed: a sweep that was cut off draws the same points again.
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    seen: set[str] = set()
    for _ in range(_PATIENCE * trials):
        if len(seen) == trials:
            return
        trial = study.ask()
        point = {name: trial.suggest_categorical(name, list(values)) for name, values in grid.items()}
        if folder_name(point) not in seen:
            seen.add(folder_name(point))
            yield point
        study.tell(trial, next(value for each, value, _ in found if each == point))


def folder_name(point: Point) -> str:
    """The folder of a point: a name that a shell takes as it is, unlike ``lr=1e-3 states=6;12``."""
    text = "__".join(f"{name}-{value}" for name, value in point.items())
    safe = re.sub(r"[^\w.,+-]", "_", text)
    # Two values may differ in what was replaced alone.
    return safe if safe == text else f"{safe}.{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _former_name(point: Point) -> str:
    """What the folder of a point was called before: sweeps that were begun then are finished there."""
    text = " ".join(f"{name}={value}" for name, value in point.items())
    return "".join(letter if letter.isalnum() or letter in "=-+.,_ " else "_" for letter in text)


def place_of(folder: Path, point: Point) -> Path:
    """The folder of a point's run."""
    former = folder / _former_name(point)
    return former if former.is_dir() else folder / folder_name(point)

"""Trackers of experiments: who is told of the epochs of a training while it runs, and of the run that it made.

One file a tracker. Each gives what it needs installed, may follow epochs live, and is told the finished run, from which
it completes what it was not told: epochs of other processes, of an earlier attempt, or those that a fault cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from sercache import catalog
from sercache.errors import MissingExtraError, UnknownNameError
from sercache.progress import used, warn
from sercache.record import Report
from sercache.report.tracking import _mlflow, _tensorboard, _wandb
from sercache.report.tracking._told import line_of

Tell = Callable[[str, int, Mapping[str, Any]], None]
"""Is told fold, seed and an epoch: ``number`` (from 1), scores, ``lr``, ``seconds``."""


class Following(Protocol):
    """Follows the trainings of an unfinished run."""

    def epoch(self, fold: str, seed: int, epoch: Mapping[str, Any]) -> None:
        """Take an epoch: ``number`` (from 1), scores, ``lr``, ``seconds``."""

    def close(self) -> None:
        """Nothing more comes from this process."""


class Tracker(Protocol):
    """What a file of this room gives; faults of the tracker's own package come through as they are."""

    NEEDS: tuple[str, str]
    """The module that is imported, and a name in it that tells it from a folder called alike."""
    INSTALL: str

    def begin_anew(self, partial: Path) -> None:
        """Remove what was told of the epochs of an earlier attempt, where it would be told twice; nobody else tells."""

    def following(self, partial: Path, experiment: str) -> Following | None:
        """What follows the unfinished run in ``partial``; None for a tracker that is told finished runs alone."""

    def finished(self, report: Report, folder: Path, partial: Path) -> str:
        """Record a finished run, and say where."""

    def forget(self, partial: Path) -> None:
        """Remove what was noted in the folder of a run that is no longer unfinished."""


TRACKERS: dict[str, Tracker] = {"mlflow": _mlflow, "tensorboard": _tensorboard, "wandb": _wandb}


def chosen(track: bool | Sequence[str]) -> tuple[str, ...]:
    """Names of the trackers that are asked for; of True TensorBoard. Raises UnknownNameError."""
    if isinstance(track, bool):
        return ("tensorboard",) if track else ()
    names = [name.strip() for text in track for name in text.split(",")]
    for name in names:
        if name not in TRACKERS:
            raise UnknownNameError(catalog.unknown("tracker", name, sorted(TRACKERS)))
    return tuple(dict.fromkeys(names))


def check(names: Sequence[str]) -> None:
    """Raises MissingExtraError where the package of a tracker is not installed or cannot be imported."""
    for name in names:
        module, has = TRACKERS[name].NEEDS
        remedy = f"{TRACKERS[name].INSTALL}, or leave --track {name} out; epochs.csv is always written"
        try:
            found = hasattr(import_module(module), has)
        except ImportError as fault:
            raise MissingExtraError(f"--track {name} cannot import {module} ({fault}): {remedy}") from fault
        if not found:  # a folder of that name, as wandb makes one
            raise MissingExtraError(f"--track {name} needs the package {module}: {remedy}")


def begin_anew(partial: Path) -> None:
    """Have trackers forget what an earlier attempt told of its epochs; no other process may be telling them."""
    for each in TRACKERS.values():
        each.begin_anew(partial)


@contextmanager
def following(names: Sequence[str], partial: Path, experiment: str) -> Iterator[Tell]:
    """What tells all named trackers an epoch; one that fails is left until the run is done, with a warning.

    ``experiment`` is the digest of what is trained.
    """
    live: dict[str, Following] = {}
    for name in names:
        opened = TRACKERS[name].following(partial, experiment)
        if opened is not None:
            live[name] = opened

    def safely(name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as fault:  # a tracker raises anything, and a training is worth more
            live.pop(name, None)
            warn(
                f"{name} failed ({line_of(fault)}); training goes on, and it is told all when the run is done"
            )

    def tell(fold: str, seed: int, epoch: Mapping[str, Any]) -> None:
        for name, each in list(live.items()):
            safely(name, lambda each=each: each.epoch(fold, seed, epoch))  # type: ignore[misc]

    try:
        yield tell
    finally:
        for name, each in list(live.items()):
            safely(name, each.close)


def finished(names: Sequence[str], report: Report, folder: Path, partial: Path) -> None:
    """Tell the named trackers of a run that stands in ``folder``; one that fails gets a warning, and the run stands."""
    for name in names:
        try:
            where = TRACKERS[name].finished(report, folder, partial)
        except Exception as fault:  # a tracker raises anything, and the run is written
            warn(f"{name} does not have this run ({line_of(fault)}); all of it is in {folder}")
        else:
            used("tracked", where)


def forget(partial: Path) -> None:
    """Remove what trackers noted in the folder of a run that is no longer unfinished."""
    for each in TRACKERS.values():
        each.forget(partial)

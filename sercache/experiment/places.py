"""Where run folders lie and what they are called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sercache import catalog, files
from sercache.claims import claims_in, is_at_work, taken
from sercache.errors import SettingsError
from sercache.evaluation import CLAIMS
from sercache.recipe import Setup
from sercache.record import digest_of

SHARED_CLAIMS = ".claims"
"""Beside the runs of a sweep or a paper, or what is made of a run, what the processes at work on it have claimed."""


@contextmanager
def written_in_turn(run: Path, name: str) -> Iterator[None]:
    """Write what ``name`` stands for in a run folder, one process after another that makes the same."""
    with claims_in(run / SHARED_CLAIMS) as claims, taken(claims, f"written-{digest_of(name)}"):
        yield


def default_name(head: str, setup: Setup) -> str:
    """A run's name where the user gives none: head, encoder, corpus."""
    encoder = catalog.shown(Path(setup.encoder).name)
    return f"{catalog.shown(head)}-{encoder}-{catalog.file_name(setup.dataset)}"


def checked_name(name: str | None) -> str | None:
    """The name of a run folder, as given. Raises SettingsError for one that `sercache report` would not find."""
    odd = name is not None and (not name.strip() or not name.isprintable() or name.startswith("."))
    if name is not None and (odd or {"/", "\\"} & set(name)):
        raise SettingsError(
            f"--name {name!r} is no name of a folder; expected one without slashes that does not begin with a dot: "
            "choose where runs lie with --runs"
        )
    return name


def partial_of(folder: Path) -> Path:
    """Where the trainings of a run lie until all of them are done."""
    return folder.with_name(f"{folder.name}.partial")


def check_writable(folder: Path) -> None:
    """Raises SettingsError where a run cannot be written, before hours are spent on it."""
    # A link that leads nowhere, or in a circle, is there and is no folder.
    there = next(place for place in folder.absolute().parents if os.path.lexists(place))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise SettingsError(f"runs cannot be written to {there}; choose another folder with --runs")


def free_name(runs: Path, name: str) -> Path:
    """The folder ``name``, or the first ``name-2``, ``name-3``, … that does not exist."""
    folder, number = runs / name, 2
    while folder.exists():
        folder, number = runs / f"{name}-{number}", number + 1
    return folder


def abandoned_runs(runs: Path, days: float) -> list[Path]:
    """Folders of trainings that no run was made of, and to which nothing was written for so many days.

    Those of processes that are at work, on a training, a sweep, a probe or a paper's table, are none.
    """
    found = sorted({path for deep in ("", "*/") for path in runs.glob(f"{deep}*.partial") if path.is_dir()})
    return [
        path
        for path in found
        if not is_held(path) and _last_change(path) <= files.now_on(runs) - days * 86400
    ]


def is_held(partial: Path) -> bool:
    """Whether somebody works on an unfinished run, or on the sweep or paper that it is of."""
    now = files.now_on(partial.parent)
    return any(is_at_work(folder, now) for folder in (partial / CLAIMS, partial.parent / SHARED_CLAIMS))


def _last_change(folder: Path) -> float:
    """When anything was written in it."""
    return max(each.stat().st_mtime for each in (folder, *folder.rglob("*")))

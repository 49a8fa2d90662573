"""One point of a sweep: trained and judged by dev, later tested with the heads that it left."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sercache.claims import Claims
from sercache.errors import SettingsError
from sercache.evaluation import Evaluated, Prepared, Unfinished
from sercache.experiment import train
from sercache.experiment.foretold import fitting as fitting_folds
from sercache.experiment.grid import Point
from sercache.experiment.outcome import compared
from sercache.experiment.points import Comparison, heads_of, make_room, move_aside
from sercache.experiment.sweep_options import SweepOptions, has_seeds, request_of
from sercache.experiment.together import Sharing, is_run_of, remove_partial, together
from sercache.progress import used
from sercache.record import Report, digest_of
from sercache.report import runs as run_folders
from sercache.report import write_epochs

_LATER = ("name", "reader", "reader_sha256", "equal_audio")
"""What is said of a corpus otherwise, or not at all, by points that were trained before it was; its release stays."""


def claimed_as(point: Point) -> str:
    """What a point is called where processes agree on who works on it."""
    return f"point-{digest_of(point)}"


@dataclass(frozen=True)
class WantedPoint:
    """A point that is to be trained."""

    module: ModuleType
    asked: SweepOptions
    point: Point
    command: str = ""
    """What trains the rest, where only some of its folds fit into the budget; else empty."""

    @property
    def request(self) -> train.TrainOptions:
        """What it asks of a training."""
        return request_of(self.module, self.asked, self.point)


def done_of(wanted: WantedPoint, place: Path, comparison: Comparison, claims: Claims) -> Report | Unfinished:
    """The report of a point: of an earlier call where that is what is asked for now, else trained now."""
    used("point", ", ".join(f"{name}={value}" for name, value in wanted.point.items()))
    while (place / run_folders.REPORT).is_file():
        report = run_folders.load(place)
        why = comparison.differs(report, wanted.request)
        if not why:
            if has_seeds(report, wanted.module, wanted.asked):
                used("run", f"{place}, done before")
                return report
            break  # of other seeds before: those of them that are asked for now are found by their digests
        if claims.take(claimed_as(wanted.point)):  # else whoever works on the point moves it aside
            move_aside(place, why)
            break
        claims.wait({claimed_as(wanted.point)})
    return _trained(wanted, place, test=False)


def tested_of(module: ModuleType, request: SweepOptions, point: Point, place: Path) -> Report:
    """The report of the selected point with its test scores, and its heads in the run folder."""
    if (place / run_folders.WEIGHTS).is_dir():
        report = run_folders.load(place)
    else:
        used("testing", ", ".join(f"{name}={value}" for name, value in point.items()))
        # Its trainings are found as they were left, so that nothing is trained here.
        made = _trained(WantedPoint(module, request, point), place, test=True)
        assert isinstance(made, Report)  # no part was named
        report = made
    remove_partial(heads_of(place), report)
    return report


def _trained(wanted: WantedPoint, place: Path, *, test: bool) -> Report | Unfinished:
    """What the trainings of a point give, as it lies in its run folder; each is kept beside it as it is done.

    Where only some of its folds fit into the budget, what is missing.
    """
    asked, _ = train.begin(wanted.request, folder=place, partial=heads_of(place), test=test)

    def standing(ready: Prepared) -> Report | None:
        is_there = is_run_of(ready, place) and (not test or (place / run_folders.WEIGHTS).is_dir())
        return run_folders.load(place) if is_there else None

    def keep(done: Evaluated) -> Report:
        if test:
            run_folders.save(compared(done.report), place, weights=done.weights, overwrite=True)
        else:
            make_room(place)
            run_folders.save(done.report, place, overwrite=True)
        write_epochs(done.report, place)
        return done.report

    part = fitting_folds(str(wanted.asked.budget), asked.how, None) if wanted.command else None
    return together(asked, standing, keep, Sharing(part, command=wanted.command))


def same_material(report: Report, place: Path, first: Report | None) -> Report:
    """The first report of the sweep. Raises SettingsError where a point was trained on other utterances."""
    if first is None:
        return report
    for name in ("corpus", "folds"):
        if _plain(getattr(report, name)) != _plain(getattr(first, name)):
            raise SettingsError(
                f"{place} was trained on other utterances or folds than the first point ({name} differ): the corpus "
                "has changed since; remove the older runs of this sweep, or give it another --name"
            )
    return first


def _plain(value: Any) -> Any:
    """A part of a report as its JSON."""
    if isinstance(value, tuple):
        parts: Any = [{**dataclasses.asdict(each), "shared_audio": None} for each in value]
    else:
        parts = {name: each for name, each in value.items() if name not in _LATER}
    return json.dumps(parts, sort_keys=True)

"""A sweep: a head at every point of a grid; dev selects, and the test part is looked at once.

A point's run folder says what dev says and holds no test score: none is computed. Its trained heads wait beside it,
in ``.POINT.partial``, and the point that is selected is tested with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sercache import catalog, files, settings
from sercache.chosen import check_look, read_seeds
from sercache.claims import Claims, claims_in, divided, taken
from sercache.errors import LeftOutError, RecipeError, SettingsError
from sercache.evaluation import (
    NOTHING_LEFT,
    Several,
    Unfinished,
)
from sercache.experiment import clustered
from sercache.experiment.foretold import tell
from sercache.experiment.grid import Point, drawn, place_of, points, read_grid
from sercache.experiment.outcome import draw
from sercache.experiment.places import SHARED_CLAIMS, checked_name
from sercache.experiment.points import Comparison, begin_sweep, no_sweep_without_points
from sercache.experiment.result import Result
from sercache.experiment.sweep_ahead import asks, fitting
from sercache.experiment.sweep_options import NUMERIC_LOSSES, check_points
from sercache.experiment.sweep_options import SweepOptions as SweepOptions
from sercache.experiment.sweep_point import WantedPoint, claimed_as, done_of, same_material, tested_of
from sercache.experiment.together import command_of
from sercache.head import is_solved
from sercache.progress import used, warn
from sercache.record import LOOK, Report
from sercache.report import Cell, pairs
from sercache.statistics import System, grouped
from sercache.units import listed

TABLE = "sweep.csv"


@dataclass(frozen=True)
class Swept:
    """What a sweep found."""

    points: tuple[tuple[Point, float], ...]
    """Each with its dev score, higher is better; the best first."""
    on: str
    """Name of that score."""
    differs: tuple[Cell, ...]
    """Of each point, whether its dev predictions differ from the best ones; empty where that cannot be told."""
    notes: tuple[str, ...]
    """On how that was told."""
    table: Path
    result: Result
    """Of the point that was selected, with its test scores: the only ones that a sweep computes."""

    def plain(self) -> dict[str, Any]:
        """For programs: points with their dev scores, the best first, and the result of that one."""
        differs = self.differs or (None,) * len(self.points)
        points = [
            {**point, f"mean {self.on}": score, "differs from best": told}
            for (point, score), told in zip(self.points, differs, strict=True)
        ]
        about = {"table": self.table, "notes": self.notes, "result": self.result.plain()}
        return {"selected": self.points[0][0], "points": points, **about}


def run(request: SweepOptions) -> Swept | Unfinished | Several | None:
    """Train every point that is not done yet, then test the best. Raises SercacheError.

    Where only some folds of one point fit into the budget, what is missing of it. What all takes where that alone is
    asked for; None where nobody knows.
    """
    if clustered.asked(request) and not request.only_foretold:
        if request.budget is not None:
            raise SettingsError("a budget is that of one process: give --budget without --cluster")
        clustered.run("sweep", request, clustered.runs_folder(request))
        request = clustered.alone(request)
    module = catalog.load("sercache.heads", request.head)
    checked_name(request.name)
    if is_solved(module.Head):
        raise RecipeError(
            f"{request.head} is solved and has no epochs to judge by a dev part, so that nothing can select; "
            "train it with each value of the option that you choose beforehand"
        )
    if read_seeds(request.seeds).part is not None:
        raise SettingsError(
            "a sweep has no parts to name: processes that are given the same sweep share its points; give --seeds "
            "how many (5) or which (0-4)"
        )
    check_look(request.look, request.seeds)
    grid = read_grid(request.grid)
    every = points(grid)
    check_points(module, request, every)  # before the first is trained
    known = settings.load().value("runs", request.runs)
    folder = Path(known.value).expanduser() / request.name
    command = ""
    if request.budget is not None:
        command = command_of(request, "sweep")
        with files.unless_empty(folder):
            request, every, is_whole = fitting(module, request, folder, every, command)
        command = "" if is_whole else command
    if request.only_foretold:
        with files.unless_empty(folder):  # it holds claims meanwhile
            told = tell(asks(module, request, folder, every), "point", needs_all=True)
        if told is None:
            used("forecast", f"{NOTHING_LEFT}, or nobody knows how long it takes")
        return told
    with (
        files.unless_empty(folder),
        claims_in(folder / SHARED_CLAIMS) as claims,
        no_sweep_without_points(folder, claims),
    ):
        begin_sweep(clustered.without(dataclasses.asdict(request)), folder, claims)
        return _swept(module, request, _Grid(grid, tuple(every), command), folder, claims)


@dataclass(frozen=True)
class _Grid:
    """The points of one call."""

    values: Mapping[str, Sequence[str]]
    points: tuple[Point, ...]
    """Those that are tried; drawn ones are drawn from all that the values span."""
    command: str
    """What trains the rest, where only folds of one point fit into the budget; else empty."""


def _swept(
    module: ModuleType, request: SweepOptions, grid: _Grid, folder: Path, claims: Claims
) -> Swept | Unfinished:
    """Train the points that nobody has trained or trains now, help with the others, then test the best."""
    found: list[tuple[Point, float, Path]] = []
    reports: dict[str, Report] = {}
    first: Report | None = None
    comparison, every = Comparison(), grid.points
    if not grid.command:
        tell(asks(module, request, folder, every), "point", claims, needs_all=True)
    for point in _order(grid, request.trials, found, claims):
        place = place_of(folder, point)
        try:
            report = done_of(WantedPoint(module, request, point, grid.command), place, comparison, claims)
        except LeftOutError as fault:
            if request.trials is not None:  # the next point depends on this one
                raise
            warn(str(fault))
            claims.leave_out(claimed_as(point))
            continue
        if isinstance(report, Unfinished):
            return report
        first = same_material(report, place, first)
        reports[place.name] = report
        found.append((point, dev_score(report, request.on), place))
        drawn_so = request.trials is not None
        _write_table(
            folder / TABLE,
            found if drawn_so else sorted(found, key=lambda each: every.index(each[0])),
            look=request.look,
        )
    if request.trials is None and len(found) < len(every):
        done = [point for point, _, _ in found]
        names = [place_of(folder, point).name for point in every if point not in done]
        raise LeftOutError(
            f"left out: {listed(names)}, since every process that trained it was lost; the other points are done, and "
            "the same command tries again"
        )
    # Of equal ones the first of the grid, in whichever order they were trained here.
    ranked = sorted(found, key=lambda each: (-each[1], every.index(each[0])))
    with taken(claims, "selected"):
        report = tested_of(module, request, ranked[0][0], ranked[0][2])
        draw(report, ranked[0][2])
    scores = tuple((point, value) for point, value, _ in ranked)
    differs, notes = pairs.best_column([_dev_of(reports[place.name], place.name) for _, _, place in ranked])
    on = _on(report, request.on)
    return Swept(scores, on, tuple(differs), tuple(notes), folder / TABLE, Result.load(ranked[0][2]))


def _dev_of(report: Report, name: str) -> System | None:
    """What the heads of a point say of their dev parts; None of runs of before this was kept."""
    if not report.dev_predictions:
        return None
    material = (report.corpus["name"], str(report.corpus["task"]), "dev parts")
    return System(name, material, report.target, grouped(report.dev_predictions, lambda p: (p.fold, p.seed)))


def _order(
    grid: _Grid,
    trials: int | None,
    found: Sequence[tuple[Point, float, Path]],
    claims: Claims,
) -> Iterator[Point]:
    """The points, those first that no other process works on; each is claimed meanwhile.

    Drawn ones come one after another: the next depends on the scores so far. Their trainings are shared all the same.
    """
    every = grid.points
    if trials is not None and trials < len(every):
        yield from drawn(grid.values, trials, found)
        return
    for place in divided(claims, [claimed_as(point) for point in every]):
        yield every[place]


def dev_score(report: Report, on: str | None) -> float:
    """Mean over folds and seeds of the dev score at the epoch that was kept, higher is better.

    Raises RecipeError where there was no dev part.
    """
    name = _on(report, on).replace("-", "_")
    values = [run.history[run.best_epoch - 1].get(name) for run in report.runs]
    if any(value is None for value in values):
        raise RecipeError(
            f"a sweep selects on {name.replace('_', '-')}, which these trainings do not have; give a dev part "
            "with --dev, or choose another score with --on"
        )
    mean = float(np.mean(np.array(values, np.float64)))
    return -mean if name == "dev_loss" else mean


def _on(report: Report, on: str | None) -> str:
    return on or ("dev-rho" if report.recipe["loss"] in NUMERIC_LOSSES else "dev-ua")


def _write_table(path: Path, found: Sequence[tuple[Point, float, Path]], *, look: bool) -> None:
    mark = [LOOK] if look else []
    rows = [[*point.values(), value, place.name, *mark] for point, value, place in found]
    files.write_csv(path, [[*found[0][0], "dev", "run", *(["mark"] if look else [])], *rows])

"""A sweep: a head at every point of a grid; dev selects, and the test part is looked at once.

A point's run folder says what dev says and holds no test score: none is computed. Its trained heads wait beside it,
in ``.POINT.partial``, and the point that is selected is tested with them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sercache import catalog, files, settings
from sercache.errors import RecipeError, SettingsError
from sercache.evaluation import Weights, evaluate
from sercache.experiment import train
from sercache.experiment.epochs import epochs_shown
from sercache.experiment.grid import Point, drawn, place_of, points, read_grid
from sercache.experiment.options import Count, DevScore, Duplicates, Seeds
from sercache.experiment.outcome import compared, draw
from sercache.experiment.places import checked_name
from sercache.experiment.points import Comparison, heads_of, make_room, move_aside
from sercache.experiment.result import Result
from sercache.head import is_solved
from sercache.progress import used
from sercache.published import head_options, seeds_asked
from sercache.recipe import Recipe, override
from sercache.record import Report
from sercache.report import runs as run_folders
from sercache.report import write_epochs

_SETUP = ("states", "normalise")
TABLE, SHARED = "sweep.csv", "sweep.json"
_FREE = ("grid", "name", "on", "trials", "runs", "cache", "root", "device", "serial", "seeds")
"""Options that may change from one call of a sweep to the next."""
_LATER = ("name", "reader", "reader_sha256", "equal_audio")
"""What is said of a corpus otherwise, or not at all, by points that were trained before it was; its release stays."""


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
    duplicates: Duplicates | None = None
    seeds: Seeds | None = None
    settings: Sequence[str] = ()
    serial: bool = False


@dataclass(frozen=True)
class Swept:
    """What a sweep found."""

    points: tuple[tuple[Point, float], ...]
    """Each with its dev score, higher is better; the best first."""
    on: str
    """Name of that score."""
    table: Path
    result: Result
    """Of the point that was selected, with its test scores: the only ones that a sweep computes."""


def run(request: SweepOptions) -> Swept:
    """Train every point that is not done yet, then test the best. Raises SercacheError."""
    module = catalog.load("sercache.heads", request.head)
    checked_name(request.name)
    if is_solved(module.Head):
        raise RecipeError(
            f"{request.head} is solved and has no epochs to judge by a dev part, so that nothing can select; "
            "train it with each value of the option that you choose beforehand"
        )
    grid = read_grid(request.grid)
    for point in points(grid):  # all are checked before the first is trained
        _request(module, request, point)
    known = settings.load().value("runs", request.runs)
    folder = Path(known.value).expanduser() / request.name
    _same_sweep(request, folder / SHARED)
    found: list[tuple[Point, float, Path]] = []
    first: Report | None = None
    comparison = Comparison()
    for point in drawn(grid, request.trials, found):
        place = place_of(folder, point)
        report = _done(module, request, point, place, comparison)
        first = _same_material(report, place, first)
        found.append((point, dev_score(report, request.on), place))
        _write_table(folder / TABLE, found)
    best = max(found, key=lambda each: each[1])
    report = _tested(module, request, best[0], best[2])
    draw(report, best[2])
    ranked = sorted(found, key=lambda each: -each[1])
    scores = tuple((point, value) for point, value, _ in ranked)
    return Swept(scores, _on(report, request.on), folder / TABLE, Result.load(best[2]))


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
    return on or ("dev-rho" if report.recipe["loss"] in ("mse", "ccc") else "dev-ua")


def _request(module: ModuleType, request: SweepOptions, point: Point) -> train.TrainOptions:
    """What a point asks of `sercache train`. Raises RecipeError for a name that nothing knows."""
    fields = {field.name for field in dataclasses.fields(Recipe)}
    recipe = [f"{name}={value}" for name, value in point.items() if name in fields]
    setup: dict[str, Any] = {name: value for name, value in point.items() if name in _SETUP}
    options = [f"{n}={v}" for n, v in point.items() if n not in fields and n not in _SETUP]
    own = [*request.settings, *recipe]
    override(module.RECIPE, own)
    head_options(module, options)
    shared = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    for name in ("grid", "name", "on", "trials", "settings"):
        del shared[name]
    return train.TrainOptions(**shared, **setup, settings=own, head_options=options)


def _done(
    module: ModuleType, request: SweepOptions, point: Point, place: Path, comparison: Comparison
) -> Report:
    """The report of a point: of an earlier call where that is what is asked for now, else trained now."""
    used("point", ", ".join(f"{name}={value}" for name, value in point.items()))
    wanted = _request(module, request, point)
    if (place / run_folders.REPORT).is_file():
        report = run_folders.load(place)
        why = comparison.differs(report, wanted)
        if why:
            move_aside(place, why)
        elif report.seeds == seeds_asked(module, report.setup["dataset"], request.seeds):
            used("run", f"{place}, done before")
            return report
    # Of other seeds before: those of them that are asked for now are found by their digests.
    report, _ = _trained(wanted, place, test=False)
    make_room(place)
    run_folders.save(report, place, overwrite=True)
    write_epochs(report, place)
    return report


def _tested(module: ModuleType, request: SweepOptions, point: Point, place: Path) -> Report:
    """The report of the selected point with its test scores, and its heads in the run folder."""
    if (place / run_folders.WEIGHTS).is_dir():
        report = run_folders.load(place)
        train.remove_partial(heads_of(place), report)
        return report
    used("testing", ", ".join(f"{name}={value}" for name, value in point.items()))
    # Its trainings are found as they were left, so that nothing is trained here.
    report, weights = _trained(_request(module, request, point), place, test=True)
    run_folders.save(compared(report), place, weights=weights, overwrite=True)
    write_epochs(report, place)
    train.remove_partial(heads_of(place), report)
    return report


def _trained(wanted: train.TrainOptions, place: Path, *, test: bool) -> tuple[Report, Weights]:
    """What the trainings of a point give; each is kept beside its folder as it is done."""
    asked, _ = train.begin(wanted, folder=place, partial=heads_of(place), test=test)
    with epochs_shown(asked.how.partial, track=False) as advance:
        done = evaluate(asked.method, asked.data, published=asked.published, how=asked.how, progress=advance)
    return done.report, done.weights


def _same_material(report: Report, place: Path, first: Report | None) -> Report:
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


def _write_table(path: Path, found: Sequence[tuple[Point, float, Path]]) -> None:
    rows = [[*point.values(), value, place.name] for point, value, place in found]
    files.write_csv(path, [[*found[0][0], "dev", "run"], *rows])


def _same_sweep(request: SweepOptions, path: Path) -> None:
    """Note down what all points share. Raises SettingsError where the folder is that of another sweep."""
    shared = {name: value for name, value in dataclasses.asdict(request).items() if name not in _FREE}
    text = json.dumps(shared, indent=1, default=str, ensure_ascii=False)
    begun = any(path.parent.glob(f"*/{run_folders.REPORT}"))  # else a mistake in the first call is no harm
    if begun and path.is_file() and _asked(path.read_text(encoding="utf-8")) != _asked(text):
        raise SettingsError(
            f"{path.parent} is a sweep with other settings; give this one another --name, or remove that one"
        )
    files.write_text(path, text)


def _asked(text: str) -> dict[str, Any]:
    """What the points of a sweep share, without what may change and what was left as it is."""
    return {name: value for name, value in json.loads(text).items() if name not in _FREE and value}

"""What a training leaves behind: run folder, plots, and the table with the printed numbers beside ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache import catalog
from sercache.commands._console import say, used, warn
from sercache.commands._trial import plan
from sercache.errors import MissingExtraError
from sercache.evaluation.experiment import all_options
from sercache.papers import Printed, Score
from sercache.report import page, plots, runs, tables
from sercache.report.record import HEADLINE, Aggregate, Report
from sercache.report.render import Format


def finish(report: Report, weights: Mapping[tuple[str, int | None], Mapping[str, Any]], folder: Path) -> None:
    """Write the run folder with its plots, print the table and where things lie."""
    runs.save(report, folder, weights=weights)
    draw(report, folder)
    say()
    say(shown([report]))
    used("run", str(folder))


def shown(reports: Sequence[Report], names: Sequence[str] | None = None, format: Format = "text") -> str:
    """Tables of some reports, with what papers print for them by these papers' own conventions."""
    return tables.table(
        reports,
        printed=[printed(report) for report in reports],
        aggregates=[convention(report) for report in reports],
        names=names,
        format=format,
    )


def draw(report: Report, folder: Path) -> None:
    """Plots as PNG and SVG and a page with all of the run, or one line why there are none."""
    try:
        drawn = plots.draw(report, folder / "plots")
    except MissingExtraError as fault:
        warn(str(fault))
        return
    used("plots", ", ".join(path.name for path in drawn if path.suffix == ".png") + f" in {folder / 'plots'}")
    page.write(
        report, folder / "report.html", printed=printed(report), aggregate=convention(report), drawn=drawn
    )
    used("page", str(folder / "report.html"))


def printed(report: Report) -> Mapping[str, Printed]:
    """The numbers that a paper prints for what this report did, as shares of 1; empty where none does."""
    return {score.metric: number for score, number in _printed_for(report)}


def convention(report: Report) -> Aggregate:
    """How the paper that prints numbers for this report makes one of many; HEADLINE where none does."""
    return next((score.aggregate for score, _ in _printed_for(report)), HEADLINE)


def _printed_for(report: Report) -> list[tuple[Score, Printed]]:
    """Scores and printed numbers of the first row that is what this report did."""
    for paper in catalog.names("sercache.papers"):
        for table in catalog.load("sercache.papers", paper).TABLES.values():
            for row in table.rows:
                found = [
                    (cell.ours, _share(cell.printed, table.scale))
                    for cell in row.cells.values()
                    if cell.printed and isinstance(cell.ours, Score) and _is_of(cell.ours, report)
                ]
                if found:
                    return found
    return []


_TELLING = ("states", "frames", "normalise", "protocol", "target", "beside", "finetune_from")
"""Fields of a set-up in which the rows of one head, encoder and corpus differ."""


def _is_of(score: Score, report: Report) -> bool:
    """Whether a cell is what this report did: main test parts, all classes, the same features and folds."""
    trial = score.trial
    if (
        score.on is not None
        or score.of is not None
        or (trial.head, trial.encoder, trial.dataset)
        != (report.head, report.setup["encoder"], report.corpus["name"])
        or trial.start is not None
        or trial.speaker is not None
        or _options(trial.head, trial.options) != _options(report.head, report.options)
        or {also.dataset for also in trial.also_train} != {more["name"] for more in report.also_trained}
    ):
        return False
    meant = plan(trial)
    setup = {**dataclasses.asdict(meant.setup), "beside": list(meant.setup.beside)}
    corpus = catalog.load("sercache.datasets", trial.dataset)
    if report.corpus["task"] != (meant.setup.task or corpus.INFO.default_task):
        return False
    return meant.recipe.loss == report.recipe.get("loss", meant.recipe.loss) and all(
        setup[name] == report.setup.get(name, setup[name]) for name in _TELLING
    )


def _options(head: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return all_options(catalog.load("heads", head).Head, options)


def _share(number: Printed, scale: float) -> Printed:
    return Printed(number.mean / scale, None if number.std is None else number.std / scale)

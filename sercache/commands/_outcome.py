"""What a training leaves behind: run folder, plots, and the table with the printed numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sercache import catalog
from sercache.commands._console import say, used, warn
from sercache.errors import MissingExtraError
from sercache.papers import Printed
from sercache.report import page, plots, runs, tables
from sercache.report.record import Report


def finish(report: Report, weights: Mapping[tuple[str, int], Mapping[str, Any]], folder: Path) -> None:
    """Write the run folder with its plots, print the table and where things lie."""
    runs.save(report, folder, weights=weights)
    draw(report, folder)
    for line in report.deviations:
        warn(f"differs from the paper: {line}")
    say()
    say(tables.table([report], printed=[printed(report)]))
    used("run", str(folder))


def draw(report: Report, folder: Path) -> None:
    """Plots as PNG and SVG and a page with all of the run, or one line why there are none."""
    try:
        drawn = plots.draw(report, folder / "plots")
    except MissingExtraError as fault:
        warn(str(fault))
        return
    used("plots", ", ".join(path.name for path in drawn if path.suffix == ".png") + f" in {folder / 'plots'}")
    page.write(report, folder / "report.html", printed=printed(report))
    used("page", str(folder / "report.html"))


def printed(report: Report) -> Mapping[str, Printed]:
    """The numbers that a paper prints for this head, encoder and corpus; empty where none does."""
    for paper in catalog.names("sercache.papers"):
        for table in catalog.load("sercache.papers", paper).TABLES.values():
            for row in table.rows:
                trial = row.trial
                if (
                    trial
                    and not trial.also_train
                    and not report.also_trained
                    and (
                        (trial.head, trial.encoder, trial.dataset)
                        == (report.head, report.setup["encoder"], report.corpus["name"])
                    )
                ):
                    return row.printed
    return {}

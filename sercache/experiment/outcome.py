"""What a training leaves behind: run folder, plots, and the table with the printed numbers beside ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache.errors import MissingExtraError
from sercache.evaluation import Unfinished, unfinished
from sercache.experiment.places import partial_of
from sercache.layout import terminal_width
from sercache.progress import used, warn
from sercache.published.compare import Beside, printed_beside, record_of
from sercache.record import HEADLINE, Aggregate, Report
from sercache.report import Format, page, plots, runs, tables


def finish(report: Report, weights: Mapping[tuple[str, int | None], Mapping[str, Any]], folder: Path) -> None:
    """Write the run folder with its plots."""
    runs.save(compared(report), folder, weights=weights)
    draw(report, folder)


def unfinished_at(path: Path) -> list[Unfinished]:
    """What is known of the unfinished runs of a name, ``RUN`` or ``RUN.partial``; empty where there is none."""
    if (path / runs.REPORT).is_file():
        return []
    folder = path if path.suffix == partial_of(path).suffix else partial_of(path)
    return unfinished(folder) if folder.is_dir() else []


def shown(reports: Sequence[Report], names: Sequence[str] | None = None, format: Format = "text") -> str:
    """Tables of some reports, with what papers print for them by these papers' own conventions.

    Text fits the terminal, and is whole in a pipe.
    """
    return tables.table(
        reports,
        printed=[printed(report) for report in reports],
        aggregates=[convention(report) for report in reports],
        names=names,
        format=format,
        width=terminal_width(),
    )


def draw(report: Report, folder: Path) -> None:
    """Plots as PNG and SVG and a page with all of the run, or one line why there are none."""
    try:
        drawn = plots.draw(report, folder / "plots")
    except MissingExtraError as fault:
        warn(str(fault))
        return
    used("plots", ", ".join(path.name for path in drawn if path.suffix == ".png") + f" in {folder / 'plots'}")
    page.write(report, folder / "report.html", printed=printed(report), aggregate=convention(report))
    used("page", str(folder / "report.html"))


def printed(report: Report) -> Mapping[str, Beside]:
    """The numbers that a paper prints for what this report did, or for what comes closest, by metric."""
    return {each.score.metric: each for each in printed_beside(report)}


def convention(report: Report) -> Aggregate:
    """How the paper that prints numbers for this report makes one of many; HEADLINE where none does."""
    return next((each.score.aggregate for each in printed_beside(report)), HEADLINE)


def compared(report: Report) -> Report:
    """The report with what papers print for it, and what differs, on record."""
    return dataclasses.replace(report, printed=tuple(map(record_of, printed_beside(report))))

"""Pictures as they stand inside a page: SVG with a title for readers of screens, and the same numbers as a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from sercache.record import NAMES, Report
from sercache.report.layer_plots import names_of_states
from sercache.report.render import Cell, ReportTable

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADINGS = {
    "layer-weights": "Layer weights", "confusion": "Confusion", "scatter": "True and predicted",
    "learning-curves": "Learning curves", "folds": "Scores by fold", "calibration": "Probabilities",
}  # fmt: skip
_TAG = re.compile(r"<svg\b([^>]*)>", re.DOTALL)
_SIZE = re.compile(r'\s(?:width|height)="[^"]*"')
_VIEW = re.compile(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) [\d.]+"')
_NAMED = re.compile(r'(\bid="|url\(#|href="#)')
_ASIDE = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style\b[^>]*>.*?</style>", re.DOTALL)
"""What is not drawn; a style would be that of the whole page."""
_MOST_EPOCHS = 60
"""Of more, every so many are in the table."""


@dataclass(frozen=True)
class Picture:
    """A picture of a page."""

    name: str
    heading: str
    svg: Markup
    """Drawn by us: what names hold stands in it as text."""
    width: float
    """Points that it is as wide as, so that its letters have their size."""
    table: ReportTable | None = None
    """What it shows, in numbers; None where a table of the page has these."""


def picture(name: str, svg: bytes, report: Report | None = None) -> Picture:
    """A figure that we have drawn as SVG, with its table where the page has none."""
    kind, _, corpus = name.partition("-on-")
    heading = _HEADINGS.get(kind, kind.replace("-", " ").capitalize()) + (f" on {corpus}" if corpus else "")
    text = _ASIDE.sub("", svg.decode("utf-8"))
    text = text[text.index("<svg") :]
    text = _NAMED.sub(rf"\g<1>{re.sub(r'[^A-Za-z0-9-]', '-', name)}-", text)  # ids are unique within a page
    view = _VIEW.search(text)
    label = escape(heading, quote=True)
    text = _TAG.sub(
        lambda tag: f'<svg{_SIZE.sub("", tag[1])} role="img" aria-label="{label}"><title>{label}</title>',
        text,
        count=1,
    )
    table = None if report is None else _TABLES.get(name, lambda of: None)(report)
    return Picture(name, heading, Markup(text), float(view[1]) if view else 480.0, table)


def _weights_table(report: Report) -> ReportTable | None:
    shares = report.layer_weights()
    if shares is None:
        return None
    names = names_of_states(report, shares.shape[1])
    rows = [
        (name, float(own.mean()), float(own.min()), float(own.max()))
        for name, own in zip(names, shares.T, strict=True)
    ]
    about = f"over {len(shares)} trainings; {report.layer_weights_are}"
    return ReportTable("Layer weights", ("state", "mean share", "least", "most"), tuple(rows), (about,), 3)


def _curves_table(report: Report) -> ReportTable | None:
    longest = max((len(run.history) for run in report.runs), default=0)
    if not longest:
        return None
    keys = {
        "train_loss": "training loss", "dev_loss": "dev loss",
        f"dev_{report.main_metric}": f"dev {NAMES[report.main_metric]}",
    }  # fmt: skip
    step = -(-longest // _MOST_EPOCHS)
    epochs = sorted({*range(0, longest, step), longest - 1})
    rows = []
    for epoch in epochs:
        going = [run.history[epoch] for run in report.runs if epoch < len(run.history)]
        means: Sequence[Cell] = [_mean([each.get(key) for each in going]) for key in keys]
        rows.append((epoch + 1, len(going), *means))
    columns = ("epoch", "trainings", *keys.values())
    return ReportTable("Learning curves", columns, tuple(rows), ("means of the trainings that still train",))


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


_TABLES = {"layer-weights": _weights_table, "learning-curves": _curves_table}

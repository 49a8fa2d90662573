"""A run as one HTML file: tables, plots and provenance, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache import files
from sercache.record import HEADLINE, Aggregate, CrossCorpus, Report
from sercache.report.breakdown import breakdown_table
from sercache.report.notes import differences, provenance
from sercache.report.plots import figures, svg
from sercache.report.printed import PrintedNumber
from sercache.report.probabilities import calibration_table, selective_table
from sercache.report.render import ReportTable, html
from sercache.report.tables import (
    classes_table,
    cross_corpus_table,
    folds_table,
    metrics_table,
    outputs_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --faint: #555; --line: #ddd; --block: #f5f5f5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #181818; --faint: #aaa; --line: #444; --block: #242424; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
h1, h2, th, td, li, p { unicode-bidi: plaintext; }
table { border-collapse: collapse; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left; }
th { border-bottom: 2px solid var(--faint); vertical-align: bottom; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.number { text-align: right; }
.wide { overflow-x: auto; margin: 0.5rem 0; }
.note { color: var(--faint); margin: 0.1rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
pre { background: var(--block); padding: 0.7rem; overflow-x: auto; font-size: 13px; }
summary { cursor: pointer; }
@media (max-width: 40rem) { img { max-width: none; width: 36rem; } }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #444; --line: #bbb; --block: #fff; }
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  h2 { break-after: avoid; }
  tr, .picture { break-inside: avoid; }
  .wide { overflow: visible; }
  table { font-size: 8.5pt; }
  th, td { padding: 0.1rem 0.35rem; }
  img { max-width: 100%; width: auto; max-height: 20cm; }
}
"""
"""Colours of the reader's choice, light or dark; what is wider than the window scrolls by itself; print is light."""


def write(
    report: Report,
    path: Path,
    *,
    printed: Mapping[str, PrintedNumber] | None = None,
    aggregate: Aggregate = HEADLINE,
    drawn: Sequence[Path] | None = None,
) -> Path:
    """Write the page of a report to ``path``; ``drawn`` are its plots where they lie on the disk already.

    ``aggregate`` is the convention of the ``printed`` numbers.

    Raises MissingExtraError without matplotlib.
    """
    files.write_text(path, page(report, printed=printed, aggregate=aggregate, drawn=drawn))
    return path


def write_table(table: ReportTable, drawn: Mapping[str, Figure], path: Path) -> Path:
    """Write a table of several rows with its pictures, by name, as one page."""
    pictures = "".join(_picture(name, _drawn(figure)) for name, figure in drawn.items())
    files.write_text(path, _whole(table.title, [html(table), pictures]))
    return path


def page(
    report: Report,
    *,
    printed: Mapping[str, PrintedNumber] | None = None,
    aggregate: Aggregate = HEADLINE,
    drawn: Sequence[Path] | None = None,
) -> str:
    """The page as text."""
    if drawn is None:
        found = {name: _drawn(figure) for name, figure in figures(report).items()}
    else:
        found = {path.stem: path.read_bytes() for path in drawn if path.suffix == ".svg"}
    pictures = "".join(_picture(name, content) for name, content in found.items())
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        _section("Scores", metrics_table(report, printed, aggregate=aggregate), report)
        if report.summary
        else "",
        _section("Other corpora", cross_corpus_table(report), report) if report.cross_corpus else "",
        ""
        if report.summary or report.cross_corpus
        else f"<p>Nothing was tested.</p>{_list(provenance(report))}",
        "<h2>Differences from what was published</h2>",
        _list(report.deviations) or "<p>None.</p>",
        "<h2>Plots</h2>" if pictures else "",
        pictures,
        _section("Targets" if report.targets else "Classes", outputs_table(report)) if report.summary else "",
        *(
            _section(f"Classes on {there.dataset}", classes_table(report, there))
            for there in report.cross_corpus
            if report.classes
        ),
        _section("Folds", folds_table(report)),
        *(_section(heading, made) for heading, made in _behind(report).items()),
        "<h2>What made it</h2>",
        "".join(_record(name, getattr(report, name)) for name in _RECORDS),
        "".join(_record(f"tested on {there.dataset}", _about(there)) for there in report.cross_corpus),
    ]
    return _whole(report.title, parts)


def _whole(title: str, parts: Sequence[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _behind(report: Report) -> dict[str, ReportTable]:
    """What lies behind the score, by heading: probabilities, and the speakers."""
    found = {}
    if report.predictions and report.predictions[0].probabilities:
        found = {"Calibration": calibration_table(report), "Answering the surest": selective_table(report)}
    speakers = {p.id: p.speaker for p in report.predictions if p.speaker}
    if len(set(speakers.values())) > 1:
        found["Speakers"] = breakdown_table(report, "speaker", speakers)
    return found


def _section(heading: str, table: ReportTable, report: Report | None = None) -> str:
    """A table under a heading of the page, without what a list of ``report`` says already."""
    listed = differences(report) if report is not None else []
    notes = tuple(note for note in table.notes if note not in listed)
    return html(replace(table, title=heading, notes=notes))


_RECORDS = ("setup", "recipe", "options", "corpus", "features", "also_trained", "environment", "timing")


def _about(there: CrossCorpus) -> dict[str, Any]:
    """What was read of another corpus."""
    return {"corpus": there.corpus, "normalisation": there.normalisation, "features": there.features}


def _drawn(figure: Any) -> bytes:
    """A figure as SVG."""
    out = io.BytesIO()
    svg(figure, out)
    return out.getvalue()


def _picture(name: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    alt = escape(name.replace("-", " "))
    return f'<div class="wide picture"><img alt="{alt}" src="data:image/svg+xml;base64,{data}"></div>\n'


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if lines else ""


def _record(name: str, values: Any) -> str:
    """What is on record, folded up: whoever asks opens it."""
    if not values:
        return ""
    text = json.dumps(values, indent=1, ensure_ascii=False)
    title = escape(name.replace("_", " "))
    return f"<details><summary>{title}</summary><pre>{escape(text)}</pre></details>"

"""A run as one HTML file: tables, plots and provenance, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sercache import files
from sercache.record import HEADLINE, Aggregate, CrossCorpus, Report
from sercache.report.plots import figures, svg
from sercache.report.printed import PrintedNumber
from sercache.report.render import html
from sercache.report.tables import (
    classes_table,
    cross_corpus_table,
    folds_table,
    metrics_table,
    outputs_table,
)

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; }
th { border-bottom: 2px solid #333; }
th:first-child, td:first-child { text-align: left; }
.note { color: #555; margin: 0.1rem 0; }
img { max-width: 100%; }
pre { background: #f5f5f5; padding: 0.7rem; overflow-x: auto; font-size: 13px; }
"""


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
    deviations = _list(report.deviations) or "<p>None.</p>"
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        html(metrics_table(report, printed, aggregate=aggregate)) if report.summary else "",
        html(cross_corpus_table(report)) if report.cross_corpus else "",
        "" if report.summary or report.cross_corpus else "<p>Nothing was tested.</p>",
        "<h2>Differences from what was published</h2>",
        deviations,
        "<h2>Plots</h2>",
        pictures,
        html(outputs_table(report)) if report.summary else "",
        *(html(classes_table(report, there)) for there in report.cross_corpus if report.classes),
        html(folds_table(report)),
        "<h2>What made it</h2>",
        "".join(_record(name, getattr(report, name)) for name in _RECORDS),
        "".join(_record(f"tested on {there.dataset}", _about(there)) for there in report.cross_corpus),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


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
    return f'<p><img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}"></p>\n'


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if lines else ""


def _record(name: str, values: Any) -> str:
    text = json.dumps(values, indent=1, ensure_ascii=False)
    return f"<h3>{escape(name.replace('_', ' '))}</h3><pre>{escape(text)}</pre>" if values else ""

"""A run as one HTML file: result, pictures, single utterances and what made it, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache import files
from sercache.record import HEADLINE, NAMES, Aggregate, CrossCorpus, Report
from sercache.report import in_words, listed
from sercache.report.breakdown import breakdown_table
from sercache.report.canvas import narrow
from sercache.report.extras import NOTHING, PageExtras
from sercache.report.html_pages import render, table_view
from sercache.report.notes import differences, made_of, provenance
from sercache.report.pictures import Picture, picture
from sercache.report.plots import figures, svg
from sercache.report.printed import PrintedNumber
from sercache.report.probabilities import calibration_table, selective_table
from sercache.report.render import ReportTable, show
from sercache.report.scatter import HEIGHT, WIDTH, marked_map
from sercache.report.tables import (
    classes_table,
    cross_corpus_table,
    folds_table,
    metrics_table,
    outputs_table,
)
from sercache.report.utterances import UtteranceRow, utterance_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES = 14
"""Of more, the confusion matrix is a picture."""


def write(
    report: Report,
    path: Path,
    *,
    printed: Mapping[str, PrintedNumber] | None = None,
    aggregate: Aggregate = HEADLINE,
    extras: PageExtras = NOTHING,
) -> Path:
    """Write the page of a report to ``path``.

    ``aggregate`` is the convention of the ``printed`` numbers, ``extras`` what the report itself does not say.

    Raises MissingExtraError without matplotlib.
    """
    files.write_text(path, page(report, printed=printed, aggregate=aggregate, extras=extras))
    return path


def write_table(table: ReportTable, drawn: Mapping[str, Figure], path: Path) -> Path:
    """Write a table of several rows with its pictures, by name, as one page."""
    pictures = [drawn_view(name, figure) for name, figure in drawn.items()]
    files.write_text(path, render("table.html", title=table.title, view=table_view(table), pictures=pictures))
    return path


def page(
    report: Report,
    *,
    printed: Mapping[str, PrintedNumber] | None = None,
    aggregate: Aggregate = HEADLINE,
    extras: PageExtras = NOTHING,
) -> str:
    """The page as text."""
    there = None if report.predictions or not report.cross_corpus else report.cross_corpus[0]
    rows = utterance_rows(report.predictions if there is None else there.predictions, report.target)
    before, after = _before(report, printed, aggregate), _after(report)
    pictures = _pictures(report)
    maps = [made for each in extras.maps if (made := marked_map(each, rows, report.target))]
    clips = {id: base64.b64encode(sound).decode() for id, sound in extras.clips.items()}
    several = listed.listing_of(rows, report, extras, there.dataset if there else "") if rows else None
    parts = [
        *((section["anchor"], section["name"]) for section in before),
        ("differences", "Differences"),
        *([("others", "Other runs")] if extras.pairs else []),
        *([("pictures", "Pictures")] if pictures or _confusions(report) else []),
        *([("map", "Map")] if maps else []),
        *([("utterance-list", "Utterances")] if several else []),
        *((section["anchor"], section["name"]) for section in after),
        ("made", "What made it"),
    ]
    return render(
        "run.html",
        title=report.title,
        home=extras.index,
        sections=parts,
        tested=bool(report.summary or report.cross_corpus),
        result=_result(report),
        before=before,
        differences=report.deviations,
        pairs=table_view(extras.pairs) if extras.pairs else None,
        pictures=[_shown(each) for each in pictures],
        confusions=_confusions(report),
        maps=[{**vars(each), "view": table_view(each.table)} for each in maps],
        width=WIDTH,
        height=HEIGHT,
        utterances=several,
        clips={key: clips[id] for id, key in listed.keys_of(rows, extras).items()},
        after=after,
        made=in_words.made_of(report),
        there={f"{each.dataset} ({each.task})": in_words.made_there(each) for each in report.cross_corpus},
    )


def _result(report: Report) -> dict[str, Any] | None:
    """The main score, its interval first among what stands beside it; None where nothing was tested at home."""
    found = report.summary.get(report.main_metric)
    if found is None:
        return None
    mean, interval = found.seeds.mean, found.interval(HEADLINE)
    has_ends = interval is not None and interval.low is not None and interval.high is not None
    chance = 0.0 if report.targets else 1 / len(report.classes)
    name, score = NAMES[report.main_metric], show(found.seeds, 3)
    ends = "no interval" if interval is None else f"no interval from {interval.counted}"
    if interval is not None and has_ends:
        ends = f"95 % {interval.low:.3f} to {interval.high:.3f}, over {interval.counted}"
    other = [
        f"{NAMES[key]} {show(report.summary[key].seeds, 3)}"
        for key in report.metrics
        if key in report.summary
    ]
    return {
        "name": name,
        "score": score,
        "interval": ends,
        "about": "; ".join([report.estimand(HEADLINE), f"chance {chance:.3f}", *other[:1], *other[2:]]),
        "told": f"{name} {score}, {ends}; chance {chance:.3f}",
        "mean": min(max(mean, 0.0), 1.0),
        "low": max(interval.low, 0.0) if interval is not None and interval.low is not None else None,
        "high": min(interval.high, 1.0) if interval is not None and interval.high is not None else None,
        "chance": chance,
        "chance_name": "chance",
    }


def _before(
    report: Report, printed: Mapping[str, PrintedNumber] | None, aggregate: Aggregate
) -> list[dict[str, Any]]:
    """Scores at home and on other corpora, without what the page says elsewhere."""
    found = []
    if report.summary:
        found.append(_section("Scores", metrics_table(report, printed, aggregate=aggregate), report))
    if report.cross_corpus:
        found.append(_section("Other corpora", cross_corpus_table(report), report))
    if not found:
        found.append(
            {"anchor": "rests-on", "name": "What it rests on", "views": [], "notes": provenance(report)}
        )
    return found


def _after(report: Report) -> list[dict[str, Any]]:
    """What lies behind the score: classes, folds, probabilities, and the speakers."""
    found = []
    if report.summary:
        found.append(_section("Targets" if report.targets else "Classes", outputs_table(report)))
    for there in report.cross_corpus if report.classes else ():
        found.append(_section(f"Classes on {there.dataset}", classes_table(report, there)))
    found.append(_section("Folds", folds_table(report)))
    if report.predictions and report.predictions[0].probabilities:
        found.append(_section("Calibration", calibration_table(report)))
        found.append(_section("Answering the surest", selective_table(report)))
    speakers = {p.id: p.speaker for p in report.predictions if p.speaker}
    if len(set(speakers.values())) > 1:
        found.append(_section("Speakers", breakdown_table(report, "speaker", speakers)))
    return found


def _section(heading: str, table: ReportTable, report: Report | None = None) -> dict[str, Any]:
    """A table under a heading of the page, without what a list of ``report`` says already."""
    said = differences(report) if report is not None else []
    view = table_view(table)
    view["notes"] = [note for note in table.notes if note not in said]
    anchor = "".join(letter if letter.isalnum() else "-" for letter in heading.lower())
    return {"anchor": anchor, "name": heading, "views": [{**view, "title": heading}], "notes": []}


def _pictures(report: Report) -> list[Picture]:
    """The plots of a run, those that the page has as tables left out."""
    as_table = {each["name"] for each in _confusions(report)}
    with narrow():
        drawn = figures(report)
    return [picture(name, _drawn(figure), report) for name, figure in drawn.items() if name not in as_table]


def _confusions(report: Report) -> list[dict[str, Any]]:
    """Confusion matrices of few classes, of the test parts and of other corpora."""
    if report.targets or len(report.classes) > _MOST_CLASSES:
        return []
    found = [_confusion(report)] if report.summary else []
    return found + [_confusion(report, there) for there in report.cross_corpus]


def _confusion(report: Report, there: CrossCorpus | None = None) -> dict[str, Any]:
    from sercache.report.plots import names_there

    rows = []
    for name, counts in zip(report.classes, (there or report).confusion, strict=True):
        n = sum(counts)
        rows.append((name, [(count / n if n else 0.0, count if n else None) for count in counts]))
    more = f"-on-{names_there(report, there)}" if there else ""
    heading = "Confusion" + (f" on {there.dataset}" if there else "")
    told = f"Share of the true class in a row, and counts: {made_of(report, there)}"
    return {
        "name": f"confusion{more}",
        "heading": heading,
        "told": told,
        "classes": report.classes,
        "rows": rows,
    }


def drawn_view(name: str, figure: Figure) -> dict[str, Any]:
    """A figure as templates take it."""
    return _shown(picture(name, _drawn(figure)))


def _shown(each: Picture) -> dict[str, Any]:
    return {**vars(each), "view": table_view(each.table) if each.table else None}


def _drawn(figure: Any) -> bytes:
    """A figure as SVG."""
    out = io.BytesIO()
    svg(figure, out)
    return out.getvalue()


__all__ = ["UtteranceRow", "page", "write", "write_table"]

"""The utterances of a page: which are listed, their columns, filters, and which of them have sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sercache.record import Report, counted
from sercache.report.extras import PageExtras
from sercache.report.utterances import UtteranceRow, listed_rows
from sercache.text import natural

_MOST_CHOICES = 200
"""Of a list to choose from; of more there is the field for words."""
_PRINTED = 40
"""Rows that stand on paper, as ``page.css`` has it."""


def listing_of(
    rows: Sequence[UtteranceRow], report: Report, extras: PageExtras, corpus: str
) -> dict[str, Any]:
    """The table as templates take it; ``corpus`` names another one than that of the folds."""
    shown, keys = listed_rows(rows), keys_of(rows, extras)
    is_classes, has_words = not report.targets, bool(extras.transcripts)
    several = max(row.n for row in rows) > 1
    has_speakers = any(row.speaker for row in rows)
    columns = [
        _column("utterance"),
        *([_column("speaker")] if has_speakers else []),
        *([_column("true"), _column("predicted")] if is_classes else []),
        *([_column("wrong", number=True, sorted=True)] if is_classes and several else []),
        *(
            [_column("p of true", number=True)]
            if is_classes
            else [_column("error", number=True, sorted=True)]
        ),
        _column("scores" if is_classes else "predicted (true)"),
        *([_column("said")] if has_words else []),
    ]
    filters = _filters(shown, report, has_sound=bool(keys))
    return {
        "heading": f"Utterances of {corpus}" if corpus else "Utterances",
        "columns": columns,
        "has_sound": bool(keys),
        "filters": filters,
        "chosen": {"wrong": "1"} if is_classes and any(row.is_wrong for row in shown) else {},
        "rows": [_row(row, report, extras, keys, (has_speakers, several, has_words)) for row in shown],
        "notes": _notes(rows, shown, report, extras),
    }


def keys_of(rows: Sequence[UtteranceRow], extras: PageExtras) -> dict[str, str]:
    """By id what the clip of an utterance is called in the page, of those that are listed and have one."""
    own = [row.id for row in listed_rows(rows) if row.id in extras.clips]
    return {id: str(k) for k, id in enumerate(own)}


def _column(name: str, *, number: bool = False, sorted: bool = False) -> dict[str, Any]:
    return {"name": name, "number": number, "sorted": sorted}


def _filters(
    rows: Sequence[UtteranceRow], report: Report, *, has_sound: bool
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, heading and choices of each list to choose from."""
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    if report.classes:
        found.append(("wrong", "Result", [("1", "wrong"), ("0", "right")]))
        names = [(str(k), name) for k, name in enumerate(report.classes)]
        if len(names) <= _MOST_CHOICES:
            found += [("true", "True class", names), ("said", "Predicted class", names)]
    speakers = sorted({row.speaker for row in rows} - {""}, key=natural)
    if 1 < len(speakers) <= _MOST_CHOICES:
        found.append(("speaker", "Speaker", [(name, name) for name in speakers]))
    if has_sound:
        found.append(("sound", "Sound", [("1", "with sound")]))
    return found


def _row(
    row: UtteranceRow,
    report: Report,
    extras: PageExtras,
    keys: dict[str, str],
    has: tuple[bool, bool, bool],
) -> dict[str, Any]:
    has_speakers, several, has_words = has
    cells = [_cell("id broad", row.id)]
    cells += [_cell("speaker", row.speaker)] if has_speakers else []
    data = [("speaker", row.speaker), ("sound", "1" if row.id in keys else "0")]
    if report.targets:
        cells.append(_cell("number", f"{row.error:.3f}", row.error))
        true = zip(row.scores, row.true, strict=True)  # type: ignore[arg-type]
        cells.append(
            _cell("scores broad", ", ".join(f"{name} {own:.2f} ({of:.2f})" for (name, own), of in true))
        )
    else:
        true_name, said_name = (report.target.shown(each)[0] for each in (row.true, row.said))
        cells += [_cell("true", str(true_name)), _cell("said", str(said_name))]
        cells += [_cell("number", f"{row.n_wrong} of {row.n}", row.n_wrong / row.n)] if several else []
        cells.append(_cell("number", f"{1 - row.error:.2f}", 1 - row.error))
        cells.append(_cell("scores broad", ", ".join(f"{name} {p:.2f}" for name, p in row.scores)))
        data += [("true", str(row.true)), ("said", str(row.said))]
    cells += [_cell("words broad", extras.transcripts.get(row.id, ""))] if has_words else []
    told = " ".join(filter(None, [row.id, f"by {row.speaker}" if row.speaker else ""]))
    return {"cells": cells, "clip": keys.get(row.id), "told": told, "wrong": int(row.is_wrong), "data": data}


def _cell(kind: str, text: str, value: float | None = None) -> dict[str, Any]:
    return {"kind": kind, "text": text, "value": value}


def _notes(
    rows: Sequence[UtteranceRow], shown: Sequence[UtteranceRow], report: Report, extras: PageExtras
) -> list[str]:
    most = max(row.n for row in rows)
    what = "what was said of it" if most == 1 else f"the mean of its {counted(most, 'prediction')}"
    home = ", by the heads whose test part it lies in" if report.predictions else ""
    notes = [f"each row is an utterance with {what}{home}; the worst come first"]
    if len(shown) < len(rows):
        notes.append(
            f"{len(shown)} of {len(rows)} utterances: the worst {len(shown) // 2} and a sample of the others"
        )
    if len(shown) > _PRINTED:
        notes.append(f"on paper: the first {_PRINTED} rows as they are sorted and chosen")
    return [*notes, *extras.notes]

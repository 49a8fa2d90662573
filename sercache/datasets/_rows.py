"""Rows of a table of utterances: from CSV and its kin, or JSON lines, to checked values."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePath
from typing import Any

from sercache import tables
from sercache.errors import CorpusError, TextError

TEXT = (
    "id",
    "path",
    "label",
    "speaker",
    "group",
    "transcript",
    "language",
    "partition",
    "sex",
    "sentence",
    "corpus",
)
TIMES = ("start", "end")
ATTRIBUTES = ("arousal", "valence", "dominance")
_PLACES = {name: place for place, name in enumerate(TEXT)}
_OWN = ("id", "transcript")
"""Columns whose texts are others in each row; those of the rest are kept once, however many rows have them."""
COLUMNS = (*TEXT, *TIMES, *ATTRIBUTES, "scale")
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    "": "",
}
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M", "": ""}
_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One row, its values checked."""

    where: str
    """``line 3``, with the file before it where several tell of one corpus."""
    texts: tuple[str, ...]
    """In the order of TEXT; empty where the table has none."""
    span: tuple[float | None, float | None]
    """Start and end (s); None for those of the recording."""
    attributes: dict[str, float] | None
    """Those that the row has."""
    scale: tuple[float, float] | None
    """Ends of the attributes' scale."""
    fault: str = ""
    """Why there is no such segment of any recording; the row is set aside then, and has no times."""

    def __getitem__(self, name: str) -> str:
        """The text of a column, one of TEXT."""
        return self.texts[_PLACES[name]]


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a table, and the names of its columns."""

    rows: deque[CheckedRow]
    columns: tuple[str, ...]
    warnings: tuple[str, ...]


def parse(content: str, table: Path) -> Rows:
    """Rows of a table's text, by its suffix. Raises CorpusError, with the line, for what cannot be used."""
    if table.suffix.lower() in (".jsonl", ".ndjson"):
        return _of_json(content, table)
    rows, long = deque[CheckedRow](), list[tuple[int, int]]()
    try:
        found = tables.opened(content, table, COLUMNS)
        if found.columns and "path" not in found.columns:
            raise CorpusError(f"{table}: needs a column path, has {', '.join(found.columns)[:200]}")
        for row in found.rows:
            rows.append(checked(row.cells, table, f"line {row.line}", decimal_comma=found.separator != ","))
            if row.last_line > row.line:
                long.append((row.line, row.last_line))
    except TextError as fault:
        raise CorpusError(str(fault)) from None
    warnings = [
        f"{len(long)} rows of {table.name} span several lines, first: lines {first} to {last}"
        for first, last in long[:1]
    ]
    return Rows(rows, found.columns, tuple(warnings))


def _of_json(content: str, table: Path) -> Rows:
    rows, names = deque[CheckedRow](), dict[str, None]()
    for line, cells in _json_rows(content, table):
        names |= dict.fromkeys(cells)
        rows.append(checked(cells, table, f"line {line}"))
    return Rows(rows, tuple(names), ())


def _json_rows(content: str, table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and values of each line."""
    for line, text in enumerate(content.removeprefix("\ufeff").split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{table} line {line}: not JSON: {str(error)[:100]}") from None
        if not isinstance(row, dict):
            raise CorpusError(f"{table} line {line}: expected an object with a path, got {text.strip()[:60]}")
        cells = {tables.column(str(key)): value for key, value in row.items()}
        if len(cells) < len(row):
            raise CorpusError(
                f"{table} line {line}: two keys differ only by case or space: {', '.join(row)[:100]}"
            )
        if not cells.get("path"):
            raise CorpusError(f"{table} line {line}: expected an object with a path, got {text.strip()[:60]}")
        yield line, cells


def checked(
    cells: Mapping[str, Any], table: Path, at: str, *, fault: str = "", decimal_comma: bool = False
) -> CheckedRow:
    """The row of ``COLUMNS`` that stands ``at`` a line of a table, set aside where there is a ``fault`` already.

    Raises CorpusError, naming the line, for a value that cannot be used.
    """
    where = f"{table} {at}"
    text = {name: _string(cells.get(name), name, where) for name in TEXT}
    if not PurePath(text["path"]).name:
        raise CorpusError(f"{where}: expected the path of a recording, got {text['path']!r}")
    attributes = {
        name: number
        for name in ATTRIBUTES
        if (number := _number(cells.get(name), name, where, decimal_comma)) is not None
    }
    span, odd = _span(cells, decimal_comma)
    text["partition"] = _choice(text["partition"], PARTS, "partition", where)
    text["sex"] = _choice(text["sex"], SEXES, "sex", where)
    scale = _scale(_string(cells.get("scale"), "scale", where), where)
    texts = tuple(value if name in _OWN else sys.intern(value) for name, value in text.items())
    return CheckedRow(at, texts, span, attributes or None, scale, fault or odd)


def _span(cells: Mapping[str, Any], decimal_comma: bool) -> tuple[tuple[float | None, float | None], str]:
    """Start and end (s) where the row has them, or why they are none: what is wrong with one recording is no fault of
    the table.
    """
    times: dict[str, float] = {}
    for name in TIMES:
        try:
            number = _number(cells.get(name), name, "", decimal_comma)
        except CorpusError:
            return (None, None), f"{name} must be a number of seconds, got {cells.get(name)!r}"[:200]
        if number is not None:
            times[name] = number
    span = times.get("start"), times.get("end")
    fault = span_fault(*span)
    return ((None, None), fault) if fault else (span, "")


def span_fault(start: float | None, end: float | None) -> str:
    """Why no recording has a segment from ``start`` to ``end`` (s); empty where one may."""
    first = start or 0.0
    if first < 0 or (end is not None and end <= first):
        return (
            f"expected 0 <= start < end in seconds, got {first:g} and {'none' if end is None else f'{end:g}'}"
        )
    return ""


def _string(value: Any, name: str, where: str) -> str:
    """A text value; numbers are taken as they are written, so that speaker 3 may be a number."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _printable(value, name, where)
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return str(value)
    hint = "; leave it out, or write null, where there is none" if isinstance(value, float) else ""
    raise CorpusError(f"{where}: {name} must be text or a number, got {json.dumps(value)[:60]}{hint}")


def _printable(value: str, name: str, where: str) -> str:
    """``value`` without space around it, other spaces as plain ones. Raises CorpusError for what is no text."""
    if value.isascii() and value.isprintable():  # most are: nothing below would change them
        return value.strip()
    if name == "transcript":
        return value.strip().encode("utf-8", "replace").decode()
    if name != "path":
        value = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in value)
    value = value.strip().strip("\ufeff\u200b\u200e\u200f")
    # Joiners are part of Persian and Indic words.
    if (
        not value.replace("\u200c", "")
        .replace("\u200d", "")
        .replace("\u3000", "")
        .replace("\xa0", "")
        .isprintable()
    ):
        raise CorpusError(f"{where}: {name} holds characters that are no text: {value!r}"[:200])
    return value.encode("utf-8", "replace").decode()


def _number(value: Any, name: str, where: str, decimal_comma: bool = False) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if decimal_comma and isinstance(value, str) and _COMMA.fullmatch(value.strip()):
        value = value.replace(",", ".")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number):
        raise CorpusError(f"{where}: {name} must be a number, got {value!r}"[:200])
    return number


def _choice(text: str, choices: dict[str, str], name: str, where: str) -> str:
    if text.lower() not in choices:
        known = ", ".join(sorted({value for value in choices.values() if value}))
        raise CorpusError(f"{where}: {name} must be one of {known} or empty, got {text[:60]!r}")
    return choices[text.lower()]


def _scale(text: str, where: str) -> tuple[float, float] | None:
    """Ends of a scale written ``1..7``; None for an empty cell."""
    if not text:
        return None
    low, _, high = text.partition("..")
    ends = _number(low, "scale", where), _number(high, "scale", where)
    if ends[0] is None or ends[1] is None or not ends[0] < ends[1]:
        raise CorpusError(
            f"{where}: scale is written <least>..<greatest>, for example 1..7, got {text[:60]!r}"
        )
    return ends[0], ends[1]

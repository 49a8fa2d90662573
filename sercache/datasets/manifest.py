"""Any corpus described by one table: CSV, TSV or JSON lines, one utterance per row."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

from sercache.datasets._check import assemble
from sercache.datasets._files import entries
from sercache.datasets._labels import FOUR, canonical
from sercache.datasets._records import Corpus, CorpusInfo, Skipped, Utterance
from sercache.datasets._text import decode
from sercache.errors import CorpusError

_TEXT = ("id", "path", "label", "speaker", "group", "transcript", "language", "partition", "sex", "sentence")
_TIMES = ("start", "end")
_ATTRIBUTES = ("arousal", "valence", "dominance")
_COLUMNS = (*_TEXT, *_TIMES, *_ATTRIBUTES, "scale")
_SUFFIXES = (".csv", ".tsv", ".jsonl")
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    "": "",
}
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M", "": ""}

Row = tuple[int, dict[str, Any]]
"""Line number and values by column."""

INFO = CorpusInfo(
    title="Your own corpus, described by a table",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="write a table: one row per utterance",
    tree=(
        "<root>/manifest.csv | .tsv | .jsonl (or --root <that file>)\n"
        f"columns: {', '.join(_COLUMNS)}\n"
        "path is needed, relative to the table; id defaults to the path without its suffix;\n"
        "scale holds the ends of the attributes' scale, for example 1..7, in one row or all"
    ),
    tasks={"label": {}},
    default_task="label",
    official="the column partition",
    notes=(
        "The task label has the classes of the table; 4class has those that are written as common words.",
        "The release is a digest of the table: a changed table is another corpus to the cache.",
    ),
)


def read(root: Path) -> Corpus:
    """The utterances of the table at ``root``, a file or the folder that holds it.

    Rows whose recording does not exist are skipped. Raises CorpusError, with the line number, for rows
    that cannot be read.
    """
    table = _find(root)
    try:
        data = table.read_bytes()
    except OSError as error:
        raise CorpusError(f"manifest: cannot read {table}: {error.strerror}") from None
    parse = _json_rows if table.suffix.lower() == ".jsonl" else _table_rows
    rows = list(parse(decode(data), table))
    utterances: dict[str, Utterance] = {}
    skipped: list[Skipped] = []
    for line, row in rows:
        utterance = _utterance(row, table, line)
        if utterance.id in utterances:
            raise CorpusError(f"{table} line {line}: id {utterance.id} occurs twice; ids must be unique")
        if _exists(utterance.path):
            utterances[utterance.id] = utterance
        else:
            skipped.append(Skipped(f"line {line}: {utterance.id}", f"no such file: {utterance.path}"))
    return assemble(
        "manifest",
        table.parent,
        dataclasses.replace(
            INFO, tasks=_tasks(list(utterances.values())), attribute_range=_scale(rows, table)
        ),
        utterances.values(),
        skipped,
        release=hashlib.sha256(data).hexdigest()[:16],
        warnings=_warnings(rows, table),
    )


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that the file system refuses, for example one that is too long
        return False


def _find(root: Path) -> Path:
    """The table that ``root`` means."""
    if root.is_file():
        if root.suffix.lower() in _SUFFIXES:
            return root
        raise CorpusError(f"manifest: a table ends in {', '.join(_SUFFIXES)}, got {root}")
    if not root.is_dir():
        raise CorpusError(f"manifest: there is no file or folder {root}")
    tables = [p for p in entries(root) if p.suffix.lower() in _SUFFIXES and p.is_file()]
    tables = [p for p in tables if p.stem.lower() == "manifest"] or tables
    if len(tables) != 1:
        found = ", ".join(p.name for p in tables[:5]) or "none"
        raise CorpusError(
            f"manifest: expected manifest.csv, .tsv or .jsonl, or one table, in {root}, found {found}; "
            "point --root at the table"
        )
    return tables[0]


def _table_rows(text: str, table: Path) -> Iterator[Row]:
    """Rows of a CSV or TSV text."""
    first = text.split("\n", 1)[0]
    separator = "\t" if table.suffix.lower() == ".tsv" else ";" if "," not in first and ";" in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not header:
                header = _header(values, table)
                continue
            if len(values) != len(header):
                raise CorpusError(
                    f"{table} line {reader.line_num}: {len(values)} values for {len(header)} columns; "
                    "quote values that hold the separator"
                )
            yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise CorpusError(f"{table} line {reader.line_num}: {error}") from None


def _header(values: list[str], table: Path) -> list[str]:
    header = [value.strip().lower() for value in values]
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        raise CorpusError(f"{table}: column {double[0]!r} occurs twice")
    if "path" not in header:
        raise CorpusError(f"{table}: needs a column path, has {', '.join(header)[:200]}")
    return header


def _json_rows(text: str, table: Path) -> Iterator[Row]:
    """Rows of a JSON-lines text."""
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{table} line {line}: not JSON: {str(error)[:100]}") from None
        if not isinstance(row, dict) or not row.get("path"):
            raise CorpusError(
                f"{table} line {line}: expected an object with a path, got {content.strip()[:60]}"
            )
        yield line, {str(key).strip().lower(): value for key, value in row.items()}


def _utterance(row: dict[str, Any], table: Path, line: int) -> Utterance:
    """The utterance of one row."""
    text = {name: _string(row.get(name), name, table, line) for name in _TEXT}
    path = Path(text["path"])
    if not path.name:
        raise CorpusError(f"{table} line {line}: expected the path of a recording, got {text['path']!r}")
    numbers = {name: _number(row.get(name), name, table, line) for name in (*_TIMES, *_ATTRIBUTES)}
    start, end = numbers["start"], numbers["end"]
    if (start or 0.0) < 0 or (end is not None and end <= (start or 0.0)):
        raise CorpusError(f"{table} line {line}: expected 0 <= start < end in seconds, got {start} and {end}")
    attributes = {name: value for name in _ATTRIBUTES if (value := numbers[name]) is not None}
    return Utterance(
        id=text["id"] or PurePosixPath(path.as_posix()).with_suffix("").as_posix(),
        path=path if path.is_absolute() else table.parent / path,
        raw_label=text["label"],
        speaker=text["speaker"],
        group=text["group"],
        start=start,
        end=end,
        partition=_choice(text["partition"], _PARTS, "partition", table, line),
        transcript=text["transcript"] or None,
        language=text["language"],
        sex=_choice(text["sex"], _SEXES, "sex", table, line),
        sentence=text["sentence"],
        attributes=attributes or None,
    )


def _string(value: Any, name: str, table: Path, line: int) -> str:
    """A text value; numbers are taken as they are written, so that speaker 3 may be a number."""
    if value is None:
        return ""
    if isinstance(value, str):
        if name != "transcript" and not value.strip().isprintable():
            raise CorpusError(
                f"{table} line {line}: {name} holds characters that are no text: {value!r}"[:200]
            )
        return value.strip().encode("utf-8", "replace").decode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise CorpusError(f"{table} line {line}: {name} must be text, got {value!r}"[:200])


def _number(value: Any, name: str, table: Path, line: int) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number):
        raise CorpusError(f"{table} line {line}: {name} must be a number, got {value!r}"[:200])
    return number


def _choice(text: str, choices: dict[str, str], name: str, table: Path, line: int) -> str:
    if text.lower() not in choices:
        known = ", ".join(sorted({value for value in choices.values() if value}))
        raise CorpusError(f"{table} line {line}: {name} must be one of {known} or empty, got {text[:60]!r}")
    return choices[text.lower()]


def _scale(rows: list[Row], table: Path) -> tuple[float, float] | None:
    """Ends of the attributes' scale, which all rows that name one must share; None where none does."""
    found: dict[tuple[float, float], int] = {}
    for line, row in rows:
        text = _string(row.get("scale"), "scale", table, line)
        if text:
            low, _, high = text.partition("..")
            ends = _number(low, "scale", table, line), _number(high, "scale", table, line)
            if ends[0] is None or ends[1] is None or not ends[0] < ends[1]:
                raise CorpusError(
                    f"{table} line {line}: scale is written <least>..<greatest>, for example 1..7, got {text[:60]!r}"
                )
            found.setdefault((ends[0], ends[1]), line)
    if len(found) > 1:
        raise CorpusError(
            f"{table} line {list(found.values())[1]}: another scale than in line {min(found.values())}"
        )
    return next(iter(found), None)


def _tasks(utterances: list[Utterance]) -> dict[str, dict[str, str]]:
    """``label``: the labels as written; ``4class``: those that are common words for the four classes."""
    labels = sorted({u.raw_label for u in utterances if u.raw_label})
    four = {label: name for label in labels if (name := canonical(label)) in FOUR and name}
    return {"label": {label: label for label in labels}} | ({"4class": four} if four else {})


def _warnings(rows: list[Row], table: Path) -> list[str]:
    names = sorted({name for _, row in rows for name in row if name not in _COLUMNS})
    found = [f"columns of {table.name} that are not used: {', '.join(names)}"] if names else []
    if rows and not any("label" in row for _, row in rows):
        found.append(f"{table.name} has no column label: features can be extracted, heads cannot be trained")
    return found

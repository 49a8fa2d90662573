"""Transcripts in a file of their own: CSV, TSV or JSON lines with an id and a text per utterance."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sercache import tables, text
from sercache.errors import SettingsError, TextError

COLUMNS = ("id", "text")
"""Of the files that are written here; ``transcript`` is read as ``text`` too."""
_TEXTS = ("text", "transcript")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")


def read(path: Path) -> dict[str, str]:
    """Text by utterance id. A text may be empty: a recogniser may have found no word.

    Raises SettingsError for a file that cannot be read, lacks a column or names an id twice.
    """
    found: dict[str, str] = {}
    try:
        content = text.read(path).removeprefix("\ufeff")
    except TextError as fault:
        raise SettingsError(f"{path} cannot be read as transcripts: {fault}") from None
    for number, row in _rows(path, content):
        said = next((row[name] for name in _TEXTS if row.get(name) is not None), None)
        if not isinstance(row.get("id"), str) or not isinstance(said, str):
            raise SettingsError(f"{path}, line {number}: expected an id and a text, got {_short(row)}")
        name = str(row["id"]).strip()
        if name in found:
            raise SettingsError(f"{path}, line {number}: id {name} occurs twice; keep one line")
        found[name] = said.strip()
    if not found:
        raise SettingsError(
            f"{path} holds no transcripts; expected a header {','.join(COLUMNS)} and a line for each"
        )
    return found


def digest(texts: Mapping[str, str]) -> str:
    """First 16 hex digits of the sha256 of ids and texts, whatever the order and format of the file."""
    text = json.dumps(sorted(texts.items()), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def normalised(text: str) -> str:
    """``text`` in lower case, without punctuation, one space between words."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"[\w'’]+", plain.replace("_", " ")))


def append(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write (id, text) rows behind those of a CSV or TSV file, which is made where there is none.

    Raises SettingsError for a file of another kind.
    """
    delimiter = _DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        raise SettingsError(f"transcripts are written as .csv or .tsv, got {path}")
    is_new = not path.exists() or path.stat().st_size == 0
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerows(rows)


def _rows(path: Path, content: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """(line number, fields). Raises SettingsError for an unknown kind of file or a header without columns."""
    kind = path.suffix.lower()
    if kind in _LINES:
        for number, line in enumerate(content.split("\n"), start=1):
            if line.strip():
                yield number, _record(line, f"{path}, line {number}")
        return
    if kind not in _DELIMITERS:
        known = ", ".join([*_DELIMITERS, *_LINES])
        raise SettingsError(f"{path}: a file of transcripts ends in {known}")
    try:
        table = tables.parse(content, path, (*COLUMNS, *_TEXTS))
    except TextError as fault:
        raise SettingsError(f"{path} cannot be read as transcripts: {fault}") from None
    names = table.columns
    if "id" not in names or not any(name in names for name in _TEXTS):
        raise SettingsError(
            f"{path}: its first line must name the columns id and text, got {', '.join(names)[:200]}"
        )
    for row in table.rows:
        yield row.line, row.cells


def _record(line: str, where: str) -> Mapping[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise SettingsError(f"{where} cannot be read as transcripts: not JSON: {str(fault)[:100]}") from None
    if not isinstance(record, dict):
        raise SettingsError(f"{where}: expected an id and a text, got {line.strip()[:60]}")
    return {tables.column(str(key)): value for key, value in record.items()}


def _short(row: Mapping[str, object]) -> str:
    return json.dumps({str(key): value for key, value in row.items()}, ensure_ascii=False, default=str)[:80]

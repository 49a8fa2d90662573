"""Transcripts in a file of their own: CSV, TSV or JSON lines with an id and a text per utterance."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sercache.errors import SettingsError

COLUMNS = ("id", "text")
"""Of the files that are written here; ``transcript`` is read as ``text`` too."""
_TEXTS = ("text", "transcript")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")


def read(path: Path) -> dict[str, str]:
    """Text by utterance id. A text may be empty: a recogniser may have heard nothing.

    Raises SettingsError for a file that cannot be read, lacks a column or names an id twice.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in _rows(path, file):
                text = next((row[name] for name in _TEXTS if row.get(name) is not None), None)
                if not isinstance(row.get("id"), str) or not isinstance(text, str):
                    raise SettingsError(
                        f"{path}, line {number}: expected an id and a text, got {_short(row)}"
                    )
                if row["id"] in found:
                    raise SettingsError(f"{path}, line {number}: id {row['id']} occurs twice; keep one line")
                found[str(row["id"])] = text.strip()
    except (OSError, ValueError, csv.Error) as fault:
        raise SettingsError(
            f"{path} cannot be read as transcripts ({fault}); it is CSV, TSV or JSON lines"
        ) from fault
    if not found:
        raise SettingsError(
            f"{path} holds no transcripts; expected a header {','.join(COLUMNS)} and a line for each"
        )
    return found


def digest(texts: Mapping[str, str]) -> str:
    """First 16 hex digits of the sha256 of ids and texts, whatever the order and format of the file."""
    text = json.dumps(sorted(texts.items()), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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


def _rows(path: Path, file: Iterable[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    """(line number, fields). Raises SettingsError for an unknown kind of file or a header without columns."""
    kind = path.suffix.lower()
    if kind in _LINES:
        for number, line in enumerate(file, start=1):
            if line.strip():
                record = json.loads(line)
                yield number, record if isinstance(record, dict) else {"": record}
        return
    if kind not in _DELIMITERS:
        known = ", ".join([*_DELIMITERS, *_LINES])
        raise SettingsError(f"{path}: a file of transcripts ends in {known}")
    reader = csv.DictReader(file, delimiter=_DELIMITERS[kind], strict=True)
    names = reader.fieldnames or []
    if "id" not in names or not any(name in names for name in _TEXTS):
        raise SettingsError(
            f"{path}: its first line must name the columns id and text, got {', '.join(names)}"
        )
    for row in reader:
        yield reader.line_num, row


def _short(row: Mapping[str, object]) -> str:
    return json.dumps({str(key): value for key, value in row.items()}, ensure_ascii=False, default=str)[:80]

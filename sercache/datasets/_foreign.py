"""What other tools' descriptions of corpora have in common: names of columns, parts by file names, JSON in gzip."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sercache import tables, text
from sercache.datasets._files import entries
from sercache.datasets._own import fitted, of_table
from sercache.datasets._rows import COLUMNS, PARTS, SEXES
from sercache.errors import CorpusError, TextError
from sercache.files import read_fault
from sercache.units import listed

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "label": ("label", "emotion", "emo", "emotion_label", "emo_label", "labels"),
    "speaker": ("speaker", "speaker_id", "spk", "spk_id", "spkid"),
    "group": ("group", "session", "session_id", "dialogue", "dialogue_id"),
    "transcript": ("transcript", "transcription", "text", "words", "wrd"),
    "language": ("language", "lang"),
    "partition": ("partition", "split"),
    "sex": ("sex", "gender"),
    "arousal": ("arousal", "activation"),
    "corpus": ("corpus", "dataset"),
}
"""Our column -> what it is called by others, too; the first that a table has is taken."""
_LOOSE: Mapping[str, Mapping[str, str]] = {"partition": PARTS, "sex": SEXES}
"""Columns whose values count where they are known words, and else say nothing."""
_SHOWN = 5


def ours(cells: Mapping[str, Any], also: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The cells of a row under the names of our columns; ``also``: theirs -> ours, of the format itself.

    Values of parts and sexes that are no known words are left out.
    """
    low = {tables.column(str(name)): value for name, value in cells.items()}
    found = {mine: low[theirs] for theirs, mine in (also or {}).items() if low.get(theirs) not in (None, "")}
    for column in COLUMNS:
        for theirs in _SPELLINGS.get(column, (column,)):
            if column not in found and low.get(theirs) not in (None, ""):
                found[column] = low[theirs]
    for column, known in _LOOSE.items():
        if str(found.get(column, "")).strip().lower() not in known:
            del found[column]
    return found


def unused(columns: Iterable[str], also: Iterable[str], where: str) -> list[str]:
    """A line that names the columns which nothing is made of, or none; ``also`` are those that the format uses."""
    known = {*COLUMNS, *(name for names in _SPELLINGS.values() for name in names), *also}
    names = sorted({tables.column(name) for name in columns} - known)
    return [f"columns of {where} that are not used: {listed(names, _SHOWN)}"] if names else []


def without_labels(rows: Iterable[Mapping[str, Any]], where: str, expected: str) -> list[str]:
    """A line that says that no row has a label, or none."""
    if any(row.get("label") not in (None, "") for row in rows):
        return []
    return [f"{where} says no label, expected {expected}: features can be extracted, heads cannot be trained"]


def part_of(stem: str) -> str:
    """The part (train, dev, test) that the name of a file or folder says; empty where it says none."""
    words = re.split(r"[\W_]+", stem.lower())
    return next((PARTS[word] for word in reversed(words) if word and word in PARTS), "")


def called(name: str, said: Iterable[Any], table: Path, reader: str) -> str:
    """What a corpus is called: as asked, as all of its rows say, or after where its table lies."""
    if name:
        return name
    names = {str(each) for each in said if each}
    return fitted(names.pop() if len(names) == 1 else of_table(table), reader)


def read(path: Path) -> str:
    """Text of a file, which may be compressed by gzip. Raises CorpusError where it cannot be read."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return text.decode(data, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise CorpusError(f"{path}: is no whole gzip file ({fault}); get a whole copy") from None
    except OSError as fault:
        raise CorpusError(str(read_fault(path, fault))) from None
    except TextError as fault:
        raise CorpusError(str(fault)) from None


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``line 3`` and the object of each line. Raises CorpusError, with the line, for what is none."""
    for number, line in enumerate(read(path).removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            value = parsed(line, f"{path} line {number}")
            yield f"line {number}", value


def parsed(content: str, where: object) -> dict[str, Any]:
    """A JSON object. Raises CorpusError for what is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as fault:
        raise CorpusError(f"{where}: not JSON: {text.one_line(fault)[:100]}") from None
    if not isinstance(value, dict):
        raise CorpusError(f"{where}: expected a JSON object, got {text.one_line(content.strip())[:60]}")
    return value


def first_object(path: Path, most: int = 2**16) -> dict[str, Any]:
    """The object in the first line of a file, to tell its format by; empty where there is none to be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            value = json.loads(file.readline(most))
    except (OSError, ValueError, RecursionError, EOFError, zlib.error):
        return {}
    return value if isinstance(value, dict) else {}


def header(path: Path, most: int = 2**16) -> set[str]:
    """Columns in the first line of a table, to tell its format by; empty where there is none to be read."""
    try:
        with path.open("rb") as file:
            line = file.read(most).decode("utf-8", "replace").partition("\n")[0]
        return set(tables.parse(line, path).columns)
    except (OSError, TextError):
        return set()


def candidates(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """``root`` where it is a file of one of these kinds, or such files in it, sorted by name.

    Raises CorpusError for a folder that cannot be listed.
    """
    if root.is_file():
        return [root] if root.name.lower().endswith(suffixes) else []
    return [path for path in entries(root) if path.name.lower().endswith(suffixes) and path.is_file()]


def nothing(reader: str, root: Path, expected: str) -> CorpusError:
    """What to raise where ``root`` is not for a reader."""
    if not root.exists():
        return CorpusError(f"{reader}: there is no file or folder {root}")
    what = f"found no such file in {root}" if root.is_dir() else f"got {root}"
    return CorpusError(f"{reader}: expected {expected}, {what}; point --root at it")


def release_of(paths: Iterable[Path]) -> str:
    """A digest of the files that describe a corpus. Raises CorpusError where one cannot be read."""
    found = hashlib.sha256()
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError as fault:
            raise CorpusError(str(read_fault(path, fault))) from None
        found.update(hashlib.sha256(data).digest())
    return found.hexdigest()[:16]


def release_of_cells(cells: Iterable[Mapping[str, Any]]) -> str:
    """A digest of what is said of the recordings that lie packed: these are not read for it."""
    found = hashlib.sha256()
    for each in cells:
        found.update(
            json.dumps(each, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "replace")
        )
    return found.hexdigest()[:16]


def write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """A file of JSON lines, in gzip where its name says so; equal values are equal bytes."""
    content = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode(
        "utf-8", "replace"
    )
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)

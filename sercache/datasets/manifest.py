"""Any corpus described by one table: CSV, TSV or JSON lines, one utterance per row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from sercache import text
from sercache.datasets import _rows
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, corpus_of
from sercache.datasets._examples import _tables
from sercache.datasets._files import entries
from sercache.datasets._own import fitted, normal, of_table
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import COLUMNS, CheckedRow, Rows
from sercache.datasets._written import Done, WrittenUtterance, told
from sercache.errors import CorpusError, TextError
from sercache.files import read_fault, write_csv
from sercache.units import listed

_READER = "manifest"
_NAME = "corpus"
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_WORKBOOKS = (".xlsx", ".xls", ".ods")
_SNIFFED = 2**16
"""Bytes of a table that tell whether it is one of ours."""

INFO = CorpusInfo(
    title="Your own corpus, described by a table",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="write a table: one row per utterance",
    tree=(
        "<root>/manifest.csv | .tsv | .jsonl (or --root <that file>)\n"
        f"columns: {', '.join(COLUMNS)}\n"
        "path is needed, relative to the table; id defaults to the path without its suffix,\n"
        "of several segments of one recording to path[start-end];\n"
        "scale holds the ends of the attributes' scale, for example 1..7, in one row or all;\n"
        "corpus says what the corpus is called, the same in all rows; else --dataset manifest:NAME\n"
        "does, or the name of the table, or of its folder"
    ),
    tasks={"label": {}},
    default_task="label",
    official="the column partition",
    own=True,
    notes=(
        "The task label has the classes of the table; 4class has those that are written as common words.",
        "Labels, speakers and groups that differ only by case, space or the form of a letter are one; "
        "--labels-as-written keeps them apart.",
        "A table that is not UTF-8 is read with --encoding NAME.",
        "The release is a digest of the table: a changed table is another corpus to the cache, whose features of equal "
        "audio are copied and not encoded again.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The utterances of the table at ``root``, a file or the folder that holds it.

    ``name`` is what the corpus is called; else the column corpus says it, or where the table lies. Rows of a
    recording that does not exist, or of a segment that none has, are skipped. Raises CorpusError, with the line
    number, for rows that cannot be read.
    """
    table = _find(root)
    try:
        data = table.read_bytes()
        content = text.decode(data, table)
    except OSError as error:
        raise CorpusError(str(read_fault(table, error))) from None
    except TextError as error:
        raise CorpusError(str(error)) from None
    rows = _rows.parse(content, table)
    if not rows.rows:
        raise CorpusError(
            f"{table} holds no utterance; write a header with the column path, and one line for each"
        )
    called, remarks = (name, []) if name else _called(rows.rows, table)
    described = Described(
        table,
        table.parent,
        rows.rows,
        _release(data, content),
        (*remarks, *_columns(rows, table), *_unused_encoding(data, table), *rows.warnings),
    )
    del data, content  # they are as large as what is made of them
    return corpus_of(called, _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there is a table with a column path at ``root``: those of other tools have none."""
    try:
        with _find(root).open("rb") as file:
            return b"path" in file.read(_SNIFFED).replace(b"\0", b"").lower()
    except (CorpusError, OSError):
        return False


def _called(rows: Iterable[CheckedRow], table: Path) -> tuple[str, list[str]]:
    """What the corpus of a table is called, and remarks on that."""
    said = sorted({normal(row[_NAME]) for row in rows} - {""})
    remarks = []
    if len(said) > 1:
        remarks.append(
            f"column {_NAME} of {table.name} names {len(said)} corpora ({listed(said)}), expected one: it is "
            "not used; name the whole by --dataset manifest:NAME"
        )
    wanted = said[0] if len(said) == 1 else of_table(table)
    called = fitted(wanted, _READER)
    if len(said) == 1 and called != normal(wanted):
        remarks.append(
            f"column {_NAME} of {table.name} says {wanted!r}, which cannot be used; it is called {called}"
        )
    return called, remarks


def _find(root: Path) -> Path:
    """The table that ``root`` means."""
    if root.is_file():
        if root.suffix.lower() in (*_SUFFIXES, ".txt"):
            return root
        hint = "; save the sheet as CSV UTF-8" if root.suffix.lower() in _WORKBOOKS else ""
        raise CorpusError(f"manifest: a table ends in {', '.join(_SUFFIXES)}, got {root}{hint}")
    if not root.is_dir():
        raise CorpusError(f"manifest: there is no file or folder {root}")
    tables = [p for p in entries(root) if p.suffix.lower() in _SUFFIXES and p.is_file()]
    tables = [p for p in tables if p.stem.lower() == "manifest"] or tables
    if len(tables) != 1:
        found = listed((p.name for p in tables), 5) or "none"
        raise CorpusError(
            f"manifest: expected manifest.csv, .tsv or .jsonl, or one table, in {root}, found {found}; "
            "point --root at the table"
        )
    return tables[0]


def _release(data: bytes, content: str) -> str:
    """A digest of the table, and of its text where the encoding that was named decides it.

    Earlier releases of sercache took cp1252 for all that is not Unicode: the stores of such tables are found.
    """
    decided = text.needs_a_name(data) and content != data.decode("cp1252", errors="replace")
    return hashlib.sha256(data + content.encode() if decided else data).hexdigest()[:16]


def _unused_encoding(data: bytes, table: Path) -> list[str]:
    named = text.reading().encoding
    if named is None or data.isascii() or text.needs_a_name(data):
        return []
    return [f"{table.name} is Unicode by itself: --encoding {named} is not used for it"]


def _columns(rows: Rows, table: Path) -> list[str]:
    names = sorted(set(rows.columns) - set(COLUMNS))
    found = [f"columns of {table.name} that are not used: {', '.join(names)}"] if names else []
    if rows.rows and "label" not in rows.columns:
        found.append(f"{table.name} has no column label: features can be extracted, heads cannot be trained")
    return found


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``manifest.csv`` with the columns that have values."""
    rows = []
    for each in utterances:
        u = each.utterance
        times = {"start": u.start, "end": u.end}
        rows.append({**told(corpus, u), "path": each.path, **times})
        done(1)
    columns = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    write_csv(out / "manifest.csv", [columns, *([row.get(name) for name in columns] for row in rows)])


example = _tables.manifest

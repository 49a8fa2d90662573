"""Any corpus described by one table: CSV, TSV or JSON lines, one utterance per row."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sercache import text
from sercache.datasets import _alike, _ids, _rows
from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import entries
from sercache.datasets._labels import FOUR, canonical
from sercache.datasets._names import Names
from sercache.datasets._own import fitted, normal, of_table
from sercache.datasets._records import CorpusInfo, Skipped, Utterance
from sercache.datasets._repeated import Found, several_ids, unique
from sercache.datasets._rows import ATTRIBUTES, COLUMNS, CheckedRow, Rows
from sercache.errors import CorpusError, TextError
from sercache.files import read_fault
from sercache.units import listed

_READER = "manifest"
_NAME = "corpus"
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_WORKBOOKS = (".xlsx", ".xls", ".ods")
_MISSING = ("nan", "none", "null", "n/a", "na", "<na>")
"""Labels that programs write where there is none."""

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
    names = Names(table.parent)
    found, skipped = _utterances(rows.rows, names)
    spelt, alike = _alike.of_one_spelling([each.utterance for each in found])
    found = [Found(each.line, u) for each, u in zip(found, spelt, strict=True)]
    utterances, repeated = unique(found, table)
    called, remarks = (name, []) if name else _called(rows.rows, table)
    corpus = assemble(
        called,
        table.parent,
        dataclasses.replace(INFO, tasks=_tasks(utterances), attribute_range=_scale(rows.rows, table)),
        utterances,
        skipped,
        release=_release(data, content),
        warnings=[
            *remarks,
            *_columns(rows, table),
            *_unused_encoding(data, table),
            *rows.warnings,
            *names.warnings(),
            *names.outside(u.path for u in utterances),
            *alike,
            *repeated,
            *_missing_labels(utterances),
            *several_ids(found),
        ],
    )
    return dataclasses.replace(corpus, reader=_READER, table=table)


def holds(root: Path) -> bool:
    """Whether there is a table at ``root``."""
    try:
        return _find(root).is_file()
    except CorpusError:
        return False


def _called(rows: Sequence[CheckedRow], table: Path) -> tuple[str, list[str]]:
    """What the corpus of a table is called, and remarks on that."""
    said = sorted({normal(row.text[_NAME]) for row in rows} - {""})
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


def _utterances(rows: Sequence[CheckedRow], names: Names) -> tuple[list[Found], list[Skipped]]:
    """Utterances of the rows whose recording is there, and the others with the reason."""
    found: list[Found] = []
    skipped: list[Skipped] = []
    usable = [row for row in rows if not row.fault]
    for row in rows:
        if row.fault:
            named = row.text["id"] or _ids.stem(row.text["path"])
            skipped.append(Skipped(f"line {row.line}: {named}", row.fault))
    for row, name in zip(usable, _named(usable), strict=True):
        path = names.find(row.text["path"])
        if isinstance(path, str):
            skipped.append(Skipped(f"line {row.line}: {name}", path))
        else:
            found.append(Found(row.line, _utterance(row, name, path)))
    return found, skipped


def _named(rows: Sequence[CheckedRow]) -> list[str]:
    """The id of each row: its own, else from its path and, where several rows are of one path, its segment."""
    bare = [row for row in rows if not row.text["id"]]
    base = _ids.of_paths(row.text["path"] for row in bare)
    spans: dict[str, set[_ids.Span]] = {}
    for row in bare:
        spans.setdefault(row.text["path"], set()).add(row.span)
    cut = [row for row in bare if len(spans[row.text["path"]]) > 1]
    segments = iter(_ids.of_segments([base[row.text["path"]] for row in cut], [row.span for row in cut]))
    return [
        row.text["id"] or (next(segments) if len(spans[row.text["path"]]) > 1 else base[row.text["path"]])
        for row in rows
    ]


def _utterance(row: CheckedRow, name: str, path: Path) -> Utterance:
    told, (start, end) = row.text, row.span
    return Utterance(
        id=name,
        path=path,
        raw_label=told["label"],
        speaker=told["speaker"],
        group=told["group"],
        start=start,
        end=end,
        partition=told["partition"],
        transcript=told["transcript"] or None,
        language=told["language"],
        sex=told["sex"],
        sentence=told["sentence"],
        attributes={each: row.numbers[each] for each in ATTRIBUTES if each in row.numbers} or None,
    )


def _missing_labels(utterances: Sequence[Utterance]) -> list[str]:
    """Lines for labels that some rows lack, and for those that look as if a program had written them for none."""
    found = []
    empty = [u for u in utterances if not u.raw_label.strip()]
    if empty and len(empty) < len(utterances):
        found.append(f"{len(empty)} of {len(utterances)} utterances have no label, first: {empty[0].id}")
    strange = Counter(u.raw_label for u in utterances if u.raw_label.lower() in _MISSING)
    return found + [
        f"{n} {'utterance has' if n == 1 else 'utterances have'} the label {label!r}, which is taken as a class; leave "
        "the cell empty where there is no label"
        for label, n in strange.items()
    ]


def _scale(rows: Sequence[CheckedRow], table: Path) -> tuple[float, float] | None:
    """Ends of the attributes' scale, which all rows that name one must share; None where none does."""
    found: dict[tuple[float, float], int] = {}
    for row in rows:
        if row.scale is not None:
            found.setdefault(row.scale, row.line)
    if len(found) > 1:
        raise CorpusError(
            f"{table} line {list(found.values())[1]}: another scale than in line {min(found.values())}"
        )
    return next(iter(found), None)


def _tasks(utterances: Sequence[Utterance]) -> dict[str, dict[str, str]]:
    """``label``: the labels as written; ``4class``: those that are common words for the four classes."""
    labels = sorted({u.raw_label for u in utterances if u.raw_label})
    four = {label: name for label in labels if (name := canonical(label)) in FOUR and name}
    return {"label": {label: label for label in labels}} | ({"4class": four} if four else {})


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


example = _tables.manifest

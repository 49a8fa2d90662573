"""A corpus of rows that a table holds: what is the same for tables of one's own and those of other tools."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sercache.datasets import _alike, _ids
from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._labels import FOUR, canonical
from sercache.datasets._names import Names
from sercache.datasets._records import CorpusInfo, Skipped, Utterance
from sercache.datasets._repeated import Found, several_ids, unique
from sercache.datasets._rows import CheckedRow
from sercache.errors import CorpusError

_MISSING = ("nan", "none", "null", "n/a", "na", "<na>")
"""Labels that programs write where there is none."""
_ABOVE = 3
"""Folders above a table in which paths of it may begin: tools write them from where their recipe is run."""

_TRIED = 20
"""Paths by which that folder is told."""

Find = Callable[[str], Path | str]
"""The recording that a path of a row means, or why there is none."""


@dataclass(frozen=True)
class Described:
    """What a table, or a folder of tables, says of a corpus."""

    table: Path
    """What ``--root`` takes."""
    base: Path
    """The folder in which its paths begin."""
    rows: deque[CheckedRow]
    """Taken out of it as the corpus is made: rows and utterances of a million at once are a gigabyte."""
    release: str
    warnings: tuple[str, ...] = ()
    tasks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Label maps beside that of the labels as written, and of the four common classes."""
    find: Find | None = None
    """None: paths are of files below ``base``."""


def corpus_of(called: str, reader: str, info: CorpusInfo, described: Described) -> Corpus:
    """The corpus that a table describes, without the rows whose recording is not there.

    Raises CorpusError where two rows contradict each other, or none can be used.
    """
    names = Names(described.base)
    scale = _scale(described.rows, described.table)
    found, skipped = _utterances(described.rows, described.find or names.find)
    spelt, alike = _alike.of_one_spelling([each.utterance for each in found])
    if alike:
        found = [Found(each.where, u) for each, u in zip(found, spelt, strict=True)]
    utterances, repeated = unique(found, described.table)
    corpus = assemble(
        called,
        described.base,
        dataclasses.replace(info, tasks=_tasks(utterances) | dict(described.tasks), attribute_range=scale),
        utterances,
        skipped,
        release=described.release,
        warnings=[
            *described.warnings,
            *names.warnings(),
            *(names.outside(u.path for u in utterances) if described.find is None else ()),
            *alike,
            *repeated,
            *_missing_labels(utterances),
            *several_ids(found),
        ],
    )
    return dataclasses.replace(corpus, reader=reader, table=described.table)


def base_of(folder: Path, paths: Iterable[str]) -> Path:
    """``folder`` or one above it below which most of the first paths are files, the nearest of equals.

    Tools write paths relative to where their recipe was run, mostly some folders above its tables; some may be missing.
    """
    relative = (path for path in paths if path and not Path(path).is_absolute())
    first = list(islice(dict.fromkeys(relative), _TRIED))
    above = [folder, *folder.absolute().parents[:_ABOVE]] if first else [folder]

    def found(base: Path) -> int:
        names = Names(base)
        return sum(isinstance(names.find(path), Path) for path in first)

    return max(above, key=found)


def _utterances(rows: deque[CheckedRow], find: Find) -> tuple[list[Found], list[Skipped]]:
    """Utterances of the rows whose recording is there, and the others with the reason; no row is left."""
    found: list[Found] = []
    skipped: list[Skipped] = []
    names = iter(_named([row for row in rows if not row.fault]))
    while rows:
        row = rows.popleft()
        if row.fault:
            named = row["id"] or _ids.stem(row["path"])
            skipped.append(Skipped(f"{row.where}: {named}", row.fault))
            continue
        name, path = next(names), find(row["path"])
        if isinstance(path, str):
            skipped.append(Skipped(f"{row.where}: {name}", path))
        else:
            found.append(Found(row.where, _utterance(row, name, path)))
    return found, skipped


def _named(rows: Sequence[CheckedRow]) -> list[str]:
    """The id of each row: its own, else from its path and, where several rows are of one path, its segment."""
    bare = [row for row in rows if not row["id"]]
    base = _ids.of_paths(row["path"] for row in bare)
    spans: dict[str, set[_ids.Span]] = {}
    for row in bare:
        spans.setdefault(row["path"], set()).add(row.span)
    cut = [row for row in bare if len(spans[row["path"]]) > 1]
    segments = iter(_ids.of_segments([base[row["path"]] for row in cut], [row.span for row in cut]))
    return [
        row["id"] or (next(segments) if len(spans[row["path"]]) > 1 else base[row["path"]]) for row in rows
    ]


def _utterance(row: CheckedRow, name: str, path: Path) -> Utterance:
    start, end = row.span
    return Utterance(
        id=name,
        path=path,
        raw_label=row["label"],
        speaker=row["speaker"],
        group=row["group"],
        start=start,
        end=end,
        partition=row["partition"],
        transcript=row["transcript"] or None,
        language=row["language"],
        sex=row["sex"],
        sentence=row["sentence"],
        attributes=row.attributes,
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


def _scale(rows: Iterable[CheckedRow], table: Path) -> tuple[float, float] | None:
    """Ends of the attributes' scale, which all rows that name one must share; None where none does."""
    found: dict[tuple[float, float], str] = {}
    for row in rows:
        if row.scale is not None:
            found.setdefault(row.scale, row.where)
    if len(found) > 1:
        first, second, *_ = found.values()
        raise CorpusError(f"{table} {second}: another scale than in {first}")
    return next(iter(found), None)


def _tasks(utterances: Sequence[Utterance]) -> dict[str, dict[str, str]]:
    """``label``: the labels as written; ``4class``: those that are common words for the four classes."""
    labels = sorted({u.raw_label for u in utterances if u.raw_label})
    four = {label: name for label in labels if (name := canonical(label)) in FOUR and name}
    return {"label": {label: label for label in labels}} | ({"4class": four} if four else {})

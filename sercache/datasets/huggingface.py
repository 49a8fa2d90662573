"""Any corpus in Parquet as Hugging Face ``datasets`` writes it: a column of recordings as bytes, others beside it.

A column of recordings is a struct of ``bytes`` and ``path`` (``datasets.Audio``), or plain bytes. Recordings stay in
the Parquet files and are decoded by libsndfile.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sercache.datasets import _foreign, _parquet
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, base_of, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._files import entries
from sercache.datasets._names import Names
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import ATTRIBUTES, checked
from sercache.datasets._written import Done, WrittenUtterance, by_part, sharded, told
from sercache.errors import CorpusError
from sercache.units import size

_READER = "huggingface"
_SUFFIXES = (".parquet",)
_NOT_OURS = ("path", "start", "end")
"""Columns whose meaning differs from table to table."""
_LARGE = 2**29
"""Bytes of a row group from which reading single recordings of it is slow."""

HOLDS_AUDIO = True
"""The recordings are part of what is written."""

INFO = CorpusInfo(
    title="Parquet of Hugging Face datasets",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="https://huggingface.co/docs/datasets",
    tree=(
        "<root>/*.parquet or <root>/data/*.parquet (or --root <one file>) with a column audio of bytes and path,\n"
        "as load_dataset(...) downloads them and Dataset.to_parquet writes them"
    ),
    tasks={"label": {}},
    default_task="label",
    official="files whose names hold train, validation or test",
    own=True,
    notes=(
        "Labels come from label, emotion or emo; numbers of a ClassLabel are read as its names.",
        "A folder of Dataset.save_to_disk is written with Dataset.to_parquet first.",
        "Needs the package pyarrow: pip install 'sercache[parquet]'.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The rows of a Parquet file, or of those in the folder ``root``.

    Raises MissingExtraError without pyarrow, CorpusError where there is no such file, or no column of recordings.
    """
    files = _find(root)
    base = root if root.is_dir() else root.parent
    found: list[tuple[str, dict[str, Any]]] = []
    columns: dict[str, None] = {}
    remarks: list[str] = []
    for path in files:
        rows, said, odd = _rows(path, base)
        found += rows
        columns |= dict.fromkeys(said)
        remarks += odd
    if not found:
        raise CorpusError(f"{files[0]} holds no row")
    _name(found)
    cells = [each for _, each in found]
    remarks += _foreign.unused(columns, ("id", *_parquet.USUAL, "path"), str(root))
    remarks += _foreign.without_labels(cells, str(root), "a column label, emotion or emo")
    rows_checked = deque(checked(each, root, at) for at, each in found)
    loose = [each["path"] for each in cells if not each["is_packed"]]
    outside = Names(base_of(base, loose)).find
    packed = {path.relative_to(base).as_posix() for path in files}
    described = Described(
        root, base, rows_checked, _foreign.release_of_cells(cells), tuple(remarks),
        find=lambda path: base / path if any(path.startswith(f"{box}/") for box in packed) else outside(path),
    )  # fmt: skip
    named = (each.get("corpus") for each in cells)
    return corpus_of(_foreign.called(name, named, base / "data", _READER), _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there are Parquet files at ``root``."""
    try:
        return bool(_find(root))
    except CorpusError:
        return False


def _find(root: Path) -> list[Path]:
    found = _foreign.candidates(root, _SUFFIXES)
    if not found and root.is_dir():
        folders = [each for each in entries(root) if each.is_dir()]
        found = [each for folder in folders for each in _foreign.candidates(folder, _SUFFIXES)]
    if not found:
        raise _foreign.nothing(_READER, root, "Parquet files (.parquet)")
    return found


def _rows(path: Path, base: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[str], list[str]]:
    """Where each row stands and its cells, the names of the other columns, and remarks. Raises CorpusError."""
    shard = _parquet.read(path)
    part = _foreign.part_of(path.stem) or _foreign.part_of(path.parent.name)
    at = path.relative_to(base).as_posix()
    rows: list[tuple[str, dict[str, Any]]] = []
    remarks: list[str] = []
    for number, (row, said) in enumerate(zip(shard.values, shard.paths, strict=True)):
        named = _named(row, shard.class_names)
        cells = _foreign.ours({k: v for k, v in named.items() if k not in _NOT_OURS})
        called = str(said or row.get("path") or row.get("file") or "").replace("\\", "/")
        called = "".join(each if each.isprintable() else "_" for each in PurePosixPath(called).name)
        cells |= {"id": row.get("id"), "called": called, "place": f"{path.stem}-{number:06d}"}
        cells["path"] = (
            f"{at}/{shard.sound}/{number}/{called or 'recording'}" if shard.is_packed else str(said or "")
        )
        cells["is_packed"] = shard.is_packed
        if part:
            cells.setdefault("partition", part)
        rows.append((f"{at} row {number}", cells))
    if shard.group_bytes > _LARGE:
        remarks.append(
            f"{path.name} has row groups of {size(shard.group_bytes)}, which are read whole for each recording; write "
            "it with smaller ones"
        )
    return rows, shard.columns, remarks


def _name(found: list[tuple[str, dict[str, Any]]]) -> None:
    """Give each row an id: that of a column, else the name of its recording where that is one row's alone."""
    counted = Counter(PurePosixPath(cells["called"]).stem for _, cells in found)
    for _, cells in found:
        stem = PurePosixPath(cells.pop("called")).stem
        place = cells.pop("place")
        if cells["id"] in (None, ""):
            cells["id"] = stem if stem and counted[stem] == 1 else place


def _named(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row with names in the place of numbers of classes; -1 is no class."""
    found = dict(row)
    for key, words in names.items():
        number = found.get(key)
        if isinstance(number, int):
            found[key] = words[number] if 0 <= number < len(words) else None
    return found


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``data/<split>-00000-of-00001.parquet`` …, as ``load_dataset(FOLDER)`` takes them: the recordings as bytes.

    Labels are texts. Raises MissingExtraError without pyarrow.
    """
    said = {each.utterance.id: told(corpus, each.utterance) for each in utterances}
    columns = list(dict.fromkeys(name for row in said.values() for name in row))
    folder = out / "data"
    folder.mkdir()
    for part, some in by_part(utterances).items():
        shards = list(sharded(some))
        split = {"": "data", "dev": "validation"}.get(part, part)
        for k, shard in enumerate(shards):
            path = folder / f"{split}-{k:05d}-of-{len(shards):05d}.parquet"
            rows = (
                {
                    **{name: said[each.utterance.id].get(name) for name in columns},
                    "audio": (each.sound(), each.file_name),
                }
                for each in shard
            )
            _parquet.write(path, columns, rows, {name for name in columns if name in ATTRIBUTES}, done)


example = _interchange.huggingface

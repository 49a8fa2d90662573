"""Commit records: the only truth about what a store holds.

A record is one immutable JSON file, ``ledger/commits/<number>.json``. An utterance exists if and only if
a record lists it and no other record drops it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from sercache.errors import DamagedStoreError
from sercache.objects import mirror
from sercache.stores import checked_json, schema
from sercache.stores.columns import Checksums, Texts
from sercache.stores.durable import repair_command, replace_file

_NAME = re.compile(r"(\d{8,})\.json")


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """A stretch of a file that holds frames: state l, frame t lie at row l * stride + t."""

    file: str
    """Relative to the store."""
    offset: int
    """Bytes to the first row."""
    n_frames: int
    stride: int
    """Rows from one state to the next."""


@dataclass(frozen=True, slots=True)
class MeansTable:
    """Rows (U, L, D) float32 in a file, without gaps."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class File:
    """A file of a commit."""

    name: str
    """Relative to the store."""
    size: int
    """Bytes."""
    rest_crc: str
    """CRC-32C, 8 hex digits, of what is not features: headers, padding, index."""
    begin: int | None = None
    """Of a file that several commits fill: where the bytes of this one begin. They end at ``size``, and
    ``rest_crc`` is that of these bytes alone; the file goes on behind them."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one commit adds (utterances by column), or takes away (``drops``)."""

    number: int
    ids: Sequence[str] = ()
    first_frame: Sequence[int] = ()
    """Global index of each utterance's first frame; empty where no frames are kept."""
    n_frames: Sequence[int] = ()
    n_samples: Sequence[int] = ()
    audio_digest: Sequence[str] = ()
    frame_crcs: Sequence[str] = ()
    """CRC-32C of each state's frames, 8 hex digits a state."""
    pooled_crcs: Sequence[str] = ()
    """CRC-32C of the means, then of the standard deviations, 8 hex digits each."""
    blocks: Sequence[FrameBlock] = ()
    """Where the frames lie, in order; utterances follow each other without gaps."""
    tables: Mapping[str, MeansTable] = field(default_factory=dict)
    """Where ``mean`` and ``std`` lie."""
    files: Sequence[File] = ()
    drops: Sequence[tuple[int, str]] = ()
    """(commit number, id) that no longer count."""


def record_path(ledger: Path, number: int) -> Path:
    """File of a commit record."""
    return ledger / "commits" / f"{number:08d}.json"


def numbers(folder: Path) -> list[int]:
    """Numbers of the records (or claims) in a folder, in no order; other files are passed over."""
    matches = map(_NAME.fullmatch, os.listdir(folder))  # noqa: PTH208 (a Path for each of thousands is slow)
    return [int(match[1]) for match in matches if match]


def load(path: Path) -> Record:
    """The record in a file. Raises DamagedStoreError where it is not what was committed under that name."""
    remedy = repair_command(path.parents[2])
    fields = checked_json.load(path, remedy)
    try:
        schema.check_record(fields)
    except schema.SchemaError as fault:
        raise DamagedStoreError(
            f"commit record {path} is not what sercache writes: {fault}; {remedy}"
        ) from fault
    record = parse(fields)
    if path != record_path(path.parents[1], record.number):
        raise DamagedStoreError(f"commit record {path} is that of commit {record.number}; {remedy}")
    return record


def file_names(record: Record) -> list[str]:
    """Names of a commit's files, each once."""
    return list(dict.fromkeys([b.file for b in record.blocks] + [t.file for t in record.tables.values()]))


def publish(ledger: Path, record: Record, temporary: Path) -> None:
    """Commit: from this rename on, the record counts."""
    replace_file(record_path(ledger, record.number), temporary, checked_json.dump(_plain(record)))


def create_far(ledger: Path, record: Record) -> bool:
    """Commit in an object store: false where a record of that number is there. True in a folder of its own."""
    return mirror.create(record_path(ledger, record.number), checked_json.dump(_plain(record)))


COLUMNS = (
    "ids",
    "first_frame",
    "n_frames",
    "n_samples",
    "audio_digest",
    "frame_crcs",
    "pooled_crcs",
)
"""Fields of a record that have a value for each utterance."""


def head(record: Record) -> dict[str, Any]:
    """The fields of a record that are no columns, as plain JSON values."""
    return {
        "number": record.number,
        "blocks": [asdict(block) for block in record.blocks],
        "tables": {what: asdict(table) for what, table in record.tables.items()},
        "files": [_plain_file(file) for file in record.files],
        "drops": record.drops,
    }


def _plain_file(file: File) -> dict[str, Any]:
    return {name: value for name, value in asdict(file).items() if value is not None}


def n_bytes(record: Record) -> int:
    """Bytes that a commit wrote."""
    return sum(file.size - (file.begin or 0) for file in record.files)


def parse(fields: dict[str, Any]) -> Record:
    """The record of these fields: of a head, or of a head and columns."""
    blocks = [FrameBlock(**block) for block in fields.pop("blocks")]
    tables = {what: MeansTable(**table) for what, table in fields.pop("tables").items()}
    files = [File(**file) for file in fields.pop("files")]
    drops = [(number, id) for number, id in fields.pop("drops")]
    return Record(blocks=blocks, tables=tables, files=files, drops=drops, **fields)


def packed(record: Record) -> Record:
    """The same record with columns that take little memory."""
    n_rows = len(record.ids)
    numbers = {
        name: np.asarray(getattr(record, name), np.int64) for name in ("first_frame", "n_frames", "n_samples")
    }
    crcs = {
        name: Checksums.of(rows, len(rows[0]) // 8 if len(rows) else 0)
        for name in ("frame_crcs", "pooled_crcs")
        for rows in [getattr(record, name)]
    }
    texts = {name: Texts.of(getattr(record, name)) for name in ("ids", "audio_digest")}
    columns: dict[str, Any] = {**numbers, **crcs, **texts}
    if any(len(column) not in (0, n_rows) for column in columns.values()):
        raise ValueError(f"commit record {record.number} has columns of different lengths")
    return replace(record, **columns)


def equal(one: Record, other: Record) -> bool:
    """Whether two records say the same, however their columns are kept."""
    one, other = packed(one), packed(other)  # whose texts and checksums are compared as arrays
    return head(one) == head(other) and all(
        np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else bool(mine == theirs)
        for name in COLUMNS
        for mine, theirs in [(getattr(one, name), getattr(other, name))]
    )


def _plain(record: Record) -> dict[str, Any]:
    """All fields in their order, as plain JSON values."""
    known = head(record)
    return {
        field.name: known[field.name] if field.name in known else list(getattr(record, field.name))
        for field in fields(Record)
    }

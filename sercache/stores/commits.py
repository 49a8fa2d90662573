"""Commit records: the only truth about what a store holds.

A record is one immutable JSON file, ``ledger/commits/<number>.json``. An utterance exists if and only if
a record lists it and no other record drops it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sercache.errors import DamagedStoreError
from sercache.stores import checked_json
from sercache.stores.durable import replace_file

_NAME = re.compile(r"(\d{8,})\.json")
_SETTLED_SECONDS = 3.0
"""Coarsest time stamp of a folder on the file systems in use."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a file that holds frames: state l, frame t lie at row l * stride + t."""

    file: str
    """Relative to the store."""
    offset: int
    """Bytes to the first row."""
    n_frames: int
    stride: int
    """Rows from one state to the next."""


@dataclass(frozen=True, slots=True)
class Table:
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
    blocks: Sequence[Block] = ()
    """Where the frames lie, in order; utterances follow each other without gaps."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """Where ``mean`` and ``std`` lie."""
    files: Sequence[File] = ()
    drops: Sequence[tuple[int, str]] = ()
    """(commit number, id) that no longer count."""

    @property
    def numbers(self) -> range:
        """Shard numbers that the commit takes: one, or one per block of an utterance longer than a shard."""
        return range(self.number - max(1, len(self.blocks)) + 1, self.number + 1)


def record_path(ledger: Path, number: int) -> Path:
    """File of a commit record."""
    return ledger / "commits" / f"{number:08d}.json"


def numbers(folder: Path) -> list[int]:
    """Numbers of the records (or claims) in a folder, in no order; other files are passed over."""
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return [int(match[1]) for match in matches if match]


def load(path: Path) -> Record:
    """The record in a file. Raises DamagedStoreError where it is not what was committed under that name."""
    record = _parse(checked_json.load(path, "run sercache verify --repair"))
    if path != record_path(path.parents[1], record.number):
        raise DamagedStoreError(f"commit record {path} is that of commit {record.number}; remove the copy")
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in file_names(record)):
        raise DamagedStoreError(
            f"commit record {path} names files outside of its store; do not use this store"
        )
    return record


def file_names(record: Record) -> list[str]:
    """Names of a commit's files, each once."""
    return list(dict.fromkeys([b.file for b in record.blocks] + [t.file for t in record.tables.values()]))


def publish(ledger: Path, record: Record, temporary: Path) -> None:
    """Commit: from this rename on, the record counts."""
    replace_file(record_path(ledger, record.number), temporary, checked_json.dump(asdict(record)))


def _parse(fields: dict[str, Any]) -> Record:
    blocks = [Block(**block) for block in fields.pop("blocks")]
    tables = {what: Table(**table) for what, table in fields.pop("tables").items()}
    files = [File(**file) for file in fields.pop("files")]
    drops = [(number, id) for number, id in fields.pop("drops")]
    return Record(blocks=blocks, tables=tables, files=files, drops=drops, **fields)


@dataclass
class Ledger:
    """The commit records of a store, as far as they were read. ``refresh`` reads what is new."""

    folder: Path
    """``<store>/ledger``."""
    records: dict[int, Record] = field(default_factory=dict)
    _stamp: int = -1
    _since: float = 0.0
    _settled: bool = False

    def refresh(self, damaged: list[Path] | None = None, *, quick: bool = False) -> bool:
        """Read records that appeared since; true where there were any.

        ``quick`` believes the folder's time stamp where that spares listing thousands of names. Raises
        DamagedStoreError for a damaged record; with ``damaged``, its path is put there instead.
        """
        folder, now = self.folder / "commits", time.monotonic()
        if not folder.is_dir():  # a copy of an empty store may lack empty folders
            return False
        stamp = folder.stat().st_mtime_ns
        if quick and stamp == self._stamp and self._settled:
            return False
        unread = set(numbers(folder)).difference(self.records)
        new = [self._read(number, damaged) for number in sorted(unread)]
        # Two commits may bear the same stamp: it is believed once a listing was made when it was old.
        self._settled = stamp == self._stamp and now - self._since > _SETTLED_SECONDS
        if stamp != self._stamp:
            self._stamp, self._since = stamp, now
        return any(new)

    def _read(self, number: int, damaged: list[Path] | None) -> bool:
        path = record_path(self.folder, number)
        try:
            self.records[number] = load(path)
        except FileNotFoundError:  # a repair has set it aside since it was listed
            return False
        except DamagedStoreError:
            if damaged is None:
                raise
            damaged.append(path)
            return False
        return True

    def visible(self) -> dict[str, tuple[Record, int]]:
        """Record and row of each utterance that exists: the first commit of an id wins."""
        ordered = [self.records[number] for number in sorted(self.records)]
        dropped = {drop for record in ordered for drop in record.drops}
        found: dict[str, tuple[Record, int]] = {}
        for record in ordered:
            for row, id in enumerate(record.ids):
                if id not in found and (record.number, id) not in dropped:
                    found[id] = (record, row)
        return found


def live_rows(visible: Iterable[tuple[Record, int]]) -> dict[int, list[int]]:
    """Rows that exist, by commit number."""
    rows: dict[int, list[int]] = {}
    for record, row in visible:
        rows.setdefault(record.number, []).append(row)
    return rows

"""Checkpoints: many commit records in one file, so that opening a store need not parse thousands.

A checkpoint, ``ledger/checkpoints/<first>-<last>-<crc>.bin``, is derived from the records that it covers and is
believed only while its checksum fits and each of them is still there; else the records themselves are read.
Layout: a line with the CRC-32C of all that follows, a line of JSON (heads of the records, and name, dtype and
shape of each array), then the arrays. Those of the utterances' columns lie in the order of the records, those of
the index (hashes of ids, ascending, with commit number and row) in its own.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from sercache.errors import DamagedStoreError, StoreError
from sercache.stores import commits, schema
from sercache.stores.columns import Checksums, Texts, hash_ids
from sercache.stores.commits import COLUMNS, Record
from sercache.stores.durable import crc32c, make_folder, open_plain, repair_command, replace_file
from sercache.stores.runs import HashRun, merge
from sercache.system import sync_path

_TEXTS = ("ids", "audio_digest")
_CHECKSUMS = ("frame_crcs", "pooled_crcs")
_ROWS = 8192
_RECORDS = 256
"""A checkpoint is written once so many utterances, or so many records, are in none."""
_VERSION = 1
_DTYPES = ("|u1", "<i4", "<i8", "<u4", "<u8")
_ALIGNED = 16
"""Bytes: each array begins at a multiple of so many."""


@dataclass(frozen=True)
class CommitCheckpoint:
    """Records of some commits, and where their ids are."""

    path: Path
    records: Mapping[int, Record]
    run: HashRun


def folder(ledger: Path) -> Path:
    """Folder of the checkpoints."""
    return ledger / "checkpoints"


def paths(ledger: Path) -> list[Path]:
    """Checkpoint files, in no order."""
    return list(folder(ledger).glob("*.bin"))


def load_all(ledger: Path, listed: set[int]) -> Iterator[CommitCheckpoint]:
    """The checkpoints that may be believed, none covering what another does; larger ones first.

    ``listed``: numbers of the records that are there.
    """
    covered: set[int] = set()
    for path in sorted(paths(ledger), key=_size, reverse=True):
        try:
            found = load(path)
        except (StoreError, FileNotFoundError):  # damaged, or a writer has merged it since it was listed
            continue
        if covered.isdisjoint(found.records) and listed.issuperset(found.records):
            covered.update(found.records)
            yield found


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def load(path: Path) -> CommitCheckpoint:
    """The checkpoint in a file. Raises DamagedStoreError where a single byte differs, FileNotFoundError."""
    remedy = repair_command(path.parents[2])
    with open_plain(path) as file:
        try:
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), np.uint8)
        except ValueError as fault:  # empty
            raise DamagedStoreError(f"{path} is damaged: it is empty; {remedy}") from fault
    head, body = data[:9].tobytes(), data[9:]
    if head != b"%08x\n" % crc32c(body):
        raise DamagedStoreError(f"{path} is damaged: its checksum does not fit; {remedy}")
    stop = int(np.argmax(body == ord("\n")))
    arrays, at = {}, len(head) + stop + 1
    try:
        about = json.loads(body[:stop].tobytes())
        if about["version"] != _VERSION:
            raise DamagedStoreError(f"{path} is of another version of sercache; {remedy}")
        for name, dtype, shape in about["arrays"]:
            if dtype not in _DTYPES:
                raise ValueError(f"an array of {dtype}")
            n_bytes = prod(shape) * np.dtype(dtype).itemsize
            arrays[name] = data[at : at + n_bytes].view(dtype).reshape(shape)
            at += n_bytes + -n_bytes % _ALIGNED
        records = _records(about, arrays)
        schema.check_packed(records.values())
        run = _run(arrays)
        _check_run(run, records)
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        RecursionError,
        OverflowError,
    ) as fault:  # made up: its checksum fits
        raise DamagedStoreError(f"{path} is not what sercache writes ({fault}); {remedy}") from fault
    return CommitCheckpoint(path, records, run)


def _check_run(run: HashRun, records: Mapping[int, Record]) -> None:
    """Raise ValueError where the index leads to a row that no record has."""
    numbers, rows = np.asarray(run.numbers, np.int64), np.asarray(run.rows, np.int64)
    known = np.array(sorted(records), np.int64)
    n_rows = np.array([len(records[number].ids) for number in known.tolist()], np.int64)
    at = np.searchsorted(known, numbers)
    if len(numbers) != n_rows.sum() or len(rows) != len(numbers) or len(run.hashes) != len(numbers):
        raise ValueError("the index has other rows than the records")
    at = np.minimum(at, len(known) - 1)
    if len(numbers) and ((known[at] != numbers) | (rows < 0) | (rows >= n_rows[at])).any():
        raise ValueError("the index leads nowhere")


def _records(about: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[int, Record]:
    columns: dict[str, Any] = {
        name: Texts(arrays[name], arrays[f"{name}.ends"])
        if name in _TEXTS
        else Checksums(arrays[name])
        if name in _CHECKSUMS
        else arrays[name]
        for name in COLUMNS
    }
    records, at = {}, 0
    for head, n_rows in zip(about["heads"], about["n_rows"], strict=True):
        schema.check_head(head)
        own = {name: column[at : at + n_rows] for name, column in columns.items()}
        records[head["number"]] = replace(commits.parse(head), **own)
        at += n_rows
    return records


def _run(arrays: Mapping[str, np.ndarray]) -> HashRun:
    return HashRun.made(arrays["index.hash"], arrays["index.number"], arrays["index.row"])


def add(ledger: Path, records: Mapping[int, Record], temporary: Callable[[], Path]) -> None:
    """Put records that are in no checkpoint into one, where there are many of them.

    Checkpoints that are not much larger are merged into it, so that there are few, and each record is written
    anew only so often as the store doubles. Call under the store's short lock.
    """
    believed = list(load_all(ledger, set(records)))
    covered = {number for each in believed for number in each.records}
    new = {number: record for number, record in records.items() if number not in covered}
    n_rows = sum(len(record.ids) for record in new.values())
    if n_rows < _ROWS and len(new) < _RECORDS:
        return
    merged: list[CommitCheckpoint] = []
    for each in sorted(believed, key=lambda each: len(each.run)):
        if len(each.run) <= 2 * n_rows:
            merged.append(each)
            n_rows += len(each.run)
            new |= each.records
    ordered = [commits.packed(new[number]) for number in sorted(new)]
    data = _dump(ordered)
    name = f"{ordered[0].number:08d}-{ordered[-1].number:08d}-{bytes(data[0][:8]).decode()}.bin"
    make_folder(folder(ledger))
    replace_file(folder(ledger) / name, temporary(), *data)
    kept = {each.path for each in believed if each not in merged} | {folder(ledger) / name}
    for path in set(paths(ledger)) - kept:
        path.unlink(missing_ok=True)


def remove(ledger: Path) -> None:
    """Remove all checkpoints: the records are read again. Call before a record is taken away."""
    found = paths(ledger)
    for path in found:
        path.unlink(missing_ok=True)
    if found:
        sync_path(folder(ledger))


def _dump(records: Sequence[Record]) -> list[bytes | np.ndarray]:
    arrays = _columns(records) | _index(records)
    about = {
        "version": _VERSION,
        "heads": [commits.head(record) for record in records],
        "n_rows": [len(record.ids) for record in records],
        "arrays": [(name, array.dtype.str, array.shape) for name, array in arrays.items()],
    }
    text = json.dumps(about).encode()
    pieces: list[bytes | np.ndarray] = [text + b" " * (-(len(text) + 10) % _ALIGNED) + b"\n"]
    for array in arrays.values():
        pieces += [np.ascontiguousarray(array), bytes(-array.nbytes % _ALIGNED)]
    crc = 0
    for piece in pieces:
        crc = crc32c(piece, crc)
    return [b"%08x\n" % crc, *pieces]


def _columns(records: Sequence[Record]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name in COLUMNS:
        columns = [getattr(record, name) for record in records if len(record.ids)]
        if name in _TEXTS:
            texts = Texts.join(columns)
            arrays |= {name: texts.data, f"{name}.ends": texts.ends}
        elif name in _CHECKSUMS:
            arrays[name] = _stacked([column.values for column in columns], "<u4", 2)
        else:
            arrays[name] = _stacked(columns, "<i8", 1)
    return arrays


def _stacked(parts: Sequence[np.ndarray], dtype: str, n_axes: int) -> np.ndarray:
    filled = [part for part in parts if len(part)]
    return np.concatenate(filled).astype(dtype) if filled else np.empty((0,) * n_axes, dtype)


def _index(records: Iterable[Record]) -> dict[str, np.ndarray]:
    runs = [HashRun.of(hash_ids(record.ids), record.number) for record in records]
    run = merge(runs)
    return {
        "index.hash": run.hashes.astype("<u8"),
        "index.number": run.numbers.astype("<i8"),
        "index.row": run.rows.astype("<i4"),
    }

"""Checking every byte of a store that counts against the checksums of its commit records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from sercache.errors import DamagedStoreError
from sercache.stores import checkpoints, commits, formats
from sercache.stores.batch import hex_crcs
from sercache.stores.commits import Record, Table
from sercache.stores.contract import Damage
from sercache.stores.durable import Opened
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger, Place
from sercache.stores.ranges import Stretch, read_frames, read_rows, rest_crc, stretches
from sercache.stores.watch import Watch


def check(
    layout: Layout, ledger: Ledger, progress: Callable[[int], object] = lambda n_bytes: None
) -> list[Damage]:
    """What is damaged among the utterances that exist; an empty list means whole.

    ``progress`` hears of the bytes of each commit once it is checked.
    """
    found: list[Damage] = list(_check_shared(layout, ledger))
    for record, rows in ledger.live():
        watch = Watch(layout)
        known = {fault.path for fault in found if not fault.id}
        found += (fault for fault in _check_files(layout, record) if fault.path not in known)
        for row in rows.tolist():
            found += _check_utterance(layout, record, row, watch)
        progress(commits.n_bytes(record))
    return found


def _check_shared(layout: Layout, ledger: Ledger) -> Iterator[Damage]:
    """Faults of what belongs to several commits, in files that hold utterances."""
    live = {name for record, _ in ledger.live() for name in commits.file_names(record)}
    for path, reason in formats.load(layout.format).check_shared(layout, list(ledger.records.values())):
        if str(path.relative_to(layout.path)) in live:
            yield Damage("", path, reason)


def _check_files(layout: Layout, record: Record) -> Iterator[Damage]:
    """Faults of whole files: missing, of another size, or changed where no utterance lies."""
    for file in record.files:
        path = layout.path / file.name
        try:
            with Opened(str(path)) as opened:
                size = opened.size()
            if size < file.size or (file.begin is None and size > file.size):
                yield Damage("", path, f"the file has {size} bytes, expected {file.size}")
            elif (crc := rest_crc(layout, record, file)) != file.rest_crc:
                reason = f"headers, padding and index have checksum {crc}, expected {file.rest_crc}"
                yield Damage("", path, reason)
        except DamagedStoreError as fault:
            missing = not os.path.lexists(path)
            yield Damage(
                "", path, f"the file is missing, expected {file.size} bytes" if missing else str(fault)
            )


def _check_utterance(layout: Layout, record: Record, row: int, watch: Watch) -> Iterator[Damage]:
    """Faults in the bytes of one utterance. What the system does not give is no damage: StoreError."""
    for path, what, expected, read in _parts(layout, record, row, watch):
        try:
            got = hex_crcs([read()])
        except DamagedStoreError as fault:
            yield Damage(record.ids[row], path, f"{what} cannot be read: {fault}")
            continue
        if got != expected:
            yield Damage(record.ids[row], path, f"{what} has checksum {got}, expected {expected}")


def _parts(
    layout: Layout, record: Record, row: int, watch: Watch
) -> Iterator[tuple[Path, str, str, Callable[[], np.ndarray]]]:
    """What of an utterance has a checksum: file, name, checksum, and how it is read."""
    crcs = record.pooled_crcs[row]
    for what, expected in (("mean", crcs[:8]), ("std", crcs[8:])):
        table = record.tables[what]
        yield (
            layout.path / table.file,
            what,
            expected,
            partial(_pooled_row, layout, (record, row), table, watch),
        )
    if not record.blocks:
        return
    path, crcs = layout.path / _file_of(record, row), record.frame_crcs[row]
    parts = stretches(layout, (record, row))
    # One state at a time: an hour of speech does not fit in memory whole.
    for k, state in enumerate(layout.spec.states):
        read = partial(_one_state, layout, record, parts, k, watch)
        yield path, f"state {state}", crcs[8 * k : 8 * k + 8], read


def _one_state(
    layout: Layout, record: Record, parts: Sequence[Stretch], state: int, watch: Watch
) -> np.ndarray:
    watch.look(record, (part.name for part in parts))  # before there is memory for what a record claims
    return read_frames(layout, parts, [state], partial(watch.open, record))


def _pooled_row(layout: Layout, place: Place, table: Table, watch: Watch) -> np.ndarray:
    record, row = place
    with watch.open(record, table.file) as file:
        out = np.empty((1, len(layout.spec.states), layout.spec.dim), "<f4")
        rows = (np.array([row]), np.array([0]))
        read_rows(layout, file, table.offset, rows, range(len(layout.spec.states)), out)
    return out


def _file_of(record: Record, row: int) -> str:
    """The file in which the frames of an utterance begin."""
    at = int(record.first_frame[row]) - int(record.first_frame[0])
    for block in record.blocks:
        if at < block.n_frames:
            return block.file
        at -= block.n_frames
    return record.blocks[-1].file


def check_checkpoints(ledger: Ledger) -> list[Damage]:
    """Checkpoints that are damaged, or say something else than the records that they stand for."""
    found = []
    for path in sorted(checkpoints.paths(ledger.folder)):
        try:
            records = checkpoints.load(path).records
        except DamagedStoreError as fault:
            found.append(Damage("", path, str(fault), "derived"))
            continue
        except FileNotFoundError:  # a writer has merged it since it was listed
            continue
        for number, record in records.items():
            if number not in ledger.records:
                found.append(
                    Damage(
                        "",
                        path,
                        f"commit record {number} that it stands for is missing or damaged",
                        "derived",
                    )
                )
            elif not commits.equal(record, ledger.records[number]):
                found.append(Damage("", path, f"it differs from commit record {number}", "derived"))
    return found

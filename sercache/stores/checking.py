"""Checking every byte of a store that counts against the checksums of its commit records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sercache import objects
from sercache.errors import DamagedStoreError
from sercache.stores import checkpoints, commits, formats
from sercache.stores.batch import hex_crcs
from sercache.stores.commits import Record
from sercache.stores.contract import Damage
from sercache.stores.durable import crc32c
from sercache.stores.kept import Files, Wanted, fetched, is_there, opened
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.ranges import (
    FrameRange,
    as_runs,
    read_frames,
    read_rows,
    rest_crc,
    stretches,
    wanted_frames,
)
from sercache.stores.watch import Watch


def check(
    layout: Layout, ledger: Ledger, progress: Callable[[int], object] = lambda n_bytes: None
) -> list[Damage]:
    """What is damaged among the utterances that exist; an empty list means whole.

    ``progress`` is called with the bytes of each commit once it is checked.
    """
    found: list[Damage] = list(_check_shared(layout, ledger))
    for record, rows in ledger.live():
        watch = Watch(layout, Files())  # which keeps the files of a commit open, and no others
        known = {fault.path for fault in found if not fault.id}
        found += (fault for fault in _check_files(layout, record) if fault.path not in known)
        for what in ("mean", "std"):
            found += _check_pooled(layout, record, rows, what, watch)
        kept = rows.tolist() if record.blocks else []
        for row in kept if objects.place_of(layout.path) is None else _ahead(layout, record, kept, watch):
            found += _check_frames(layout, record, row, watch)
        progress(commits.n_bytes(record))
    return found


def _ahead(layout: Layout, record: Record, rows: Sequence[int], watch: Watch) -> Iterator[int]:
    """The rows; of a store far away their frames are fetched before their turn."""
    states = range(len(layout.spec.states))

    def wanted(row: int) -> list[Wanted]:
        return wanted_frames(layout, stretches(layout, (record, row)), states)

    return fetched(rows, wanted, watch.file)


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
            with opened(path) as file_there:
                size = file_there.size()
            if size < file.size or (file.begin is None and size > file.size):
                yield Damage("", path, f"the file has {size} bytes, expected {file.size}")
            elif (crc := rest_crc(layout, record, file)) != file.rest_crc:
                reason = f"headers, padding and index have checksum {crc}, expected {file.rest_crc}"
                yield Damage("", path, reason)
        except DamagedStoreError as fault:
            missing = not is_there(path)
            yield Damage(
                "", path, f"the file is missing, expected {file.size} bytes" if missing else str(fault)
            )


def _check_pooled(
    layout: Layout, record: Record, rows: np.ndarray, what: str, watch: Watch
) -> Iterator[Damage]:
    """Faults in the means or deviations of the utterances of one commit, which are read at once."""
    table, n_states = record.tables[what], len(layout.spec.states)
    values = np.empty((len(rows), n_states, layout.spec.dim), "<f4")
    try:
        with watch.open(record, table.file) as file:
            read_rows(
                layout, file, table.offset, as_runs(rows, np.arange(len(rows))), range(n_states), values
            )
    except DamagedStoreError as fault:
        if len(rows) == 1:
            yield Damage(record.ids[rows[0]], layout.path / table.file, f"{what} cannot be read: {fault}")
        for row in rows[:, None] if len(rows) > 1 else ():  # some of them may lie where the disk is sound
            yield from _check_pooled(layout, record, row, what, watch)
        return
    got = np.fromiter(map(crc32c, values), np.uint32, len(rows))
    expected = watch.pooled_crcs(record, what)[rows]
    for k in np.flatnonzero(got != expected).tolist():
        reason = f"{what} has checksum {got[k]:08x}, expected {expected[k]:08x}"
        yield Damage(record.ids[rows[k]], layout.path / table.file, reason)


def _check_frames(layout: Layout, record: Record, row: int, watch: Watch) -> Iterator[Damage]:
    """Faults in the frames of one utterance. What the system does not give is no damage: StoreError."""
    path, crcs = layout.path / _file_of(record, row), record.frame_crcs[row]
    parts = stretches(layout, (record, row))
    # One state at a time: an hour of speech does not fit in memory whole.
    for k, state in enumerate(layout.spec.states):
        expected = crcs[8 * k : 8 * k + 8]
        try:
            got = hex_crcs([_one_state(record, parts, k, watch)])
        except DamagedStoreError as fault:
            yield Damage(record.ids[row], path, f"state {state} cannot be read: {fault}")
            continue
        if got != expected:
            yield Damage(record.ids[row], path, f"state {state} has checksum {got}, expected {expected}")


def _one_state(record: Record, parts: Sequence[FrameRange], state: int, watch: Watch) -> np.ndarray:
    watch.look(record, (part.name for part in parts))  # before there is memory for what a record claims
    return read_frames(watch, record, parts, range(state, state + 1))


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

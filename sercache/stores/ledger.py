"""The commit records of a store as they were read, and which utterances exist by them.

An utterance exists if and only if a record lists it and no record drops that (commit, id); of several commits
of one id the one with the lowest number counts. Costs of adding a record grow with that record: ids are found
by 64-bit hashes in a few sorted runs that are merged as they come (a log-structured merge), never in a map of
everything.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sercache.errors import DamagedStoreError
from sercache.objects import mirror
from sercache.stores import checkpoints, commits
from sercache.stores.columns import hash_id, hash_ids
from sercache.stores.commits import Record, record_path
from sercache.stores.durable import read_faults_named
from sercache.stores.runs import HashRun, merge

_SETTLED_SECONDS = 3.0
"""Coarsest time stamp of a folder on the file systems in use."""
_LISTING_SHARE = 20
"""A writer spends at most one part in so many of its time on listing records of others."""

RecordRow = tuple[Record, int]
"""A commit record and the row of an utterance in it."""


@dataclass
class Ledger:
    """The commit records of a store, as far as they were read. ``refresh`` reads what is new."""

    folder: Path
    """``<store>/ledger``."""
    believes_checkpoints: bool = True
    """False: every record is read itself, as ``verify`` must."""
    records: dict[int, Record] = field(default_factory=dict)
    _runs: list[HashRun] = field(default_factory=list)
    _dropped: set[tuple[int, str]] = field(default_factory=set)
    _dead: dict[int, set[int]] = field(default_factory=dict)
    """Rows that do not count, by commit number."""
    highest: int = -1
    """The highest number of a record."""
    _n_alive: int = 0
    _stamp: int = -1
    _since: float = 0.0
    _settled: bool = False
    _next_listing: float = 0.0

    def refresh(self, damaged: list[Path] | None = None, *, quick: bool = False) -> bool:
        """Read records that appeared since; true where there were any.

        ``quick`` believes the folder's time stamp where that spares listing thousands of names, and lists
        no more often than a small share of the time. Raises DamagedStoreError for a damaged record; with
        ``damaged``, its path is put there instead. Raises StoreError where the records cannot be listed.
        """
        mirror.arrive(self.folder.parent, fresh=not quick)
        with read_faults_named(self.folder / "commits", self.folder.parent):
            return self._refresh(damaged, quick)

    def _refresh(self, damaged: list[Path] | None, quick: bool) -> bool:
        folder, began = self.folder / "commits", time.monotonic()
        if not folder.is_dir():  # a copy of an empty store may lack empty folders
            return False
        stamp = folder.stat().st_mtime_ns
        if quick and (began < self._next_listing or (stamp == self._stamp and self._settled)):
            return False
        listed = set(commits.numbers(folder))
        new = False
        if self.believes_checkpoints and not self.records:
            new = self._take_checkpoints(listed)
        ended = time.monotonic()
        for number in sorted(listed.difference(self.records)):
            new = self._read(number, damaged) or new
        # Two commits may bear the same stamp: it is believed once a listing was made when it was old.
        self._settled = stamp == self._stamp and began - self._since > _SETTLED_SECONDS
        if stamp != self._stamp:
            self._stamp, self._since = stamp, began
        self._next_listing = ended + _LISTING_SHARE * (ended - began)
        return new

    def _read(self, number: int, damaged: list[Path] | None) -> bool:
        path = record_path(self.folder, number)
        try:
            record = commits.load(path)
        except FileNotFoundError:  # a repair has set it aside since it was listed
            return False
        except DamagedStoreError:
            if damaged is None:
                raise
            damaged.append(path)
            return False
        self.add(record)
        return True

    def _take_checkpoints(self, listed: set[int]) -> bool:
        for found in checkpoints.load_all(self.folder, listed):
            self.records |= found.records
            self.highest = max(self.highest, *found.records)
            self._n_alive += len(found.run)
            self._put_run(found.run, merging=False)
            self._dropped |= {drop for record in found.records.values() for drop in record.drops}
        # Few utterances have copies or were dropped: only those are gone through one by one.
        for id in {id for _, id in self._dropped} | set(self._copied()):
            self._decide(id)
        return bool(self.records)

    def _copied(self) -> Iterator[str]:
        """Ids that checkpoints list more than once."""
        for k, run in enumerate(self._runs):
            for number, row in run.repeated():
                yield self.records[number].ids[row]
            for other in self._runs[:k]:
                for number, row in run.shared(other):
                    yield self.records[number].ids[row]

    def add(self, record: Record) -> None:
        """Take a record that was read or has just been published."""
        record = commits.packed(record)
        number = record.number
        self.records[number] = record
        self.highest = max(self.highest, number)
        self._dropped.update(record.drops)
        hashes = hash_ids(record.ids)
        run = HashRun.of(hashes, number)
        doubtful = {record.ids[row] for _, row in run.repeated()} | {id for _, id in record.drops}
        for other in self._runs:
            doubtful.update(record.ids[row] for row in np.flatnonzero(other.holds(hashes)).tolist())
        if any(number == at for at, _ in self._dropped):  # dropped by a record that was read before it
            doubtful.update(record.ids)
        self._n_alive += len(run)
        self._put_run(run)
        for id in doubtful:
            self._decide(id)

    def _put_run(self, run: HashRun, merging: bool = True) -> None:
        self._runs.append(run)
        while merging and len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            self._runs[-2:] = [merge(self._runs[-2:])]

    def _decide(self, id: str) -> None:
        """Settle which of the copies of an id counts: the first that was not dropped."""
        wanted = next((p for p in self.copies(id) if (p[0].number, id) not in self._dropped), None)
        for record, row in self.copies(id):
            dead = self._dead.setdefault(record.number, set())
            self._n_alive += row in dead
            dead.discard(row)
            if wanted is None or (record.number, row) != (wanted[0].number, wanted[1]):
                dead.add(row)
                self._n_alive -= 1

    def copies(self, id: str) -> list[RecordRow]:
        """All that any record lists of an id, in the order of the records, whether it counts or not."""
        key, found = hash_id(id), []
        for run in self._runs:
            at = bisect_left(run.keys, key)
            while at < len(run) and run.keys[at] == key:
                number, row = int(run.numbers[at]), int(run.rows[at])
                if self.records[number].ids[row] == id:
                    found.append((number, row))
                at += 1
        return [(self.records[number], row) for number, row in sorted(found)]

    def find(self, id: str) -> RecordRow | None:
        """Record and row of an utterance that exists; None where there is none."""
        for record, row in self.copies(id):
            if self.is_alive(record.number, row):
                return record, row
        return None

    def find_many(self, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Commit number and row of each id, (U,) int64 each; number -1 where none exists."""
        numbers, rows = np.full(len(ids), -1, np.int64), np.zeros(len(ids), np.int64)
        hashes = hash_ids(ids)
        for run in self._runs:
            hits = np.flatnonzero((numbers < 0) & run.holds(hashes))
            at = np.searchsorted(run.hashes, hashes[hits])
            numbers[hits], rows[hits] = run.numbers[at], run.rows[at]
        for k, (id, number, row) in enumerate(zip(ids, numbers.tolist(), rows.tolist(), strict=True)):
            if number < 0 or (self.is_alive(number, row) and self.records[number].ids[row] == id):
                continue
            place = self.find(id)  # of several copies, or of equal hashes
            numbers[k], rows[k] = (-1, 0) if place is None else (place[0].number, place[1])
        return numbers, rows

    def is_alive(self, number: int, row: int) -> bool:
        """Whether a row of a commit counts."""
        return row not in self._dead.get(number, ())

    def rows(self, number: int) -> np.ndarray:
        """Rows of a commit that count, ascending: (U,) int64."""
        n_rows = len(self.records[number].ids)
        dead = self._dead.get(number)
        return np.setdiff1d(np.arange(n_rows), list(dead)) if dead else np.arange(n_rows)

    def is_whole(self, number: int) -> bool:
        """Whether all rows of a commit count."""
        return not self._dead.get(number)

    def live(self) -> Iterator[tuple[Record, np.ndarray]]:
        """Each record that has rows that count, in order, with these rows."""
        for number in sorted(self.records):
            rows = self.rows(number)
            if len(rows):
                yield self.records[number], rows

    def ids(self) -> Iterator[str]:
        """Ids that exist, in the order of their commits."""
        for record, rows in self.live():
            if len(rows) == len(record.ids):
                yield from record.ids
            else:
                yield from (record.ids[row] for row in rows)

    def __len__(self) -> int:
        """How many utterances exist."""
        return self._n_alive

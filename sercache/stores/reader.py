"""Reader: what is committed in a store of either format, by byte ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sercache import advice, objects
from sercache.catalog import unknown
from sercache.errors import MissingFeaturesError, UnknownNameError
from sercache.stores import checking, commits, mapped
from sercache.stores.commits import Record
from sercache.stores.contract import Damage, Entry
from sercache.stores.dtypes import STORED, decode_frames, width
from sercache.stores.entries import Entries, entry_of
from sercache.stores.held import Hold
from sercache.stores.kept import Files, Wanted, fetched
from sercache.stores.layout import Layout, load
from sercache.stores.ledger import Ledger, RecordRow
from sercache.stores.mapped import OneRoom, Room, Stretch
from sercache.stores.ranges import Run, as_runs, read_frames, read_rows, stretches, wanted_frames, wanted_rows
from sercache.stores.watch import Watch

_MOST_REMEMBERED = 2**16
"""Places of utterances that a reader keeps at hand."""
_MEANS = np.dtype("<f4")
_READ_AT_ONCE = 2**21
"""Bytes of means: a table that is read takes no more memory than this beside the array that is asked for."""
_T = TypeVar("_T")
_Key = tuple[str, tuple[str, ...] | None]
"""Utterance and states."""


class StoreReader:
    """Committed utterances of a store. It may be pickled, forked and shared by threads."""

    def __init__(self, path: Path) -> None:
        self.layout: Layout = load(path, fresh=True)
        self.path = self.layout.path
        self.spec = self.layout.spec
        self._hold = Hold(self.layout.ledger)
        self._ledger = Ledger(self.layout.ledger)
        self._found: dict[str, RecordRow] = {}
        self._known: dict[_Key, Stretch] = {}
        self._states: dict[tuple[str, ...] | None, Sequence[int]] = {}
        self._dtype = STORED[self.spec.dtype]
        self._width = width(self.spec.dim, self.spec.dtype)
        self._row_shape = (len(self.spec.states), self.spec.dim)
        self._watch = Watch(self.layout, Files())
        self.refresh()

    def __getstate__(self) -> dict[str, Any]:
        """All but open files."""
        return {**{name: value for name, value in vars(self).items() if name != "_hold"}, "_known": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._hold = Hold(self.layout.ledger)

    def refresh(self) -> bool:
        """See what was committed since; true where something was. Raises DamagedStoreError."""
        changed = self._ledger.refresh()
        if changed:
            self._found, self._known = {}, {}
            # A commit may have put longer files in the place of those that are open.
            self._watch.reopen(Files())
        return changed

    def ids(self) -> list[str]:
        """Committed ids, in the order of their commits."""
        return list(self._ledger.ids())

    def entries(self) -> Mapping[str, Entry]:
        """Committed entries by id; each is made when it is asked for."""
        return Entries(self._ledger)

    def read(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Frames (L', T, D) of one utterance, float16 or float32 as stored, bfloat16 and int8 as float32.

        Raises MissingFeaturesError for an id or frames that the store lacks, UnknownNameError for a state,
        DamagedStoreError for a file that is missing, cut short, or holds other bytes than were written: each
        state is compared with its checksum when it is first read, and again where its file has changed.
        """
        return decode_frames(self.read_stored(id, states), self.spec.dtype)

    def read_stored(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Frames of one utterance as they lie on the disk, which ``append`` takes: of int8 (L', T, D + 4), with scales.

        Raises as ``read``.
        """
        key = (id, None if states is None else tuple(states))
        known = self._known.get(key)
        if known is not None and (file := known.file()) is not None:
            stored = file.copy(known, self._dtype)
            if stored is not None:
                return stored
        return self._find_and_read(key, mapped.empty)

    def read_many(self, ids: Sequence[str], states: Sequence[str] | None = None) -> list[np.ndarray]:
        """``read`` of each id, in the order asked for; the disk is gone through in its own order."""
        out: list[np.ndarray] = [np.empty(0)] * len(ids)
        for k in self._in_order(ids, states):
            out[k] = self.read(ids[k], states)
        return out

    def read_each(
        self, ids: Sequence[str], states: Sequence[str] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """``read`` of each id with its place among them, in the order of the disk; each is gone at the next.

        It may be read-only: what the page cache holds and was compared before is not copied.
        """
        room, names = OneRoom(), None if states is None else tuple(states)
        for k in self._in_order(ids, states):
            known = self._compared((ids[k], names))
            file = None if known is None else known.file()
            stored = None if known is None or file is None else file.rows(known, self._dtype)
            if stored is None:
                stored = self._find_and_read((ids[k], names), room, lent=True)
            yield k, decode_frames(stored, self.spec.dtype)

    def expect(self, ids: Sequence[str], states: Sequence[str] | None = None) -> None:
        """Have the disk begin to read what ``read_each`` will soon give. Raises as ``read``, but for other bytes."""
        if objects.place_of(self.path) is None:  # what lies far away is fetched ahead as it is read
            indices = self._indices(states)
            for k in self._in_order(ids, states):
                parts = stretches(self.layout, self._find(ids[k]))
                for name, place in wanted_frames(self.layout, parts, indices):
                    self._watch.file(name).expect(*place)

    def _in_order(self, ids: Sequence[str], states: Sequence[str] | None) -> Iterable[int]:
        """Places of the ids in the order of the disk, each when what it takes is at hand or on its way."""
        places = [self._find(id, ids) for id in ids]
        indices = self._indices(states)

        def wanted(k: int) -> list[Wanted]:
            return wanted_frames(self.layout, stretches(self.layout, places[k]), indices)

        order = sorted(range(len(ids)), key=lambda k: (places[k][0].number, places[k][1]))
        return self._ahead(order, wanted)

    def _ahead(self, items: Iterable[_T], wanted: Callable[[_T], Sequence[Wanted]]) -> Iterable[_T]:
        """The items; of a store far away what they want is fetched before their turn."""
        return items if objects.place_of(self.path) is None else fetched(items, wanted, self._watch.file)

    def _find_and_read(self, key: _Key, room: Room, *, lent: bool = False) -> np.ndarray:
        """``read_stored`` into ``room``: what was not read before, has changed, or is not in the page cache."""
        states, (record, row) = self._indices(key[1]), self._find(key[0])
        parts = stretches(self.layout, (record, row))
        # Before there is memory for what a made-up record claims.
        self._watch.look(record, (part.name for part in parts))
        stored = read_frames(self._watch, record, parts, states, room, lent=lent)
        self._watch.check_frames(record, row, states, stored)
        self._known.pop(key, None)  # of a file that was changed, perhaps
        self._compared(key)
        return stored

    def _compared(self, key: _Key) -> Stretch | None:
        """Where states lie, if it is one stretch and all of them were compared; remembered while its file is open."""
        known = self._known.get(key)
        if known is not None and known.file() is not None:
            return known
        states, (record, row) = self._indices(key[1]), self._find(key[0])
        parts = stretches(self.layout, (record, row))
        if len(parts) != 1 or not isinstance(states, range):
            return None
        (part,) = parts
        file = self._watch.open(record, part.name)
        stamp = self._watch.stamp(
            record, part.name
        )  # first: what is compared from now on is of this file or a later one
        if stamp is None or not self._watch.has_compared(record, row, states):
            return None
        first, shape = part.first + states.start * part.step, (len(states), part.n_frames, self._width)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known = {}
        found = self._known[key] = Stretch(file, stamp, first, part.step, shape)
        return found

    def pooled(
        self, ids: Sequence[str] | None = None, states: Sequence[str] | None = None, what: str = "mean"
    ) -> np.ndarray:
        """Means (or ``what="std"``, population standard deviations) over time: (U, L', D) float32.

        Raises as ``read`` does.
        """
        if what not in ("mean", "std"):
            raise UnknownNameError(unknown("statistic", what, ("mean", "std")))
        indices = self._indices(states)
        n_utterances = len(self._ledger if ids is None else ids)
        out = mapped.empty((n_utterances, len(indices), self.spec.dim), _MEANS, 0)
        chosen = self._everything() if ids is None else self._chosen(ids)
        parts = ((record, list(runs)) for record, runs in chosen)
        for record, part in self._ahead(parts, lambda each: wanted_rows(self.layout, *each, what)):
            self._read_rows(record, what, part, indices, out)
        return out

    def _read_rows(
        self, record: Record, what: str, runs: Iterable[Run], states: Sequence[int], out: np.ndarray
    ) -> None:
        """Rows of one commit, some at a time; those that were never compared are read whole for it."""
        table, everything = record.tables[what], range(len(self.spec.states))
        row_bytes = len(everything) * self.spec.dim * 4
        step = max(1, _READ_AT_ONCE // row_bytes)
        file = self._watch.open(record, table.file)
        for first, to, n_rows in runs:
            for row in range(first, first + n_rows, step):
                count = min(step, first + n_rows - row)
                own = out[to + row - first : to + row - first + count]
                if self._watch.has_seen(record, what, row, count):
                    read_rows(self.layout, file, table.offset, [(row, 0, count)], states, own)
                else:
                    shape = (count, *self._row_shape)
                    whole = own if states == everything else mapped.empty(shape, _MEANS, 0)
                    read_rows(self.layout, file, table.offset, [(row, 0, count)], everything, whole)
                    self._watch.check_rows(record, what, row, whole)
                    if whole is not own:
                        own[...] = whole[:, list(states)]
                    begin = table.offset + row * row_bytes
                    file.release(begin, begin + count * row_bytes)  # what is read again may stay mapped

    def _everything(self) -> Iterator[tuple[Record, Iterable[Run]]]:
        """Each record with its rows that exist, and where they stand among all."""
        at = 0
        for record, rows in self._ledger.live():
            is_whole = len(rows) == len(record.ids)
            yield record, [(0, at, len(rows))] if is_whole else as_runs(rows, np.arange(at, at + len(rows)))
            at += len(rows)

    def _chosen(self, ids: Sequence[str]) -> Iterator[tuple[Record, Iterable[Run]]]:
        """Each record with the rows of these ids, and where they stand among them."""
        numbers, rows = self._ledger.find_many(ids)
        if (numbers < 0).any():
            raise self._missing([ids[k] for k in np.flatnonzero(numbers < 0).tolist()], len(ids))
        order = np.lexsort((rows, numbers))
        for into in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else ():
            yield self._ledger.records[int(numbers[into[0]])], as_runs(rows[into], into)

    def verify(self) -> list[Damage]:
        """Check every checksum; an empty list means whole. Raises DamagedStoreError for a commit record."""
        ledger = Ledger(self.layout.ledger, believes_checkpoints=False)
        ledger.refresh()
        return checking.check_checkpoints(ledger) + checking.check(self.layout, ledger)

    def marks(self) -> Iterator[tuple[Entry, str, str]]:
        """Each entry with the CRC-32C of its frames, 8 hex digits a state, and of its means and deviations."""
        for record, rows in self._ledger.live():
            for row in rows.tolist():
                frames = record.frame_crcs[row] if record.blocks else ""
                yield entry_of(record, row), frames, record.pooled_crcs[row]

    def n_bytes(self) -> int:
        """Bytes of all committed files."""
        return sum(map(commits.n_bytes, self._ledger.records.values()))

    def _find(self, id: str, among: Sequence[str] = ()) -> RecordRow:
        place = self._found.get(id)
        if place is None:
            place = self._ledger.find(id)
            if place is None:
                wanted = among or [id]
                raise self._missing([each for each in wanted if self._ledger.find(each) is None], len(wanted))
            if len(self._found) >= _MOST_REMEMBERED:
                self._found = {}
            self._found[id] = place
        return place

    def _missing(self, missing: Sequence[str], n_wanted: int) -> MissingFeaturesError:
        if set(missing) <= set(self.spec.states):
            return MissingFeaturesError(
                f"{missing[0]} is a state of {self.path}, not an utterance, of which ids are asked for first; write "
                f"states=[{missing[0]!r}], for all utterances pooled(states=[{missing[0]!r}])"
            )
        return MissingFeaturesError(
            f"{len(missing)} of {n_wanted} utterances have no features in {self.path}, first: {missing[0]}; "
            f"`{advice.command('info', self.path)}` shows the command that adds to it"
        )

    def _indices(self, states: Sequence[str] | None) -> Sequence[int]:
        """Indices of the states with these names, as a range where they follow one another."""
        key = None if states is None else tuple(states)
        found = self._states.get(key)
        if found is None:
            on_offer = self.spec.states
            for state in key or ():
                if state not in on_offer:
                    raise UnknownNameError(unknown("state", state, list(on_offer)))
            found = [on_offer.index(state) for state in (on_offer if key is None else key)]
            if found and found == list(range(found[0], found[-1] + 1)):
                found = range(found[0], found[-1] + 1)
            self._states[key] = found
        return found

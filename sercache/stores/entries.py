"""What a store says of its entries, read from its commit records as it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, ValuesView

from sercache.stores.commits import Record
from sercache.stores.contract import Entry
from sercache.stores.ledger import Ledger


class Entries(Mapping[str, Entry]):
    """Committed entries of a ledger by id, in the order of their commits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __len__(self) -> int:
        return len(self._ledger)

    def __iter__(self) -> Iterator[str]:
        return self._ledger.ids()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._ledger.find(id) is not None

    def __getitem__(self, id: str) -> Entry:
        place = self._ledger.find(id)
        if place is None:
            raise KeyError(id)
        return entry_of(*place)

    def values(self) -> ValuesView[Entry]:
        """Entries, gone through without looking each of them up."""
        return _Values(self)

    def all(self) -> Iterator[Entry]:
        """Each entry."""
        for record, rows in self._ledger.live():
            yield from (entry_of(record, row) for row in rows.tolist())


class _Values(ValuesView[Entry]):
    _mapping: Entries

    def __iter__(self) -> Iterator[Entry]:
        return self._mapping.all()


def entry_of(record: Record, row: int) -> Entry:
    """The entry in a row of a commit record."""
    return Entry(
        record.ids[row], int(record.n_frames[row]), int(record.n_samples[row]), record.audio_digest[row]
    )

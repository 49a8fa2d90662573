"""Reader: what is committed in a store of either format, by byte ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from sercache.catalog import unknown
from sercache.errors import MissingFeaturesError, UnknownNameError
from sercache.stores import checking
from sercache.stores.commits import Ledger, Record
from sercache.stores.contract import Damage, Entry
from sercache.stores.dtypes import decode_frames
from sercache.stores.layout import Layout, load
from sercache.stores.ranges import Place, read_frames, read_rows


class Reader:
    """Committed utterances of a store. Holds no open file: it may be pickled, forked and shared by threads."""

    def __init__(self, path: Path) -> None:
        self.layout: Layout = load(path)
        self.path = self.layout.path
        self.spec = self.layout.spec
        self._ledger = Ledger(self.layout.ledger)
        self._places: dict[str, Place] = {}
        self._entries: dict[str, Entry] | None = None
        self.refresh()

    def refresh(self) -> bool:
        """See what was committed since; true where something was. Raises DamagedStoreError."""
        changed = self._ledger.refresh()
        if changed:
            self._places, self._entries = self._ledger.visible(), None
        return changed

    def ids(self) -> list[str]:
        """Committed ids, in the order of their commits."""
        return list(self._places)

    def entries(self) -> Mapping[str, Entry]:
        """Committed entries by id."""
        if self._entries is None:
            self._entries = {id: _entry(*place) for id, place in self._places.items()}
        return self._entries

    def read(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Frames (L', T, D) of one utterance, float16 or float32 as stored, bfloat16 as float32.

        Raises MissingFeaturesError for an id or frames that the store lacks, UnknownNameError for a state,
        DamagedStoreError for a file that is missing or cut short. Checksums are ``verify``'s to check.
        """
        (place,) = self._find([id])
        return decode_frames(read_frames(self.layout, place, self._indices(states)), self.spec.dtype)

    def read_many(self, ids: Sequence[str], states: Sequence[str] | None = None) -> list[np.ndarray]:
        """``read`` of each id, in the order asked for; the disk is gone through in its own order."""
        places, indices = self._find(ids), self._indices(states)
        out: list[np.ndarray] = [np.empty(0)] * len(ids)
        for k in sorted(range(len(ids)), key=lambda k: (places[k][0].number, places[k][1])):
            out[k] = decode_frames(read_frames(self.layout, places[k], indices), self.spec.dtype)
        return out

    def pooled(
        self, ids: Sequence[str] | None = None, states: Sequence[str] | None = None, what: str = "mean"
    ) -> np.ndarray:
        """Means (or ``what="std"``, population standard deviations) over time: (U, L', D) float32.

        Raises as ``read`` does.
        """
        if what not in ("mean", "std"):
            raise UnknownNameError(unknown("statistic", what, ("mean", "std")))
        places = list(self._places.values()) if ids is None else self._find(ids)
        indices = self._indices(states)
        out = np.empty((len(places), len(indices), self.spec.dim), "<f4")
        order = sorted(range(len(places)), key=lambda k: (places[k][0].number, places[k][1]))
        for _, group in groupby(order, key=lambda k: places[k][0].number):
            wanted = list(group)
            record = places[wanted[0]][0]
            read_rows(self.layout, record.tables[what], [(places[k][1], k) for k in wanted], indices, out)
        return out

    def verify(self) -> list[Damage]:
        """Check every checksum; an empty list means whole. Raises DamagedStoreError for a commit record."""
        self.refresh()
        return checking.check(self.layout, self._ledger)

    def n_bytes(self) -> int:
        """Bytes of all committed files."""
        return sum(file.size for record in self._ledger.records.values() for file in record.files)

    def _find(self, ids: Sequence[str]) -> list[Place]:
        missing = [id for id in ids if id not in self._places]
        if missing:
            raise MissingFeaturesError(
                f"{len(missing)} of {len(ids)} utterances have no features in {self.path}, first: {missing[0]}; "
                f"run sercache extract --encoder {self.spec.encoder} --dataset {self.spec.corpus}"
            )
        return [self._places[id] for id in ids]

    def _indices(self, states: Sequence[str] | None) -> list[int]:
        on_offer = self.spec.states
        for state in states or ():
            if state not in on_offer:
                raise UnknownNameError(unknown("state", state, list(on_offer)))
        return [on_offer.index(state) for state in (on_offer if states is None else states)]


def _entry(record: Record, row: int) -> Entry:
    return Entry(record.ids[row], record.n_frames[row], record.n_samples[row], record.audio_digest[row])

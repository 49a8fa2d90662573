"""Equal audio is computed once: what this store or another of the cache holds of the same samples is copied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sercache import clips, stores
from sercache.audio import Remark
from sercache.datasets import Skipped
from sercache.errors import AlreadyStoredError, DamagedStoreError
from sercache.extraction.decode import Decoded, Result
from sercache.extraction.plan import Piece, Plan, batch_digest
from sercache.extraction.splits import Company
from sercache.stores import FeatureStore, FeatureWriter


@dataclass(frozen=True, slots=True)
class DecodedPiece:
    """What is known of a decoded piece without its samples."""

    piece: Piece
    digest: str
    n_samples: int
    remarks: tuple[Remark, ...] = ()


class Copies:
    """Features of equal audio that other stores of the cache hold, copied as soon as it is decoded.

    They are looked for before anything else, so that what is computed together does not depend on interruptions.
    """

    def __init__(
        self, plan: Plan, folder: Path, progress: Callable[[Piece], None] = lambda piece: None
    ) -> None:
        self._places: dict[str, tuple[FeatureStore, str]] = {}
        for source in plan.sources:
            for entry in source.entries().values():
                self._places.setdefault(entry.audio_digest, (source, entry.id))
        self._done, self._progress = plan.done, progress
        self._writer = stores.create(folder, plan.spec, stores.read_format(folder)) if self._places else None
        self.n_copied: Counter[Path] = Counter()
        """Entries by the store that they were copied from."""
        self.n_damaged: Counter[Path] = Counter()
        """Entries that cannot be copied, since a store is damaged there."""

    def hold(self, item: Decoded | DecodedPiece) -> bool:
        """Whether another store holds a piece's audio; what is not stored here yet is copied.

        Where bytes there differ from their checksums it is to be encoded.
        """
        if self._writer is None or item.digest not in self._places:
            return False
        source, id = self._places[item.digest]
        if item.piece.entry_id in self._done:
            return True
        try:
            with suppress(AlreadyStoredError):  # another process was faster
                _copy(source, id, item, self._writer)
        except DamagedStoreError:
            self.n_damaged[source.path] += 1
            del self._places[item.digest]
            return False
        self.n_copied[source.path] += 1
        self._progress(item.piece)
        return True

    def close(self) -> None:
        """Commit what was copied."""
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> None:
        """Leave what is not committed."""
        if self._writer is not None:
            self._writer.abandon()


class Duplicates:
    """Goes through the batches in the plan's order; knows what was skipped and what is left to copy."""

    def __init__(self, plan: Plan, store: FeatureStore, copies: Copies) -> None:
        self._plan, self._done, self._copies = plan, plan.done, copies
        self._first: dict[str, str] = {}
        for entry in store.entries().values():
            self._is_first(entry.audio_digest, entry.id)
        self.skipped: list[Skipped] = []
        self.remarked: list[tuple[str, Remark]] = []
        """Utterances, and what is to be known of their recordings."""
        self._rule = clips.parse(plan.spec.clip)
        self.duplicates: list[DecodedPiece] = []

    def _is_first(self, digest: str, id: str) -> bool:
        """Whether an entry is the one of its audio to compute: what the plan does not name, then the plan's first.

        Not the one that was stored first, which depends on interruptions, on repairs and on who else was at work.
        """
        known = self._first.setdefault(digest, id)
        if known != id and self._rank.get(known, -1) > self._rank.get(id, -1):
            self._first[digest] = known = id
        return known == id

    @cached_property
    def _rank(self) -> dict[str, int]:
        pieces = (piece for batch in self._plan.batches for piece in batch)
        return {piece.entry_id: k for k, piece in enumerate(pieces)}

    def take(self, batch: Sequence[Decoded | DecodedPiece | Skipped]) -> list[int]:
        """Which pieces of a batch (positions) are to be computed together; none where all of them are stored.

        What is stored already stays in its batch, so that bits do not depend on interruptions.
        """
        fresh: list[int] = []
        pending = False
        for k, item in enumerate(batch):
            if isinstance(item, Skipped):
                self.skipped.append(item)
                continue
            if item.piece.entry_id not in self._done:
                whose = clips.utterance_id(item.piece.entry_id, self._rule)
                self.remarked += [(whose, remark) for remark in item.remarks]
            if self._copies.hold(item):
                continue
            if self._is_first(item.digest, item.piece.entry_id):
                fresh.append(k)
                pending |= item.piece.entry_id not in self._done
            elif item.piece.entry_id not in self._done:
                self.duplicates.append(DecodedPiece(item.piece, item.digest, item.n_samples))
        return fresh if pending else []

    def fresh(
        self, batches: Iterable[Sequence[Piece]], decoded: Iterable[Sequence[Result]]
    ) -> Iterator[Company]:
        """``take`` of each batch of the plan and what decoding it gave, where it leaves anything."""
        for pieces, found in zip(batches, decoded, strict=True):
            if chosen := self.take(found):
                items = [item for k in chosen if isinstance(item := found[k], Decoded)]
                yield Company(batch_digest(pieces), chosen, items)

    def copy_duplicates(self, writer: FeatureWriter, store: FeatureStore) -> Iterator[Piece]:
        """Append what equals a committed entry, and give the pieces one by one.

        A duplicate of what could not be encoded is skipped for the same reason.
        """
        store.refresh()
        entries, reasons = store.entries(), {item.what: item.reason for item in self.skipped}
        for duplicate in self.duplicates:
            first = self._first[duplicate.digest]
            if first not in entries:
                self.skipped.append(Skipped(duplicate.piece.entry_id, reasons[first]))
                continue
            with suppress(AlreadyStoredError):  # another process was faster
                _copy(store, first, duplicate, writer)
            yield duplicate.piece


def _copy(store: FeatureStore, id: str, item: Decoded | DecodedPiece, writer: FeatureWriter) -> None:
    states = writer.spec.states
    writer.append(
        item.piece.entry_id,
        store.pooled([id], states)[0],
        store.pooled([id], states, "std")[0],
        store.read_stored(id, states) if writer.spec.frames else None,
        n_frames=store.entries()[id].n_frames,
        n_samples=item.n_samples,
        audio_digest=item.digest,
    )

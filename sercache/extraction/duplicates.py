"""Equal audio is computed once: what this store or another of the cache holds of the same samples is copied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sercache import clips, stores
from sercache.audio import Remark
from sercache.datasets import Skipped
from sercache.errors import AlreadyStoredError, DamagedStoreError
from sercache.extraction.decode import Decoded, DecodedPiece
from sercache.extraction.pieces import Piece
from sercache.extraction.plan import Plan
from sercache.stores import FeatureStore, FeatureWriter


class Copies:
    """Features of equal audio that other stores of the cache hold, copied as soon as it is decoded.

    They are looked for before anything else, so that what is computed together does not depend on interruptions.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        done: Collection[str],
        lost: Callable[[Collection[str]], Collection[str]],
        progress: Callable[[Piece], None],
    ) -> None:
        """``done`` are entry ids that the store holds; it may grow. ``lost``: see ``FeatureWriter.guard``."""
        self._places: dict[str, tuple[FeatureStore, str]] = {}
        for source in plan.sources:
            for entry in source.entries().values():
                self._places.setdefault(entry.audio_digest, (source, entry.id))
        self._done, self._progress = done, progress
        self._writer = stores.create(folder, plan.spec, stores.read_format(folder)) if self._places else None
        if self._writer is not None:
            self._writer.guard(lost)
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

    def seal(self) -> None:
        """Commit what was copied."""
        if self._writer is not None:
            self._writer.seal()

    def close(self) -> None:
        """Commit what was copied, and leave the store."""
        if self._writer is not None:
            self._writer.close()

    def abandon(self) -> None:
        """Leave what is not committed."""
        if self._writer is not None:
            self._writer.abandon()


class Duplicates:
    """Goes through the batches in the plan's order; knows what was skipped and what is left to copy.

    Equal samples are looked for among pieces that are equally long by their headers. These follow one another in the
    plan, so that a process which computes some of the batches need not decode all others (docs/decisions/0049).
    """

    def __init__(self, plan: Plan, store: FeatureStore, copies: Copies, done: Collection[str]) -> None:
        """``done`` are entry ids that the store holds; it may grow."""
        self._store, self._done, self._copies = store, done, copies
        self._order = [piece for batch in plan.batches for piece in batch]
        self._rank = {piece.entry_id: k for k, piece in enumerate(self._order)}
        self._asked = bytearray(len(self._order))
        """Of each piece, whether its digest is known, or will be when the turns given out are decoded."""
        self._asked_up_to: dict[int, int] = {}
        """By length, up to which rank all pieces were asked for."""
        self._first: dict[tuple[int, str], int] = {}
        """Rank of the first piece of a length and digest."""
        self._unplanned: dict[str, str] = {}
        """Stored entry, which the plan does not name, by its digest."""
        for entry in store.entries().values():
            if entry.id in self._rank:
                self._hear(self._rank[entry.id], entry.audio_digest)
            else:
                self._unplanned.setdefault(entry.audio_digest, entry.id)
        self.skipped: list[Skipped] = []
        self.remarked: list[tuple[str, Remark]] = []
        """Utterances, and what is to be known of their recordings."""
        self._rule = clips.parse(plan.spec.clip)
        self.waiting: dict[str, DecodedPiece] = {}
        """What equals another entry and is to be copied, by id."""

    def _hear(self, rank: int, digest: str) -> None:
        self._asked[rank] = True
        key = self._order[rank].n_samples, digest
        self._first[key] = min(rank, self._first.get(key, rank))

    def _first_of(self, rank: int, digest: str) -> str:
        """The entry of this audio to compute: what the plan does not name, then the plan's first.

        Not the one that was stored first, which depends on interruptions, on repairs and on who else was at work.
        """
        first = self._first[self._order[rank].n_samples, digest]
        return self._unplanned.get(digest) or self._order[first].entry_id

    def before(self, batch: Sequence[Piece]) -> list[Piece]:
        """Earlier pieces that may equal one of a batch whose turn it is, and which are to be decoded to know that."""
        rank, length = self._rank[batch[0].entry_id], batch[0].n_samples
        unknown = self.unknown_before(batch)
        for piece in unknown:
            self._asked[self._rank[piece.entry_id]] = True
        self._asked_up_to[length] = max(rank, self._asked_up_to.get(length, 0))
        self._asked[rank : rank + len(batch)] = b"\1" * len(batch)
        return unknown

    def unknown_before(self, batch: Sequence[Piece]) -> list[Piece]:
        """As ``before``, without giving the batch its turn."""
        rank, length = self._rank[batch[0].entry_id], batch[0].n_samples
        entries, unknown = self._store.entries(), []
        for k in range(rank - 1, self._asked_up_to.get(length, 0) - 1, -1):
            piece = self._order[k]
            if piece.n_samples != length:
                break
            if self._asked[k]:
                continue
            if piece.entry_id in entries:
                self._hear(k, entries[piece.entry_id].audio_digest)
            else:
                unknown.append(piece)
        return unknown[::-1]

    def hear(self, pieces: Iterable[Decoded | DecodedPiece | Skipped]) -> None:
        """Note the digests of what another process computes."""
        for item in pieces:
            if not isinstance(item, Skipped):
                self._hear(self._rank[item.piece.entry_id], item.digest)

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
            id = item.piece.entry_id
            if id not in self._done:
                whose = clips.utterance_id(id, self._rule)
                self.remarked += [(whose, remark) for remark in item.remarks]
            if self._copies.hold(item):
                continue
            self._hear(self._rank[id], item.digest)
            if self._first_of(self._rank[id], item.digest) == id:
                fresh.append(k)
                pending |= id not in self._done
            elif id not in self._done:
                self.waiting[id] = DecodedPiece(item.piece, item.digest, item.n_samples)
        return fresh if pending else []

    def copy(
        self, writer: FeatureWriter, store: FeatureStore, is_through: Callable[[str], bool]
    ) -> Iterator[Piece]:
        """Append what equals a committed entry, and give the pieces one by one; the rest goes on waiting.

        A duplicate of what could not be encoded, as ``is_through`` says, is skipped for the same reason.
        """
        store.refresh()
        entries, reasons = store.entries(), {item.what: item.reason for item in self.skipped}
        for id, duplicate in list(self.waiting.items()):
            first = self._first_of(self._rank[id], duplicate.digest)
            if first in entries:
                with suppress(AlreadyStoredError):  # another process was faster
                    _copy(store, first, duplicate, writer)
                yield duplicate.piece
            elif is_through(first):
                unknown = f"{first}, which it equals, could not be encoded"
                self.skipped.append(Skipped(id, reasons.get(first, unknown)))
            else:
                continue
            del self.waiting[id]


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

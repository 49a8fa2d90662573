"""Who is first of equal audio: later ones with the same samples are copied, never computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from sercache import clips
from sercache.audio import Remark
from sercache.datasets import Skipped
from sercache.errors import AlreadyStoredError
from sercache.extraction.decode import Decoded
from sercache.extraction.plan import Piece, Plan
from sercache.stores import FeatureStore, FeatureWriter


@dataclass(frozen=True, slots=True)
class DecodedPiece:
    """What is known of a decoded piece without its samples."""

    piece: Piece
    digest: str
    n_samples: int
    remarks: tuple[Remark, ...] = ()


AnyDecoded = TypeVar("AnyDecoded", Decoded, DecodedPiece)


class Duplicates:
    """Goes through the batches in the plan's order; knows what was skipped and what is left to copy."""

    def __init__(self, plan: Plan, store: FeatureStore) -> None:
        self._done = plan.done
        self._first: dict[str, str] = {}
        for entry in store.entries().values():
            self._first.setdefault(entry.audio_digest, entry.id)
        self.skipped: list[Skipped] = []
        self.remarked: list[tuple[str, Remark]] = []
        """Utterances, and what is to be known of their recordings."""
        self._rule = clips.parse(plan.spec.clip)
        self.duplicates: list[DecodedPiece] = []

    def take(self, batch: Sequence[AnyDecoded | Skipped]) -> list[AnyDecoded]:
        """The pieces of a batch that are to be computed together; none where all of them are stored.

        What is stored already stays in its batch, so that bits do not depend on interruptions.
        """
        fresh: list[AnyDecoded] = []
        for item in batch:
            if isinstance(item, Skipped):
                self.skipped.append(item)
                continue
            if item.piece.entry_id not in self._done:
                whose = clips.utterance_id(item.piece.entry_id, self._rule)
                self.remarked += [(whose, remark) for remark in item.remarks]
            if self._first.setdefault(item.digest, item.piece.entry_id) == item.piece.entry_id:
                fresh.append(item)
            elif item.piece.entry_id not in self._done:
                self.duplicates.append(DecodedPiece(item.piece, item.digest, item.n_samples))
        return fresh if any(item.piece.entry_id not in self._done for item in fresh) else []

    def fresh(self, batches: Iterable[Sequence[AnyDecoded | Skipped]]) -> Iterator[list[AnyDecoded]]:
        """``take`` of each batch, where it leaves anything."""
        return filter(None, map(self.take, batches))

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
                writer.append(
                    duplicate.piece.entry_id,
                    store.pooled([first])[0],
                    store.pooled([first], what="std")[0],
                    store.read(first) if writer.spec.frames else None,
                    n_frames=entries[first].n_frames,
                    n_samples=duplicate.n_samples,
                    audio_digest=duplicate.digest,
                )
            yield duplicate.piece

"""The line on several devices: one process for each, one plan, one store.

The leading process goes through the batches in the plan's order and says of each what is computed, so
equal audio is found, and batches are composed, as on one device. Every process seals its own shards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait

from sercache import stores
from sercache.claims import Claim
from sercache.datasets import Skipped
from sercache.errors import SercacheError
from sercache.extraction import decode, notes, stages
from sercache.extraction.decode import DecodedPiece
from sercache.extraction.device_workers import DeviceWorker
from sercache.extraction.duplicates import Copies, Duplicates
from sercache.extraction.pieces import Piece
from sercache.extraction.plan import Plan
from sercache.extraction.run import Extraction, begun
from sercache.extraction.sharing import Share, Turn
from sercache.extraction.worker import (
    BatchMessage,
    Commit,
    Committed,
    DecodedMessage,
    Done,
    End,
    FinishedMessage,
    Fresh,
    NoteMessage,
    StartMessage,
)
from sercache.progress import warn
from sercache.stores import FeatureStore, FeatureWriter

_GIVEN = decode.LOOKAHEAD + 2
"""Batches that a process has at a time: one computed, one launched, the rest decoded ahead."""


def extract_together(
    plan: Plan,
    device_workers: Sequence[DeviceWorker],
    writer: FeatureWriter,
    format: str,
    *,
    writers: int = 1,
    workers: int = 2,
    seal_every: float = 60.0,
    progress: Callable[[Piece], None] = lambda piece: None,
) -> Extraction:
    """``extract`` on the devices of ``device_workers``, with equal features.

    ``workers`` threads decode and ``writers`` write for each device.

    Whatever is raised, each process commits what it computed before that
    goes on up; a process that is gone raises StoreError.
    """
    began, store = time.monotonic(), stores.open(writer.path)
    with begun(store, [writer]) as claims:
        share = Share(plan, store, claims, progress)
        writer.guard(share.fence.lost)
        copies = Copies(plan, store.path, share.done, share.fence.lost, progress)
        lead = _Lead(share, device_workers, Duplicates(plan, store, copies, share.done), progress)
        try:
            for device_worker in device_workers:
                device_worker.send(
                    StartMessage(writer.path, format, workers, seal_every, writers, plan.augmented)
                )
            while lead.is_left:
                lead.go_through()
                lead.copy(writer, store)
                copies.seal()
                share.settle(lead.duplicates)
                lead.is_left = share.wait() or bool(lead.duplicates.waiting)
            lead.dismiss(at_once=False)
            for each in (writer, copies):
                each.close()
        except BaseException:
            lead.dismiss(at_once=True)
            lead.count_lost()
            for each in (writer, copies):
                each.close()
            raise
    if plan.part.is_whole and not share.left_out:
        notes.mark_finished(store.path)
    seconds = time.monotonic() - began
    busy = [device_worker.busy or {} for device_worker in device_workers]
    return lead.outcome(plan, copies, seconds, stages.load(busy, seconds, workers, writers))


class _Lead:
    """What the leading process knows of the work under way."""

    def __init__(
        self,
        share: Share,
        device_workers: Sequence[DeviceWorker],
        duplicates: Duplicates,
        progress: Callable[[Piece], None],
    ) -> None:
        self.share, self.device_workers, self.duplicates = share, device_workers, duplicates
        self.progress = progress
        self.is_left = True
        self.waiting: Iterator[Turn] | None = None
        """Batches that were not given out; None: all were."""
        self.given: dict[int, Turn] = {}
        """Batches that were given out and are not decided, by number."""
        self.claims: dict[int, Claim] = {}
        """Of batches that are being computed, by number."""
        self.n_given = 0
        self.next = 0
        """The batch whose turn it is to be decided."""
        self.decoded: dict[int, tuple[DeviceWorker, DecodedMessage]] = {}
        self.left: dict[str, int] = {}
        """Batch of each entry that is being computed."""
        self.sounds: dict[str, DecodedPiece] = {}
        self.n_encoded = self.n_samples = self.n_copied = self.n_overtaken = 0

    def go_through(self) -> None:
        """Have computed and committed what no other process has in hand."""
        self.waiting = self.share.turns(self.duplicates)
        for device_worker in self.device_workers:
            self.give(device_worker)
        while self.given or self.waiting is not None:
            self._listen()
        for device_worker in self.device_workers:
            device_worker.has_committed = False
            device_worker.send(Commit())
        while not all(device_worker.has_committed for device_worker in self.device_workers):
            self._listen()

    def copy(self, writer: FeatureWriter, store: FeatureStore) -> None:
        """Copy and commit what equals something that is committed."""
        for piece in self.duplicates.copy(writer, store, self.share.is_through):
            self.n_copied += 1
            self.progress(piece)
        writer.seal()

    def outcome(self, plan: Plan, copies: Copies, seconds: float, load: stages.Load) -> Extraction:
        """What came out of it all."""
        return Extraction(
            self.n_encoded,
            self.n_copied + copies.n_copied.total(),
            (*plan.skipped, *self.duplicates.skipped),
            self.n_samples / plan.spec.sample_rate,
            seconds,
            load,
            tuple(dict.fromkeys(self.duplicates.remarked)),
            self.n_overtaken + self.share.fence.n_lost,
            self.share.n_elsewhere,
            n_copied_from=copies.n_copied,
            n_damaged=copies.n_damaged,
        )

    def _listen(self) -> None:
        for device_worker in self._speaking():
            self.take(device_worker, device_worker.recv())

    def _speaking(self) -> list[DeviceWorker]:
        listening = {
            device_worker.connection: device_worker
            for device_worker in self.device_workers
            if device_worker.busy is None
        }
        return [listening[connection] for connection in wait(list(listening))]  # type: ignore[index]

    def give(self, device_worker: DeviceWorker) -> None:
        """Give it batches to decode."""
        while self.waiting is not None and len(device_worker.given) < _GIVEN:
            if (turn := next(self.waiting, None)) is None:
                self.waiting = None
                return
            number = self.n_given
            self.n_given += 1
            self.given[number] = turn
            device_worker.given.add(number)
            if turn.claim is not None:
                self.claims[number] = turn.claim
            device_worker.send(BatchMessage(number, turn))

    def take(self, device_worker: DeviceWorker, message: object) -> None:
        """Answer a message."""
        if isinstance(message, DecodedMessage):
            self.decoded[message.number] = device_worker, message
            self.decide()
        elif isinstance(message, Done):
            self.note(device_worker, message)
        elif isinstance(message, NoteMessage):
            warn(f"{device_worker.device}: {message.text}")
        elif isinstance(message, Committed):
            device_worker.has_committed = True
            self.n_overtaken += message.n_overtaken
        elif isinstance(message, FinishedMessage):
            device_worker.busy = message.busy

    def decide(self) -> None:
        """Say what is computed of the batches whose turn it is."""
        while self.next in self.decoded:
            device_worker, decoded = self.decoded.pop(self.next)
            turn = self.given.pop(self.next)
            sounds = [
                item if isinstance(item, Skipped) else DecodedPiece(piece, *item)
                for piece, item in zip(turn.pieces, decoded.found, strict=True)
            ]
            fresh: list[int] = []
            if turn.claim is None:
                self.duplicates.hear(sounds)
            else:
                fresh = self.duplicates.take(sounds)
            device_worker.send(Fresh(self.next, fresh))
            for sound in (item for k in fresh if not isinstance(item := sounds[k], Skipped)):
                self.left[sound.piece.entry_id] = self.next
                self.sounds[sound.piece.entry_id] = sound
            number, self.next = self.next, self.next + 1
            self.release(device_worker, number)

    def note(self, device_worker: DeviceWorker, done: Done) -> None:
        """Count what was computed; a batch that is complete makes room for another."""
        self.duplicates.skipped += done.skipped
        for id in done.ids:
            sound = self.sounds.pop(id)
            if id not in self.share.done:
                self.n_encoded += 1
                self.n_samples += sound.n_samples
                self.progress(sound.piece)
        for number in {self.left.pop(id) for id in (*done.ids, *(item.what for item in done.skipped))}:
            self.release(device_worker, number)

    def release(self, device_worker: DeviceWorker, number: int) -> None:
        """Count a batch as done where nothing of it is left to compute."""
        if number not in self.left.values():
            device_worker.given.discard(number)
            self.claims.pop(number, None)
            self.give(device_worker)

    def count_lost(self) -> None:
        """Note with which batches in hand a process was lost."""
        for device_worker in self.device_workers:
            for number in device_worker.given & self.claims.keys() if device_worker.process.exitcode else ():
                self.share.lose(self.claims[number])

    def dismiss(self, *, at_once: bool) -> None:
        """Have every process commit and leave, and wait until all have; ``at_once``, until those who can have."""
        forgiven = (SercacheError, RuntimeError) if at_once else ()
        for device_worker in self.device_workers:
            device_worker.send(End(at_once))
        for device_worker in self.device_workers:
            with suppress(*forgiven):
                while device_worker.busy is None:
                    self.take(device_worker, device_worker.recv())

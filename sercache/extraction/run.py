"""The line of stage one on one device: decode ahead, compute, pool, append, seal."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from sercache import clips
from sercache.audio import Remark
from sercache.claims import Claims
from sercache.datasets import Skipped
from sercache.encoders import Encoder, modality, windowed
from sercache.errors import NumericRangeError
from sercache.extraction import compute, decode, notes, stages
from sercache.extraction.compute import ComputedBatch
from sercache.extraction.decode import Decoded, DecodedPiece
from sercache.extraction.duplicates import Copies, Duplicates
from sercache.extraction.pieces import Piece
from sercache.extraction.plan import Plan
from sercache.extraction.sharing import Share, claims_of
from sercache.extraction.splits import Company, Splits
from sercache.extraction.stages import Busy, Load
from sercache.extraction.writing import Row, Writing
from sercache.machine import cores
from sercache.progress import warn
from sercache.stores import FeatureSpec, FeatureStore, FeatureWriter


@dataclass(frozen=True)
class Extraction:
    """What a run did."""

    n_encoded: int
    n_copied: int
    """Entries whose audio equals one that this store, or another of the cache, held already."""
    skipped: tuple[Skipped, ...]
    audio_seconds: float
    seconds: float
    load: Load
    """How busy each stage was."""
    remarked: tuple[tuple[str, Remark], ...] = ()
    """Ids of utterances that were encoded, and what is to be known of their recordings."""
    n_overtaken: int = 0
    """Of those encoded, entries that another process stored, or took over: they were left as they are."""
    n_elsewhere: int = 0
    """Entries of the plan that other processes stored meanwhile."""
    n_copied_from: Mapping[Path, int] = field(default_factory=dict)
    """Of those copied, entries by the other store that they were taken from."""
    n_damaged: Mapping[Path, int] = field(default_factory=dict)
    """Of those encoded, entries that another store holds, which is damaged there."""


def extract(
    plan: Plan,
    encoder: Encoder,
    writer: FeatureWriter,
    store: FeatureStore,
    *,
    beside: Sequence[FeatureWriter] = (),
    workers: int = 2,
    seal_every: float = 60.0,
    progress: Callable[[Piece], None] = lambda piece: None,
) -> Extraction:
    """Encode what the plan leaves to do and append it to ``writer``; ``store`` reads the same folder.

    Writers ``beside`` it share the work, each with a thread of its own; they are closed here too. Other processes with
    the same plan share it as well: what they do is waited for, and taken over from those that are gone.

    Batches are computed whole even where a part of them is stored already, so that the bits do not depend
    on interruptions; where memory ran out they are cut, and as they were cut before. A commit is made at least
    every ``seal_every`` seconds, so a crash costs no more.
    Recordings that cannot be read are skipped and listed. Whatever is raised, KeyboardInterrupt included,
    what was computed is committed before it goes on up. Memory that ran out is noted.
    """
    began = time.monotonic()
    encoder = windowed(encoder, clips.parse(plan.spec.clip))
    busy, writers = Busy(), [writer, *beside]
    with begun(store, writers) as claims:
        share = Share(plan, store, claims, progress)
        copies = Copies(plan, store.path, share.done, share.fence.lost, progress)
        duplicates = Duplicates(plan, store, copies, share.done)
        splits = Splits(store.path, share.done)
        decoding = decode.decoder(encoder, busy, plan.augmented, clips.parse(plan.spec.clip))
        work = _Work(encoder, decoding, writers, share, duplicates, splits, busy)
        with _closed([*writers, copies], work):
            for each in writers:
                each.guard(share.fence.lost)
            while work.is_left:
                work.go_through(workers, seal_every, progress)
                with busy.during("write"):
                    work.copy(store, progress)
                    copies.seal()
                share.settle(duplicates)
                work.is_left = share.wait() or bool(duplicates.waiting)
    if plan.part.is_whole and not share.left_out:
        notes.mark_finished(store.path)
    seconds = time.monotonic() - began
    return Extraction(
        work.n_encoded,
        work.n_copied + copies.n_copied.total(),
        (*plan.skipped, *duplicates.skipped),
        work.n_samples / encoder.sample_rate,
        seconds,
        stages.load([busy.seconds()], seconds, workers, len(writers)),
        tuple(dict.fromkeys(duplicates.remarked)),
        work.n_overtaken + share.fence.n_lost,
        share.n_elsewhere,
        copies.n_copied,
        copies.n_damaged,
    )


@contextmanager
def begun(store: FeatureStore, writers: Sequence[FeatureWriter]) -> Iterator[Claims]:
    """The claims of this process, with a note that a run is on its way; ``writers`` are left where that fails."""
    try:
        notes.mark_begun(store.path)
        opened = ExitStack()
        claims = opened.enter_context(claims_of(store))
    except BaseException:
        for each in writers:
            each.abandon()
        raise
    with opened:
        yield claims


@dataclass
class _Work:
    """What one process does of a plan, in as many goes as others leave it something."""

    encoder: Encoder
    decoding: decode.Decode
    writers: Sequence[FeatureWriter]
    share: Share
    duplicates: Duplicates
    splits: Splits
    busy: Busy
    is_left: bool = True
    line: Writing | None = None
    n_encoded: int = 0
    n_samples: int = 0
    n_copied: int = 0
    n_overtaken: int = 0

    def go_through(self, workers: int, seal_every: float, progress: Callable[[Piece], None]) -> None:
        """Encode and commit what nobody else has in hand."""
        self.line = Writing(self.writers, seal_every, self.busy)
        with self.line:
            for item in self._encoded(self.line, workers):
                self.n_encoded += 1
                self.n_samples += item.n_samples
                progress(item.piece)
        self.n_overtaken += self.line.n_overtaken

    def _encoded(self, line: Writing, workers: int) -> Iterator[DecodedPiece]:
        """Encode batches and put them into the line; gives each item once it is there."""
        for batch in compute.features(
            self._fresh(workers), self.encoder, self.writers[0].spec, self.busy, self.splits, warn
        ):
            self.duplicates.skipped += batch.skipped
            parts = kept(batch, self.share.done, self.encoder)
            line.put(parts)
            yield from (item for item, _, _ in parts)

    def _fresh(self, workers: int) -> Iterator[Company]:
        """What of each batch whose turn it is, is to be computed together."""
        turns, ahead = tee(self.share.turns(self.duplicates))
        # What is decoded ahead is claimed: a processor, which takes long for a batch, leaves the others more.
        lookahead = decode.LOOKAHEAD if compute.device_of(self.encoder).type == "cuda" else 1
        decoded = decode.ahead((turn.pieces for turn in ahead), self.decoding, workers, lookahead)
        for found, turn in zip(decoded, turns, strict=False):
            if turn.claim is None:
                self.duplicates.hear(found)
            elif chosen := self.duplicates.take(found):
                items = [item for k in chosen if isinstance(item := found[k], Decoded)]
                yield Company(turn.claim.name, chosen, items)

    def copy(self, store: FeatureStore, progress: Callable[[Piece], None]) -> None:
        """Copy and commit what equals something that is committed."""
        writer = self.writers[0]
        for piece in self.duplicates.copy(writer, store, self.share.is_through):
            self.n_copied += 1
            progress(piece)
        writer.seal()


@contextmanager
def _closed(writers: Sequence[FeatureWriter | Copies], work: _Work) -> Iterator[None]:
    """Commit what was written at the end of the block, whatever is raised; a fault may leave no more than that."""
    try:
        yield
        with work.busy.during("write"):
            for each in writers:
                each.close()
    except BaseException as fault:
        if (
            work.line is None or work.line.is_over
        ):  # else a second Ctrl-C came, and the writers are the threads'
            for each in writers:
                each.close() if isinstance(fault, KeyboardInterrupt | NumericRangeError) else each.abandon()
        raise


def kept(batch: ComputedBatch, done: Collection[str], encoder: Encoder) -> list[Row]:
    """What the store does not hold yet of a computed batch; ``done`` are the entry ids that it holds."""
    return [
        (item, found, encoder.n_frames(item.n_samples))
        for item, found in zip(batch.items, batch.features, strict=True)
        if item.piece.entry_id not in done
    ]


def threads(encoder: Encoder, spec: FeatureSpec, devices: Sequence[str] = ()) -> tuple[int, int]:
    """How many threads decode, and how many write, for each device (none named: the encoder's).

    Two and one keep up with a processor; a graphics card may need every core.
    """
    on_cuda = [name for name in devices or [str(compute.device_of(encoder))] if name.startswith("cuda")]
    if not on_cuda:
        return 2, 1
    n_threads = max(2, min(16, cores() // len(on_cuda)))
    return n_threads, max(1, n_threads // 4) if spec.frames else 1


def real_time_factor(encoder: Encoder, states: Sequence[str], seconds: float = 2.0) -> float:
    """Seconds of audio, or word pieces, encoded per second, from one short run on noise after a warm-up."""
    noise = _noise(encoder, seconds)
    for wave in (noise[: max(encoder.min_samples, len(noise) // 8)], noise):
        began = time.monotonic()
        for _, packed in encoder.encode([wave], states):
            packed.float().cpu().sum().item()
    return len(noise) / encoder.sample_rate / (time.monotonic() - began)


def _noise(encoder: Any, seconds: float) -> np.ndarray:
    """Something to try an encoder on; for one of text, a text of about the length of an utterance."""
    if modality(encoder) == "text":
        return encoder.tokens("what is said " * 6)[: encoder.max_samples]
    noise = np.random.default_rng(0).normal(0, 0.1, int(seconds * encoder.sample_rate)).astype(np.float32)
    return noise[: encoder.max_samples]

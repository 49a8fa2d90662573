"""The line of stage one on one device: decode ahead, compute, pool, append, seal."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sercache import clips
from sercache.audio import Remark
from sercache.datasets import Skipped
from sercache.encoders import Encoder, modality, windowed
from sercache.errors import NumericRangeError
from sercache.extraction import compute, decode, notes, stages
from sercache.extraction.compute import ComputedBatch
from sercache.extraction.decode import Decoded
from sercache.extraction.duplicates import Copies, Duplicates
from sercache.extraction.plan import Piece, Plan
from sercache.extraction.splits import Splits
from sercache.extraction.stages import Busy, Load
from sercache.extraction.writing import Part, Writing
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
    """Of those encoded, entries that another process had stored by then: they were left as they are."""
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

    Writers ``beside`` it share the work, each with a thread of its own; they are closed here too.

    Batches are computed whole even where a part of them is stored already, so that the bits do not depend
    on interruptions; where memory ran out they are cut, and as they were cut before. A commit is made at least
    every ``seal_every`` seconds, so a crash costs no more.
    Recordings that cannot be read are skipped and listed. Whatever is raised, KeyboardInterrupt included,
    what was computed is committed before it goes on up. Memory that ran out is noted.
    """
    began = time.monotonic()
    encoder = windowed(encoder, clips.parse(plan.spec.clip))
    notes.mark_begun(store.path)
    busy, copies = Busy(), Copies(plan, store.path, progress)
    duplicates = Duplicates(plan, store, copies)
    writers = [writer, *beside]
    everyone: list[FeatureWriter | Copies] = [*writers, copies]
    line = Writing(writers, seal_every, busy)
    n_encoded = n_samples = n_copied = 0
    with _closed(everyone, line):
        with line:
            splits = Splits(store.path, plan.done)
            for item in _encoded(plan, encoder, duplicates, splits, line, workers):
                n_encoded += 1
                n_samples += item.n_samples
                progress(item.piece)
        with busy.during("write"):
            for piece in duplicates.copy_duplicates(writer, store):
                n_copied += 1
                progress(piece)
    notes.mark_finished(store.path)
    seconds = time.monotonic() - began
    return Extraction(
        n_encoded,
        n_copied + copies.n_copied.total(),
        (*plan.skipped, *duplicates.skipped),
        n_samples / encoder.sample_rate,
        seconds,
        stages.load([busy.seconds()], seconds, workers, len(writers)),
        tuple(duplicates.remarked),
        line.n_overtaken,
        copies.n_copied,
        copies.n_damaged,
    )


@contextmanager
def _closed(writers: Sequence[FeatureWriter | Copies], line: Writing) -> Iterator[None]:
    """Commit what was written at the end of the block, whatever is raised; a fault may leave no more than that."""
    try:
        yield
        with line.busy.during("write"):
            for each in writers:
                each.close()
    except BaseException as fault:
        if line.is_over:  # else a second Ctrl-C came, and the writers are the threads'
            for each in writers:
                each.close() if isinstance(fault, KeyboardInterrupt | NumericRangeError) else each.abandon()
        raise


def _encoded(
    plan: Plan, encoder: Encoder, duplicates: Duplicates, splits: Splits, line: Writing, workers: int
) -> Iterator[Decoded]:
    """Encode what is left to do and put it into the line; gives each item once it is there."""
    batches = plan.unfinished
    fresh = duplicates.fresh(batches, decode.ahead(batches, encoder, workers, line.busy))
    for batch in compute.features(fresh, encoder, plan.spec, line.busy, splits, warn):
        duplicates.skipped += batch.skipped
        parts = kept(batch, plan.done, encoder)
        line.put(parts)
        yield from (item for item, _, _ in parts)


def kept(batch: ComputedBatch, done: Collection[str], encoder: Encoder) -> list[Part]:
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

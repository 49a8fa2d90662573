"""The line of stage one: decode ahead, encode a batch, pool, append, seal."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sercache import audio
from sercache.datasets import Skipped
from sercache.encoders import Encoder
from sercache.errors import AudioError, NumericRangeError, StoreError
from sercache.extraction.plan import Piece, Plan, length_fault
from sercache.stores import FeatureStore, FeatureWriter, encode_frames, notes_folder

_SKIPS = "skipped.json"
_UNFINISHED = "unfinished"
_LOOKAHEAD = 2
"""Batches decoded ahead of the encoder: enough to hide the disk, little enough to hold."""


@dataclass(frozen=True)
class Extraction:
    """What a run did."""

    n_encoded: int
    n_copied: int
    """Entries whose audio equals one that the store held already."""
    skipped: tuple[Skipped, ...]
    audio_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Decoded:
    piece: Piece
    wave: np.ndarray
    digest: str


@dataclass(frozen=True, slots=True)
class _Features:
    mean: np.ndarray
    std: np.ndarray
    frames: np.ndarray | None


def extract(
    plan: Plan,
    encoder: Encoder,
    writer: FeatureWriter,
    store: FeatureStore,
    *,
    workers: int = 2,
    seal_every: float = 60.0,
    progress: Callable[[Piece], None] = lambda piece: None,
) -> Extraction:
    """Encode what the plan leaves to do and append it to ``writer``; ``store`` reads the same folder.

    Batches are computed whole even where a part of them is stored already, so that the bits do not depend
    on interruptions. A commit is made at least every ``seal_every`` seconds, so a crash costs no more.
    Recordings that cannot be read are skipped and listed. KeyboardInterrupt and NumericRangeError seal what
    is finished and go on up.
    """
    began = time.monotonic()
    (notes_folder(store.path) / _UNFINISHED).touch()
    line = _Line(plan, encoder, writer, store)
    try:
        sealed = began
        for batch in _decoded(plan, encoder, workers):
            line.take(batch, progress)
            if time.monotonic() - sealed > seal_every:
                writer.seal()
                sealed = time.monotonic()
    except (KeyboardInterrupt, NumericRangeError):
        writer.seal()
        raise
    writer.close()
    mark_finished(store.path)
    return Extraction(
        line.n_encoded,
        line.n_copied,
        (*plan.skipped, *line.skipped),
        line.n_samples / encoder.sample_rate,
        time.monotonic() - began,
    )


class _Line:
    """Counts of a run in progress, and the batch step."""

    def __init__(self, plan: Plan, encoder: Encoder, writer: FeatureWriter, store: FeatureStore) -> None:
        self.plan, self.encoder, self.writer, self.store = plan, encoder, writer, store
        self.skipped: list[Skipped] = []
        self.n_encoded = self.n_copied = self.n_samples = 0
        # First entry of each audio: later ones with the same samples are copied, never computed.
        self.first: dict[str, str] = {}
        for entry in store.entries().values():
            self.first.setdefault(entry.audio_digest, entry.id)

    def take(self, batch: Sequence[_Decoded | Skipped], progress: Callable[[Piece], None]) -> None:
        fresh: list[_Decoded] = []
        twins: list[_Decoded] = []
        for item in batch:
            if isinstance(item, Skipped):
                self.skipped.append(item)
            elif self.first.setdefault(item.digest, item.piece.entry_id) == item.piece.entry_id:
                fresh.append(item)
            else:
                twins.append(item)
        if any(item.piece.entry_id not in self.plan.done for item in fresh):
            self._encode(fresh, progress)
        for item in twins:
            if item.piece.entry_id not in self.plan.done:
                self._copy(item)
                progress(item.piece)

    def _encode(self, fresh: Sequence[_Decoded], progress: Callable[[Piece], None]) -> None:
        features = compute(self.encoder, [item.wave for item in fresh], self.plan, [i.piece for i in fresh])
        for item, found in zip(fresh, features, strict=True):
            if item.piece.entry_id in self.plan.done:
                continue
            self._append(item, found)
            self.n_encoded += 1
            self.n_samples += len(item.wave)
            progress(item.piece)

    def _copy(self, item: _Decoded) -> None:
        first = self.first[item.digest]
        if first not in self.store.entries():
            self.writer.seal()
            self.store.refresh()
        frames = self.store.read(first) if self.plan.spec.frames else None
        mean, std = self.store.pooled([first])[0], self.store.pooled([first], what="std")[0]
        self._append(item, _Features(mean, std, frames))
        self.n_copied += 1

    def _append(self, item: _Decoded, found: _Features) -> None:
        self.writer.append(
            item.piece.entry_id,
            found.mean,
            found.std,
            found.frames,
            n_frames=self.encoder.n_frames(len(item.wave)),
            n_samples=len(item.wave),
            audio_digest=item.digest,
        )


def compute(
    encoder: Encoder, waves: Sequence[np.ndarray], plan: Plan, pieces: Sequence[Piece]
) -> list[_Features]:
    """Means, standard deviations and (where the spec keeps them) frames of each wave.

    One state is in memory at a time in float32; what is kept is in the spec's dtype. Sums are float64.
    """
    spec = plan.spec
    bounds = np.cumsum([0, *(encoder.n_frames(len(wave)) for wave in waves)])
    n = len(waves)
    mean = np.empty((n, len(spec.states), spec.dim), np.float32)
    std = np.empty_like(mean)
    kept: list[list[np.ndarray]] = [[] for _ in waves]
    for layer, (state, packed) in enumerate(encoder.encode(waves, spec.states)):
        if state != spec.states[layer] or tuple(packed.shape) != (bounds[-1], spec.dim):
            raise StoreError(
                f"{encoder.name} gave state {state} of shape {tuple(packed.shape)}, "
                f"expected {spec.states[layer]} of {(int(bounds[-1]), spec.dim)}"
            )
        values = packed.float().cpu().numpy()
        for k in range(n):
            part = values[bounds[k] : bounds[k + 1]]  # (T, D)
            mean[k, layer] = part.mean(axis=0, dtype=np.float64)
            std[k, layer] = part.std(axis=0, dtype=np.float64)
            if spec.frames:
                kept[k].append(encode_frames(part, spec.dtype, pieces[k].entry_id, state))
    return [_Features(mean[k], std[k], np.stack(kept[k]) if spec.frames else None) for k in range(n)]


def _decoded(plan: Plan, encoder: Encoder, workers: int) -> Iterator[list[_Decoded | Skipped]]:
    """Decoded batches in the plan's order, a few ahead of the one in use; finished batches are left out."""
    todo = [b for b in plan.batches if any(piece.entry_id not in plan.done for piece in b)]
    pool = ThreadPoolExecutor(max(1, workers))
    ahead: deque[list[Future[_Decoded | Skipped]]] = deque()
    try:
        for batch in todo:
            ahead.append([pool.submit(_decode, piece, encoder) for piece in batch])
            if len(ahead) > _LOOKAHEAD:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(piece: Piece, encoder: Encoder) -> _Decoded | Skipped:
    try:
        wave = np.tile(audio.read(piece.path, encoder.sample_rate, piece.start, piece.end), piece.copies)
    except AudioError as fault:
        return Skipped(piece.entry_id, str(fault))
    # The header may promise more than the file holds.
    reason = length_fault(encoder, piece.path, len(wave))
    return Skipped(piece.entry_id, reason) if reason else _Decoded(piece, wave, audio.digest(wave))


def real_time_factor(encoder: Encoder, states: Sequence[str], seconds: float = 2.0) -> float:
    """Seconds of audio encoded per second, from one short run on noise after a warm-up."""
    noise = np.random.default_rng(0).normal(0, 0.1, int(seconds * encoder.sample_rate)).astype(np.float32)
    noise = noise[: encoder.max_samples]
    for wave in (noise[: max(encoder.min_samples, len(noise) // 8)], noise):
        began = time.monotonic()
        for _, packed in encoder.encode([wave], states):
            packed.float().cpu().sum().item()
    return len(noise) / encoder.sample_rate / (time.monotonic() - began)


def mark_finished(folder: Path) -> None:
    """Say that everything asked for is in the store; an extraction that has nothing to do says so too."""
    (notes_folder(folder) / _UNFINISHED).unlink(missing_ok=True)


def is_finished(folder: Path) -> bool:
    """Whether the last extraction into ``folder`` came to its end.

    Without that, a recording that is split may lack its last pieces, which nothing else would tell.
    """
    return not (notes_folder(folder) / _UNFINISHED).exists()


def record_skips(folder: Path, skipped: Sequence[Skipped]) -> None:
    """Write what could not be encoded, and why, beside the features; nothing skipped leaves no file."""
    path = notes_folder(folder) / _SKIPS
    if not skipped:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".tmp")
    reasons = {item.what: item.reason for item in skipped}
    temporary.write_text(json.dumps(reasons, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def skips(folder: Path) -> dict[str, str]:
    """Entries that the last extraction into ``folder`` could not encode: id -> reason."""
    path = notes_folder(folder) / _SKIPS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

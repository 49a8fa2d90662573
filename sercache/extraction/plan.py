"""What an extraction will do, before it does it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sercache import clips, objects, speech, states
from sercache.augment import ReadyAugmentation, said
from sercache.datasets import Corpus, Skipped, Utterance
from sercache.encoders import Encoder, modality, windowed
from sercache.errors import AudioError, DiskSpaceError, SettingsError, StoreError
from sercache.extraction.pieces import Piece, pieces_of
from sercache.parallel import spread
from sercache.stores import DType, FeatureSpec, FeatureStore, frame_bytes

_THREADS = 8
"""That read headers: they wait for the disk."""
_STAGED_BYTES = 2**29
"""Of what goes to an object store, what waits on the disk at a time, at most."""
_SPARE_BYTES = 256 * 2**20
"""Kept free beyond the plan, so that a run never fills a disk to the last byte."""


@dataclass(frozen=True, slots=True)
class PlanPart:
    """Every ``count``-th batch of a plan, from the ``number``-th on (from 1)."""

    number: int
    count: int
    alone: bool = True
    """False: what is left of the other batches is done afterwards."""

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether everything is done, sooner or later."""
        return self.count == 1 or not self.alone

    def order(self, n: int) -> list[int]:
        """Positions of the batches to do, of ``n``, in turn."""
        mine = list(range(self.number - 1, n, self.count))
        return mine if self.alone else [*mine, *sorted(set(range(n)) - set(mine))]


@dataclass(frozen=True)
class Plan:
    """Batches of pieces in the order of work, and what they cost.

    Batches depend on the utterances asked for, the clip rule and the encoder alone, never on what is done already, on
    free memory or on how many processes work: whoever continues computes features in the same company as one
    undisturbed run, bit for bit.
    """

    spec: FeatureSpec
    batches: tuple[tuple[Piece, ...], ...]
    done: frozenset[str]
    """Entry ids that the store holds already."""
    skipped: tuple[Skipped, ...]
    free_bytes: int
    sources: tuple[FeatureStore, ...] = ()
    """Other stores that hold the same features, and perhaps more, of what is equal audio: these are copied."""

    augmented: ReadyAugmentation | None = None
    """What is done to recordings before they are encoded."""

    part: PlanPart = field(default_factory=lambda: PlanPart(1, 1))
    """What of the batches is done here."""

    @property
    def pending(self) -> list[Piece]:
        """Pieces that are to be done here, and which the store does not hold yet."""
        chosen = [self.batches[k] for k in self.part.order(len(self.batches))]
        return [piece for batch in chosen for piece in batch if piece.entry_id not in self.done]

    @property
    def unfinished(self) -> list[int]:
        """Positions of the batches that are to be done here and of which the store lacks a piece, in turn."""
        order = self.part.order(len(self.batches))
        return [k for k in order if any(piece.entry_id not in self.done for piece in self.batches[k])]

    @property
    def seconds(self) -> float:
        """Audio that remains to be encoded, in seconds."""
        return sum(piece.n_samples for piece in self.pending) / self.spec.sample_rate

    @property
    def n_bytes(self) -> int:
        """Bytes that the remaining pieces will take on disk."""
        per_frame = frame_bytes(self.spec) * len(self.spec.states) if self.spec.frames else 0
        per_piece = 2 * 4 * len(self.spec.states) * self.spec.dim
        return sum(piece.n_frames * per_frame + per_piece for piece in self.pending)


def feature_spec(
    encoder: Encoder,
    corpus: Corpus,
    *,
    selection: str = "all",
    dtype: DType = "float16",
    frames: bool = True,
    clip: str = "none",
    transcripts: str = "",
    augmented: ReadyAugmentation | None = None,
) -> FeatureSpec:
    """What a store of ``corpus`` through ``encoder`` holds; ``transcripts``: digest of a file of them.

    Raises UnknownNameError for states the encoder lacks, SettingsError for states of several sizes, a clip
    rule that cannot be read, or one or an augmentation for an encoder of text.
    """
    rule = str(clips.parse(clip))
    if modality(encoder) == "text" and rule != "none":
        raise SettingsError(f"clip rule {rule} is for recordings; {encoder.name} takes whole transcripts")
    if modality(encoder) == "text" and augmented is not None:
        raise SettingsError(f"{augmented.augmentation} is for recordings; {encoder.name} takes transcripts")
    chosen = states.same_dim(states.select(encoder.states, selection), encoder.dims, selection)
    return FeatureSpec(
        encoder=encoder.name,
        identity=encoder.identity,
        sample_rate=encoder.sample_rate,
        hop=encoder.hop,
        corpus=corpus.name,
        release=corpus.release,
        states=chosen,
        dim=encoder.dims[chosen[0]],
        dtype=dtype,
        frames=frames,
        clip=rule,
        encoder_states=tuple(encoder.states),
        transcripts=transcripts,
        augment={} if augmented is None else augmented.spec,
        speech=speech.detector(clips.parse(clip)),
    )


def make_plan(
    encoder: Encoder,
    utterances: Sequence[Utterance],
    spec: FeatureSpec,
    folder: Path,
    *,
    done: Collection[str] = (),
    pack_frames: int | None = None,
    augmented: ReadyAugmentation | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Plan:
    """Read every file's header, cut by the clip rule, and lay out batches of ``pack_frames`` frames.

    ``augmented`` is what the spec says is done to the recordings.

    Recordings that cannot be used are listed with a reason. Raises DiskSpaceError where the features do
    not fit beside ``folder``, AudioError where nothing can be used.
    """
    rule = clips.parse(spec.clip)
    encoder = windowed(encoder, rule)
    if dict(spec.augment) != ({} if augmented is None else augmented.spec):
        raise StoreError(
            f"the store is of {said(spec.augment) or 'plain recordings'}, which are not at hand here"
        )
    if spec.speech != speech.detector(rule):
        raise StoreError(
            f"the store's speech was found by {spec.speech}, here is {speech.detector(rule)}; install that version, or "
            "extract anew"
        )
    length = augmented.length if augmented is not None else int
    found = list(
        progress(spread(lambda u: pieces_of(encoder, u, rule, length), utterances, _THREADS, at_once=16))
    )
    pieces = [piece for result in found if not isinstance(result, Skipped) for piece in result]
    skipped = tuple(result for result in found if isinstance(result, Skipped))
    if not pieces:
        first = f"; first: {skipped[0].what}: {skipped[0].reason}" if skipped else ""
        raise AudioError(f"none of {len(utterances)} utterances can be encoded{first}")
    budget = encoder.pack_frames if pack_frames is None else pack_frames
    plan = Plan(
        spec, _batches(pieces, budget), frozenset(done), skipped, free_bytes(folder), augmented=augmented
    )
    here = plan.n_bytes if objects.place_of(folder) is None else min(plan.n_bytes, _STAGED_BYTES)
    if plan.pending and here + _SPARE_BYTES > plan.free_bytes:
        raise DiskSpaceError(_too_large(plan, folder))
    return plan


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk that ``folder`` lies or will lie on. Raises StoreError where that cannot be."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise StoreError(f"{folder} cannot be a folder: {existing} is a file; choose another --cache")
    return shutil.disk_usage(existing).free


def batch_digest(batch: Sequence[Piece]) -> str:
    """Which batch of a store's plan this is, in any process and wherever the recordings lie: 32 hexadecimal digits."""
    said = [(p.entry_id, p.start, p.end, p.n_samples, p.copies, p.text) for p in batch]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _batches(pieces: Iterable[Piece], pack_frames: int) -> tuple[tuple[Piece, ...], ...]:
    """Longest first, so that a batch has little spread and too large a one shows at once."""
    batches: list[tuple[Piece, ...]] = []
    batch: list[Piece] = []
    room = pack_frames
    for piece in sorted(pieces, key=lambda p: (-p.n_samples, p.entry_id)):
        if batch and piece.n_frames > room:
            batches.append(tuple(batch))
            batch, room = [], pack_frames
        batch.append(piece)
        room -= piece.n_frames
    if batch:
        batches.append(tuple(batch))
    return tuple(batches)


def _too_large(plan: Plan, folder: Path) -> str:
    need, free = (f"{n / 1e9:.1f} GB" for n in (plan.n_bytes + _SPARE_BYTES, plan.free_bytes))
    if not plan.spec.frames:
        return f"the means need {need} and the disk of {folder} has {free} free; choose another --cache"
    means = sum(1 for _ in plan.pending) * 8 * len(plan.spec.states) * plan.spec.dim / 1e9
    return (
        f"the features need {need} and the disk of {folder} has {free} free; choose another --cache, fewer "
        f"--states, or --pooled-only ({means:.1f} GB)"
    )

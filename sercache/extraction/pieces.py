"""Pieces of utterances: what is encoded at once, its length known before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import audio, clips
from sercache.datasets import Skipped, Utterance
from sercache.encoders import Encoder, modality
from sercache.errors import AudioError


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one recording that is encoded by itself."""

    entry_id: str
    path: Path
    start: float | None
    """Seconds into the file; None: from its beginning."""
    end: float | None
    n_samples: int
    """Expected at the encoder's rate, from the file's header, repetitions and changes of speed included."""
    n_frames: int
    copies: int = 1
    """How often the stretch is played one after another."""
    text: str | None = None
    """Transcript, which is encoded in the place of the recording where the encoder is one of text."""


def pieces_of(
    encoder: Encoder,
    utterance: Utterance,
    rule: clips.ClipRule,
    encoded_length: Callable[[int], int] = int,
) -> list[Piece] | Skipped:
    """What an utterance is encoded as, or why it is left out; ``encoded_length``: samples that are made of as many."""
    if modality(encoder) == "text":
        return _text_piece(encoder, utterance)
    try:
        info = audio.probe(utterance.path)
        first, last, cut = audio.span(
            utterance.path, info.rate, info.n_samples, utterance.start, utterance.end
        )
        begin, length = utterance.start or 0.0, last - first
        scale = encoder.sample_rate / info.rate
        shortest = round(encoder.min_samples / scale)
        cuts = clips.cut(length, info.rate, rule, shortest)
        ids = clips.entry_ids(utterance.id, len(cuts), rule)
        if max(b - a for a, b in cuts) > audio.LONGEST * info.rate:
            raise audio.too_long(utterance.path)
        copies = clips.copies(length, info.rate, rule)

        def expected(n_samples: int) -> int:
            left = encoded_length(clips.longest(round(n_samples * scale), encoder.sample_rate, rule))
            # What is too long may be short enough once its silence is cut: decoding tells.
            return min(left, encoder.max_samples or left) if rule.edges else left

        return [
            _piece(
                encoder,
                entry_id,
                utterance.path,
                (
                    utterance.start if a == 0 else begin + a / info.rate,
                    # The end as it was asked for where it is cut, so that decoding can say so.
                    utterance.end if b == length and (cut or a == 0) else begin + b / info.rate,
                ),
                expected(b - a),
                copies,
            )
            for entry_id, (a, b) in zip(ids, cuts, strict=True)
        ]
    except AudioError as fault:
        return Skipped(utterance.id, str(fault))


def _text_piece(encoder: Any, utterance: Utterance) -> list[Piece] | Skipped:
    """The transcript as one piece, whole: it is never cut."""
    text = (utterance.transcript or "").strip()
    n_samples = len(encoder.tokens(text)) if text else 0
    if not n_samples:
        which = "an empty transcript" if utterance.transcript is not None else "no transcript"
        return Skipped(utterance.id, f"has {which}; --transcripts FILE gives others")
    if encoder.max_samples is not None and n_samples > encoder.max_samples:
        return Skipped(
            utterance.id,
            f"its transcript has {n_samples} word pieces, {encoder.name} takes {encoder.max_samples}; give shorter "
            "transcripts with --transcripts FILE",
        )
    n_frames = encoder.n_frames(n_samples)
    return [Piece(utterance.id, utterance.path, None, None, n_samples, n_frames, text=text)]


def _piece(
    encoder: Encoder,
    entry_id: str,
    path: Path,
    span: tuple[float | None, float | None],
    n_samples: int,
    copies: int,
) -> Piece:
    n_samples *= copies
    unfit = length_fault(encoder, path, n_samples)
    if unfit:
        raise AudioError(unfit, "too-short" if n_samples < encoder.min_samples else "too-long")
    return Piece(entry_id, path, *span, n_samples, encoder.n_frames(n_samples), copies)


def length_fault(encoder: Encoder, path: Path, n_samples: int) -> str | None:
    """Why ``n_samples`` of audio cannot be encoded, or None."""
    seconds = n_samples / encoder.sample_rate
    if n_samples < encoder.min_samples:
        needed = encoder.min_samples / encoder.sample_rate
        return f"{path}: {seconds:.3f} s is too short, {encoder.name} needs {needed:.3f} s for a frame"
    if encoder.max_samples is not None and n_samples > encoder.max_samples:
        longest = encoder.max_samples / encoder.sample_rate
        return (
            f"{path}: {seconds:.1f} s is longer than the {longest:g} s that {encoder.name} takes; "
            f"use --clip split:{longest:g}, window:{longest:g}:{longest / 10:g} or trim:{longest:g}"
        )
    return None

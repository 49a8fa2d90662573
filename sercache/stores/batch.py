"""Utterances on their way into one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from sercache.stores.commits import Record
from sercache.stores.durable import Piece, crc32c


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance, checked and converted: mean and std (L, D) float32, frames (L, T, D) as stored."""

    id: str
    mean: np.ndarray
    std: np.ndarray
    frames: np.ndarray | None
    n_frames: int
    n_samples: int
    audio_digest: str


def describe(items: Sequence[Item], record: Record, first_frame: int) -> Record:
    """``record`` (number, places and files) with the utterances' columns filled in."""
    starts = accumulate((item.n_frames for item in items), initial=first_frame)
    with_frames = [item for item in items if item.frames is not None]
    return replace(
        record,
        ids=[item.id for item in items],
        first_frame=[start for start, _ in zip(starts, with_frames, strict=False)],
        n_frames=[item.n_frames for item in items],
        n_samples=[item.n_samples for item in items],
        audio_digest=[item.audio_digest for item in items],
        frame_crcs=[hex_crcs(item.frames) for item in with_frames if item.frames is not None],
        pooled_crcs=[hex_crcs((item.mean, item.std)) for item in items],
    )


def hex_crcs(parts: Sequence[np.ndarray] | np.ndarray) -> str:
    """CRC-32C of each part, 8 hex digits each, in a row."""
    return "".join(f"{crc32c(part):08x}" for part in parts)


def state_pieces(items: Sequence[Item], state: int, start: int, stop: int) -> Iterator[Piece]:
    """Frames ``start`` to ``stop`` of one state, counted over the whole batch, in order."""
    at = 0
    for item in items:
        low, high = max(start - at, 0), min(stop - at, item.n_frames)
        if low < high and item.frames is not None:
            yield item.frames[state, low:high]
        at += item.n_frames

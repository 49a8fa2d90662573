"""How much a line takes on at a time: frames that fit a device's memory, threads beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sercache.encoders import Encoder
from sercache.extraction.compute import device_of
from sercache.extraction.decode import Decoded
from sercache.extraction.plan import Piece
from sercache.extraction.stages import Busy
from sercache.stores import FeatureSpec

if TYPE_CHECKING:
    import torch

_SHARE = 0.8
"""Of the free memory; the rest is for fragments, for other processes and for longer recordings."""
_PROBE = 16
"""The batch that is measured has this fraction of the frames that run best."""
_PROBE_SECONDS = 5.0


def frame_budget(encoder: Encoder, spec: FeatureSpec) -> int:
    """Frames of a batch: those that run best, halved until they fit the device's free memory.

    On CUDA a small batch of noise is run and its memory measured; elsewhere, and for text, memory is not asked. Halving
    makes the same budget of about the same free memory, so that a run which is continued keeps its batches.
    """
    place = device_of(encoder)
    if place.type != "cuda" or spec.is_text:  # word pieces are few, and noise is none
        return encoder.pack_frames
    import torch

    per_frame: float | None = None
    with suppress(torch.OutOfMemoryError):
        per_frame = _bytes_per_frame(encoder, spec, place)
    if per_frame is None:
        return max(1, encoder.pack_frames // _PROBE)
    free = torch.cuda.mem_get_info(place)[0]
    idle = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    return fitting(encoder.pack_frames, per_frame, free + idle)


def threads(encoder: Encoder, spec: FeatureSpec, devices: Sequence[str] = ()) -> tuple[int, int]:
    """How many threads decode, and how many write, for each device (none named: the encoder's).

    Two and one keep up with a processor; a graphics card may need every core.
    """
    on_cuda = [name for name in devices or [str(device_of(encoder))] if name.startswith("cuda")]
    if not on_cuda:
        return 2, 1
    cores = max(2, min(16, (os.cpu_count() or 2) // len(on_cuda)))
    return cores, max(1, cores // 4) if spec.frames else 1


def fitting(frames: int, bytes_per_frame: float, free: int) -> int:
    """``frames``, halved until they take at most their share of ``free`` bytes; at least 1."""
    while frames > 1 and frames * bytes_per_frame > _SHARE * free:
        frames //= 2
    return frames


def _bytes_per_frame(encoder: Encoder, spec: FeatureSpec, place: torch.device) -> float:
    """Most memory that a batch of noise takes beyond the weights, for each of its frames."""
    import torch

    from sercache.extraction.cuda import Device

    noise = noise_batch(encoder, max(1, encoder.pack_frames // _PROBE))
    torch.cuda.synchronize(place)
    torch.cuda.reset_peak_memory_stats(place)
    before = torch.cuda.memory_allocated(place)
    Device(encoder, spec, Busy()).launch(noise).finished()
    taken = torch.cuda.max_memory_allocated(place) - before
    return taken / sum(encoder.n_frames(item.n_samples) for item in noise)


def noise_batch(encoder: Encoder, n_frames: int) -> list[Decoded]:
    """Recordings of noise, about 5 s each, that give at least ``n_frames`` together."""
    n_samples = max(encoder.min_samples, round(_PROBE_SECONDS * encoder.sample_rate))
    n_samples = min(n_samples, encoder.max_samples or n_samples)
    each = encoder.n_frames(n_samples)
    wave = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    piece = Piece("noise", Path("noise"), None, None, n_samples, each)
    return [Decoded(piece, wave, "")] * -(-n_frames // each)

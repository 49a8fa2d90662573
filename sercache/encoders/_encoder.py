"""What every encoder keeps to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


class Encoder(Protocol):
    """Frozen weights that turn waveforms into states, layer by layer.

    The features of an utterance are those of running it alone, whatever shared its batch. An encoder of text
    (``modality(encoder)``) keeps the contract with word pieces (N,) int64 in the place of samples, which its
    ``tokens(text: str) -> np.ndarray`` makes of a transcript.
    """

    name: str
    """Short name, hub id or folder name, as the user gave it."""
    identity: Mapping[str, Any]
    """What decides the numbers, as JSON values: family, source, revision, weights' sha256, preprocessing."""
    sample_rate: int
    """Hz."""
    hop: int
    """Samples from one frame to the next."""
    states: tuple[str, ...]
    """Names on offer in the order of computation: ``projection``, ``1`` … ``L``, ``final``, ``conv``, …"""
    dims: Mapping[str, int]
    """Feature size D of each state."""
    min_samples: int
    """Shortest waveform (samples) that gives a frame."""
    max_samples: int | None
    """Longest waveform (samples) that is encoded exactly; None: no limit but memory."""

    pack_frames: int
    """Frames per call of ``encode`` that run best; a batch of more is right too, but larger in memory."""

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        ...

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (state, (F, D)) for waves of (N_i,) float32, F the frames of all, one after another.

        States come one at a time, in the order of ``self.states``, and only those asked for; what lies
        above the last of them is not computed. A yielded tensor is valid until the next one is asked for.
        """
        ...

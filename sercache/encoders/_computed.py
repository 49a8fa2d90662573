"""Features that are computed, without weights: what their families share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.audio import RESAMPLER
from sercache.encoders._arguments import asked, placement
from sercache.encoders._exact import exact
from sercache.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Feature:
    """What is known of a computed feature before there is a wave."""

    family: str
    name: str
    state: str
    dim: int
    """Feature size D."""
    hop: int
    """Samples from one frame to the next."""
    min_samples: int
    n_frames: Callable[[int], int]
    """Frames T of N samples."""
    parameters: Mapping[str, Any]
    """Everything that decides the numbers, as JSON values."""
    sample_rate: int = 16_000
    """Hz."""


def computed_identity(feature: Feature, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision, which only weights have."""
    if revision is not None:
        raise EncoderError(f"{feature.name} has no weights and so no --revision, got {revision}")
    return {
        "family": feature.family,
        "source": "no weights",
        "revision": None,
        "weights_sha256": None,
        "parameters": dict(feature.parameters),
        "resampler": RESAMPLER,
    }


def computed_place(feature: Feature, device: str, precision: str) -> torch.device:
    """The device by name. Raises EncoderError for one that does not exist, and for less than float32."""
    if precision != "float32":
        raise EncoderError(f"{feature.name} is computed in float32, got --precision {precision}")
    return placement(device, precision)[0]


class Computed:
    """A computed feature as an Encoder with one state."""

    max_samples: int | None = None

    def __init__(
        self, feature: Feature, identity: Mapping[str, Any], describe: Callable[[np.ndarray], Tensor]
    ) -> None:
        """``describe``: one wave (N,) float32 to its frames (T, D) float32."""
        self.name = feature.name
        self.identity = identity
        self.sample_rate = feature.sample_rate
        self.hop = feature.hop
        self.min_samples = feature.min_samples
        self.states: tuple[str, ...] = (feature.state,)
        self.dims: Mapping[str, int] = {feature.state: feature.dim}
        # Nothing is gained by more, as each wave is described by itself; some batches of waves are held at a time.
        self.pack_frames = 25_000
        self._feature, self._describe = feature, describe

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return self._feature.n_frames(n_samples)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """(state, (F, D)), once. Raises UnknownNameError, and AudioError for a wave too short for a frame."""
        import torch

        chosen = asked(self, waves, states)
        if not chosen:
            return iter(())
        parts = [self._describe(np.asarray(wave, dtype=np.float32)) for wave in waves]
        return iter([(self.states[0], torch.cat(parts))])

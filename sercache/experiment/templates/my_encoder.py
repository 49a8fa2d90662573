"""Level and zero crossings of every 10 ms: two numbers a frame, no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.encoders import Computed, Encoder, Feature, computed_identity, computed_place

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {"my-levels": "level and zero crossings every 10 ms, computed, no weights"}
MODEL_TYPES: tuple[str, ...] = ()

_HOP = 160
_FEATURE = Feature(
    family="my-encoder",
    name="my-levels",
    state="levels",
    dim=2,
    hop=_HOP,
    min_samples=_HOP,
    n_frames=lambda n_samples: n_samples // _HOP,
    parameters={"hop": _HOP, "floor": 1e-10},
)


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision or a precision that it does not have."""
    computed_place(_FEATURE, device, precision)
    return Computed(_FEATURE, computed_identity(_FEATURE, revision), _levels)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision."""
    return computed_identity(_FEATURE, revision)


def _levels(wave: np.ndarray) -> Tensor:
    """Level (dB) and share of zero crossings (T, 2) of a wave (N,)."""
    import torch

    frames = torch.tensor(wave)[: len(wave) // _HOP * _HOP].unflatten(0, (-1, _HOP))  # (T, 160)
    level = 10 * (frames.square().mean(1) + 1e-10).log10()
    crossings = (frames[:, 1:].signbit() != frames[:, :-1].signbit()).float().mean(1)
    return torch.stack([level, crossings], 1)

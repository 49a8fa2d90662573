"""Mel-frequency cepstra: 13 coefficients with their first and second differences, 10 ms frames, (T, 39).

Coefficients 0-12 of the orthonormal DCT-II of the 40 log-mel energies of ``logmel``; differences are the
slope over five frames (Young et al., The HTK Book, equation 5.16, window 2), ends repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.encoders import Encoder, _computed, logmel
from sercache.encoders._computed import Feature

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {"mfcc": "13 cepstra with first and second differences every 10 ms, computed, no weights"}
MODEL_TYPES: tuple[str, ...] = ()

_N_CEPSTRA = 13
_REACH = 2
"""Frames on each side that a difference looks at."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision or a precision that it does not have."""
    feature = _feature()
    place = _computed.computed_place(feature, device, precision)
    return _computed.Computed(feature, _computed.computed_identity(feature, revision), _cepstra(str(place)))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision."""
    return _computed.computed_identity(_feature(), revision)


def _feature() -> Feature:
    parameters = logmel.PARAMETERS | {
        "n_cepstra": _N_CEPSTRA,
        "dct": "II, orthonormal",
        "lifter": None,
        "differences": f"first and second, slope over {2 * _REACH + 1} frames, ends repeated",
    }
    n_dims = 3 * _N_CEPSTRA
    return Feature(
        "mfcc", "mfcc", "mfcc", n_dims, logmel.HOP, logmel.WINDOW, logmel.centred_frames, parameters
    )


def _cepstra(device: str) -> Callable[[np.ndarray], Tensor]:
    """What turns a wave (N,) into cepstra and differences (T, 39)."""
    import torch
    from scipy.fft import dct

    log_mel = logmel.log_mel(device, centred=True)
    basis = dct(np.eye(logmel.N_MELS), norm="ortho")[:, :_N_CEPSTRA]
    cosines = torch.tensor(basis, dtype=torch.float32, device=device)  # (40, 13)

    def describe(wave: np.ndarray) -> Tensor:
        static = log_mel(wave) @ cosines
        first = _slope(static)
        return torch.cat([static, first, _slope(first)], dim=1)

    return describe


def _slope(x: Tensor) -> Tensor:
    """(T, D): least-squares slope of each dimension over the frames around each frame."""
    import torch

    padded = torch.cat([x[:1].expand(_REACH, -1), x, x[-1:].expand(_REACH, -1)])
    windows = padded.unfold(0, 2 * _REACH + 1, 1)  # (T, D, 5)
    steps = torch.arange(-_REACH, _REACH + 1, device=x.device, dtype=x.dtype)
    return windows @ steps / steps.square().sum()

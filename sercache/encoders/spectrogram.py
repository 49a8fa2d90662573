"""Magnitude spectra as Pepino et al. (2021) compare their embeddings with: Hann, 512-point FFT, (T, 257).

Windows of 400 samples every 320, centred on multiples of the hop with mirrored ends: N // 320 + 1 frames.
The paper says 25 ms every 10 ms; its code has this hop, and reads each corpus at the rate of its files.
``spectrogram`` reads 16 kHz (25 ms every 20 ms, as many frames as wav2vec 2.0); ``spectrogram-48k`` is what
the code makes of RAVDESS, whose files have 48 kHz (8.3 ms every 6.7 ms). No weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.encoders import Encoder, _computed, _mel
from sercache.encoders._computed import Feature

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {
    "spectrogram": "257 magnitudes every 20 ms at 16 kHz, computed, no weights",
    "spectrogram-48k": "257 magnitudes every 6.7 ms at 48 kHz, computed, no weights",
}
MODEL_TYPES: tuple[str, ...] = ()

_RATES = {"spectrogram": 16_000, "spectrogram-48k": 48_000}
"""Hz."""
_WINDOW, _HOP, _N_FFT = 400, 320, 512
"""Samples."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision or a precision that it does not have."""
    feature = _feature(source)
    place = _computed.computed_place(feature, device, precision)
    return _computed.Computed(
        feature, _computed.computed_identity(feature, revision), _magnitudes(str(place))
    )


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision."""
    return _computed.computed_identity(_feature(source), revision)


def _feature(name: str) -> Feature:
    parameters = {
        "window_samples": _WINDOW,
        "hop_samples": _HOP,
        "n_fft": _N_FFT,
        "window": "hann, periodic",
        "power": 1.0,
        "framing": "centred, mirrored at the ends",
        "sample_rate": _RATES[name],
    }
    n_bins = _N_FFT // 2 + 1
    return Feature(
        "spectrogram",
        name,
        "magnitude",
        n_bins,
        _HOP,
        _WINDOW,
        lambda n: n // _HOP + 1,
        parameters,
        _RATES[name],
    )


def _magnitudes(device: str) -> Callable[[np.ndarray], Tensor]:
    """What turns a wave (N,) into magnitudes (T, 257)."""
    import torch

    window = torch.hann_window(_WINDOW, device=device)

    def describe(wave: np.ndarray) -> Tensor:
        return _mel.centred(torch.tensor(wave, device=device), window, _HOP, _N_FFT).abs()

    return describe

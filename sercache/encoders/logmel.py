"""Log-mel energies: 40 triangular mel filters, 25 ms Hann window, 10 ms hop, 0-8000 Hz, natural log.

The spectral features of Section 2.3 of Mohapatra et al. (2023), who do not say how the windows lie; their
797 frames for 398 of wav2vec 2.0 leave two ways. ``logmel``: centred on multiples of the hop, the wave
mirrored at its ends, N // 160 + 1 frames. ``fbank40``: from the first sample on, the last window filled up
with zeros, 1 + ceil((N - 400) / 160) frames. No weights: the parameters are the identity.
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
    "logmel": "40 log-mel energies every 10 ms, computed, no weights",
    "fbank40": "40 log-mel energies every 10 ms, windows from the first sample on, no weights",
}
MODEL_TYPES: tuple[str, ...] = ()

N_MELS = 40
"""Filters."""
WINDOW = 400
"""Samples."""
HOP = 160
"""Samples from one frame to the next."""

_N_FFT = 512
_FLOOR = 1e-10
PARAMETERS = {
    "n_mels": N_MELS,
    "window_samples": WINDOW,
    "hop_samples": HOP,
    "n_fft": _N_FFT,
    "low_hz": 0.0,
    "high_hz": 8000.0,
    "window": "hann, periodic",
    "mel_scale": "htk",
    "norm": "none",
    "power": 2.0,
    "floor": _FLOOR,
    "log": "natural",
    "framing": "centred, mirrored at the ends",
}
"""What decides the numbers of ``logmel``."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision or a precision that it does not have."""
    feature = _feature(source)
    place = _computed.computed_place(feature, device, precision)
    record = _computed.computed_identity(feature, revision)
    return _computed.Computed(feature, record, log_mel(str(place), centred=source == "logmel"))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision."""
    return _computed.computed_identity(_feature(source), revision)


def centred_frames(n_samples: int) -> int:
    """Frames T of windows centred on multiples of the hop."""
    return n_samples // HOP + 1


def log_mel(device: str, *, centred: bool) -> Callable[[np.ndarray], Tensor]:
    """What turns a wave (N,) into log-mel energies (T, 40) on ``device``."""
    import torch

    bank = _mel.filters(N_MELS, _N_FFT, 16_000, 0.0, 8000.0, straight="hertz")
    on_device = torch.tensor(bank, dtype=torch.float32, device=device)
    window = torch.hann_window(WINDOW, device=device)
    spectra = _mel.centred if centred else _mel.from_the_start

    def describe(wave: np.ndarray) -> Tensor:
        spectrum = spectra(torch.tensor(wave, device=device), window, HOP, _N_FFT)
        return _mel.log_energies(spectrum, on_device, _FLOOR)

    return describe


def _feature(name: str) -> Feature:
    if name == "logmel":
        return Feature("logmel", name, "logmel", N_MELS, HOP, WINDOW, centred_frames, PARAMETERS)
    parameters = PARAMETERS | {"framing": "from the first sample, zeros behind the last"}
    return Feature("logmel", name, "logmel", N_MELS, HOP, WINDOW, _frames_from_the_start, parameters)


def _frames_from_the_start(n_samples: int) -> int:
    return 1 + -(-(n_samples - WINDOW) // HOP) if n_samples >= WINDOW else 0

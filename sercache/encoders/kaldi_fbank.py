"""80 log-mel filterbank energies as Kaldi and WeNet compute them: 25 ms Povey window, 10 ms hop, 20-8000 Hz.

The acoustic features A of Chen and Zhang (2022), before the mean and variance normalisation that a WeNet
encoder brings along. N samples at 16 kHz give 1 + (N - 400) // 160 frames. No weights.
"""

from __future__ import annotations

from typing import Any

from sercache.encoders import Encoder, _computed, _kaldi
from sercache.encoders._computed import Feature

SHORT_NAMES = {"kaldi-fbank": "80 log-mel energies every 10 ms as Kaldi computes them, no weights"}
MODEL_TYPES: tuple[str, ...] = ()

_N_MELS = 80
_FEATURE = Feature(
    "kaldi-fbank",
    "kaldi-fbank",
    "fbank",
    _N_MELS,
    _kaldi.HOP,
    _kaldi.WINDOW,
    _kaldi.n_frames,
    {"n_mels": _N_MELS, **_kaldi.PARAMETERS},
)


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision or a precision that it does not have."""
    import torch

    bank = _kaldi.Filterbank(_N_MELS, _computed.computed_place(_FEATURE, device, precision))
    return _computed.Computed(
        _FEATURE,
        _computed.computed_identity(_FEATURE, revision),
        lambda wave: bank(torch.tensor(wave, device=bank.device)),
    )


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision."""
    return _computed.computed_identity(_FEATURE, revision)

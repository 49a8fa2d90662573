"""Log-mel energies: 40 triangular mel filters, 25 ms Hann window, 10 ms hop, 0-8000 Hz, natural log.

The spectral features of Section 2.3 of Mohapatra et al. (2023); windows are centred on multiples of the
hop and the wave is mirrored at its ends, so that N samples give N // 160 + 1 frames (their 797 for 398
wav2vec 2.0 frames). No weights: its parameters are its identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sercache.audio import RESAMPLER
from sercache.encoders import Encoder
from sercache.encoders._arguments import check_waves, placement, wanted
from sercache.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {"logmel": "40 log-mel energies every 10 ms, computed, no weights"}
MODEL_TYPES: tuple[str, ...] = ()

_RATE = 16_000
_FLOOR = 1e-10
_PARAMETERS = {
    "n_mels": 40,
    "window_samples": 400,
    "hop_samples": 160,
    "n_fft": 512,
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
_STATE = "logmel"


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision or a precision that it does not have."""
    if precision != "float32":
        raise EncoderError(f"logmel is computed in float32, got --precision {precision}")
    place, _ = placement(device, precision)
    return LogMel(identify(source, revision=revision), str(place))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: the parameters. Raises EncoderError for a revision."""
    if revision is not None:
        raise EncoderError(f"logmel has no weights and so no --revision, got {revision}")
    return {
        "family": "logmel",
        "source": "no weights",
        "revision": None,
        "weights_sha256": None,
        "parameters": dict(_PARAMETERS),
        "resampler": RESAMPLER,
    }


class LogMel:
    """Log-mel energies as an Encoder with the one state ``logmel`` (T, 40)."""

    max_samples: int | None = None

    def __init__(self, identity: Mapping[str, Any], device: str) -> None:
        import torch

        self.name = "logmel"
        self.identity = identity
        self.sample_rate = _RATE
        self.hop = 160
        self.min_samples = 400
        self.states: tuple[str, ...] = (_STATE,)
        self.dims: Mapping[str, int] = {_STATE: 40}
        self.pack_frames = 100_000
        self.device = torch.device(device)
        self._filters = torch.tensor(_mel_filters(), dtype=torch.float32, device=self.device)
        self._window = torch.hann_window(400, device=self.device)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return n_samples // self.hop + 1

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """("logmel", (F, 40)), once. Raises UnknownNameError, and AudioError for less than one window."""
        import torch

        chosen = wanted(self.states, states)
        check_waves(waves, self.name, self.sample_rate, self.min_samples, None)
        if not waves or not chosen:
            return iter(())
        return iter([(_STATE, torch.cat([self._log_mel(wave) for wave in waves]))])

    def _log_mel(self, wave: np.ndarray) -> Tensor:
        import torch

        spectrum = torch.stft(
            torch.tensor(wave, dtype=torch.float32, device=self.device),
            n_fft=512,
            hop_length=self.hop,
            win_length=400,
            window=self._window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        energies = self._filters @ spectrum.abs().square()  # (40, T)
        return energies.clamp_min(_FLOOR).log().T.contiguous()


def _mel_filters() -> np.ndarray:
    """(40, 257): triangles of height 1, equally wide on the mel scale 2595 log10(1 + f / 700)."""
    edges = np.linspace(0.0, 2595 * np.log10(1 + 8000 / 700), 40 + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.linspace(0.0, _RATE / 2, 512 // 2 + 1)
    rising = (bins - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    falling = (hertz[2:, None] - bins) / (hertz[2:] - hertz[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0.0, None)

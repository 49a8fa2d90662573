"""Kaldi's log-mel filterbank energies, without Kaldi (Povey et al., 2011; feature-fbank.cc, mel-computations.cc)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sercache.encoders import _mel

if TYPE_CHECKING:
    from torch import Tensor

RATE = 16_000
"""Hz."""
WINDOW = 400
"""Samples: 25 ms."""
HOP = 160
"""Samples: 10 ms."""

_N_FFT = 512
_SCALE = 2.0**15
_EMPHASIS = 0.97
_LOW = 20.0
_FLOOR = 2.0**-23
"""Kaldi's floor of an energy: the spacing of float32 at 1."""
PARAMETERS: dict[str, Any] = {
    "window_samples": WINDOW,
    "hop_samples": HOP,
    "n_fft": _N_FFT,
    "low_hz": _LOW,
    "high_hz": RATE / 2,
    "scale": _SCALE,
    "dither": 0.0,
    "remove_dc_offset": True,
    "preemphasis": _EMPHASIS,
    "window": "povey",
    "framing": "snip edges",
    "power": 2.0,
    "floor": _FLOOR,
    "log": "natural",
    "mel_scale": "kaldi",
}
"""What decides the numbers, beside the number of filters."""


def n_frames(n_samples: int) -> int:
    """Frames T of N samples: as many windows as fit."""
    return (n_samples - WINDOW) // HOP + 1 if n_samples >= WINDOW else 0


class Filterbank:
    """Log-mel energies of waves in [-1, 1] at 16 kHz."""

    def __init__(
        self, n_mels: int, device: Any, *, scale: float = _SCALE, window: Literal["povey", "hann"] = "povey"
    ) -> None:
        """``scale``: what samples are multiplied by; Kaldi has those of 16 bits."""
        import torch

        self.device = torch.device(device)
        bank = _mel.filters(n_mels, _N_FFT, RATE, _LOW, RATE / 2, straight="mel")
        self._bank = torch.tensor(bank, dtype=torch.float32, device=self.device)
        self._scale = scale
        hann = torch.hann_window(WINDOW, periodic=False, device=self.device)
        self._window = hann.pow(0.85) if window == "povey" else hann

    def __call__(self, wave: Tensor) -> Tensor:
        """(N,) float32 on the device to (T, n_mels) float32; dither is 0, as at inference."""
        import torch

        framed = (wave * self._scale).unfold(0, WINDOW, HOP)
        framed = framed - framed.mean(1, keepdim=True)
        before = torch.cat([framed[:, :1], framed[:, :-1]], dim=1)  # of the first sample: itself
        spectrum = torch.fft.rfft((framed - _EMPHASIS * before) * self._window, _N_FFT)
        return _mel.log_energies(spectrum, self._bank, _FLOOR)

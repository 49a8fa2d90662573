"""Spectra of waves and mel filters over them: what the computed features are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def filters(
    n_mels: int, n_fft: int, rate: int, low: float, high: float, *, straight: Literal["hertz", "mel"]
) -> np.ndarray:
    """(n_mels, n_fft / 2 + 1): triangles of height 1 from ``low`` to ``high`` Hz, equally wide in mel.

    Mel is ln(1 + f / 700) up to a factor that cancels. The sides are straight lines over hertz (HTK's
    formula as torchaudio and librosa draw it) or over mel (Kaldi).
    """
    edges = np.linspace(_mel(low), _mel(high), n_mels + 2)
    bins = np.linspace(0.0, rate / 2, n_fft // 2 + 1)
    if straight == "hertz":
        edges = 700 * np.expm1(edges)
    else:
        bins = _mel(bins)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0.0, None)


def _mel(hertz: float | np.ndarray) -> np.ndarray:
    return np.log1p(np.asarray(hertz, dtype=np.float64) / 700)


def centred(wave: Tensor, window: Tensor, hop: int, n_fft: int) -> Tensor:
    """(N // hop + 1, n_fft / 2 + 1) complex: windows centred on multiples of ``hop``, ends mirrored."""
    import torch

    spectrum = torch.stft(
        wave,
        n_fft=n_fft,
        hop_length=hop,
        win_length=len(window),
        window=window,
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return spectrum.T


def from_the_start(wave: Tensor, window: Tensor, hop: int, n_fft: int) -> Tensor:
    """(1 + ceil((N - window) / hop), n_fft / 2 + 1) complex: the last window is filled up with zeros."""
    import torch

    size = len(window)
    missing = -(len(wave) - size) % hop
    framed = torch.nn.functional.pad(wave, (0, missing)).unfold(0, size, hop)
    return torch.fft.rfft(framed * window, n_fft)


def log_energies(spectrum: Tensor, bank: Tensor, floor: float) -> Tensor:
    """(T, n_mels): natural log of the power that passes each filter of ``bank`` (n_mels, bins)."""
    power = spectrum.real.square() + spectrum.imag.square()
    return (power @ bank.T).clamp_min(floor).log()

"""Mel spectra as SeamlessM4TFeatureExtractor (Kaldi's, for w2v-BERT 2.0) and ParakeetFeatureExtractor make them.

The first stock extractor walks over frames one by one in Python; these are its numbers, rounding included, at a
multiple of its speed. The second needs librosa in some releases of transformers; here nothing does.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_WINDOW = 400
_HOP = 160
"""Samples; fixed in the stock extractor at any rate."""
_FFT = 512
_PREEMPHASIS = 0.97
_FLOOR = 1.192092955078125e-07
_CHUNK = 512
"""Frames that are transformed at a time, for the memory."""


class StackedMel:
    """Waves (N,) to frames (T, 2 mels), each mel bin of an utterance at mean 0 and variance 1."""

    def __init__(self, n_mels: int, sample_rate: int) -> None:
        from transformers.audio_utils import mel_filter_bank, window_function

        self.filters = mel_filter_bank(
            num_frequency_bins=_FFT // 2 + 1,
            num_mel_filters=n_mels,
            min_frequency=20,
            max_frequency=sample_rate // 2,
            sampling_rate=sample_rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        ).T  # (mels, bins)
        self.window = window_function(_WINDOW, "povey", periodic=False)

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """Frames (T, 2 mels) float32 of a wave (N,) float32; an odd last spectrum has no frame."""
        log_mel = self._log_mel(wave * np.float32(2**15))
        spread = np.sqrt(log_mel.var(0, ddof=1) + 1e-7)
        found = (log_mel - log_mel.mean(0)) / spread
        return found[: len(found) // 2 * 2].reshape(len(found) // 2, -1)

    def _log_mel(self, wave: np.ndarray) -> np.ndarray:
        """(spectra, mels) float32."""
        frames = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP]
        found = np.empty((len(self.filters), len(frames)), np.float32)
        for start in range(0, len(frames), _CHUNK):
            part = frames[start : start + _CHUNK].astype(np.float64)
            part -= part.mean(1, keepdims=True)
            part[:, 1:] -= _PREEMPHASIS * part[:, :-1]
            part[:, 0] *= 1 - _PREEMPHASIS
            spectra = np.fft.rfft(part * self.window, _FFT).astype(np.complex64)
            power = np.abs(spectra, dtype=np.float64) ** 2
            found[:, start : start + _CHUNK] = np.log(np.maximum(_FLOOR, self.filters @ power.T))
        return found.T


def n_stacked(n_samples: int) -> int:
    """Frames of two spectra each that ``n_samples`` give."""
    return max((n_samples - _WINDOW) // _HOP + 1, 0) // 2


HOP = 2 * _HOP
"""Samples from one frame to the next."""
MIN_SAMPLES = _WINDOW + _HOP
"""Shortest wave that gives a frame."""


class LogMel:
    """Waves (N,) to log-mel spectra (T, mels), each mel bin of an utterance at mean 0 and variance 1: Parakeet's."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """``settings``: feature_size, sampling_rate (Hz), hop_length, n_fft, win_length (samples), preemphasis."""
        from transformers.audio_utils import mel_filter_bank

        self.hop: int = settings["hop_length"]
        self.n_fft: int = settings["n_fft"]
        self.preemphasis: float | None = settings["preemphasis"]
        self.window = torch.hann_window(settings["win_length"], periodic=False)
        # As the stock extractor asks for them, of the releases that can; the difference is one of rounding.
        can = "dtype" in inspect.signature(mel_filter_bank).parameters
        in_float32: dict[str, Any] = {"dtype": np.float32} if can else {}
        filters = mel_filter_bank(
            num_frequency_bins=self.n_fft // 2 + 1,
            num_mel_filters=settings["feature_size"],
            min_frequency=0.0,
            max_frequency=settings["sampling_rate"] / 2,
            sampling_rate=settings["sampling_rate"],
            norm="slaney",
            mel_scale="slaney",
            **in_float32,
        ).T
        self.filters = torch.from_numpy(np.ascontiguousarray(filters, dtype=np.float32))  # (mels, bins)

    def n_spectra(self, n_samples: int) -> int:
        """Spectra of ``n_samples`` that the stock extractor lets the model see."""
        return max((n_samples - self.n_fft % 2) // self.hop, 0)

    def __call__(self, wave: np.ndarray) -> Tensor:
        """Spectra (T, mels) float32 of a wave (N,) float32."""
        x = torch.tensor(np.asarray(wave, dtype=np.float32))[None]  # a copy: the wave may be read-only
        if self.preemphasis is not None:
            x = torch.cat([x[:, :1], x[:, 1:] - self.preemphasis * x[:, :-1]], dim=1)
        found = torch.stft(
            x,
            self.n_fft,
            hop_length=self.hop,
            win_length=len(self.window),
            window=self.window,
            return_complex=True,
            pad_mode="constant",
        )
        power = torch.sqrt(torch.view_as_real(found).pow(2).sum(-1)).pow(
            2
        )  # rounded as the stock extractor rounds
        log_mel = torch.log(self.filters @ power + 2**-24).permute(0, 2, 1)
        n = self.n_spectra(len(wave))
        # The one spectrum more than the model sees counts as zero in the sums, as in the stock extractor.
        mask = (torch.arange(log_mel.shape[1]) < n)[None, :, None]
        count = torch.tensor([[n]])
        mean = ((log_mel * mask).sum(dim=1) / count)[:, None]
        variance = ((log_mel * mask - mean) ** 2 * mask).sum(dim=1) / (count - 1)
        return ((log_mel - mean) / (variance.sqrt()[:, None] + 1e-5))[0, :n]

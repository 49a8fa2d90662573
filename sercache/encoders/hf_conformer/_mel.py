"""Mel spectra as SeamlessM4TFeatureExtractor makes them (Kaldi's, for w2v-BERT 2.0), many frames at a time.

The stock extractor walks over frames one by one in Python; these are its numbers, rounding included, at a
multiple of its speed.
"""

from __future__ import annotations

import numpy as np

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

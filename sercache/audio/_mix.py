"""Channels to one, with what has to be known of the samples before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sercache.audio._records import Remark
from sercache.errors import AudioError

LOUDEST = 2.0**32
"""Largest absolute sample; full scale is 1, integers written as floats reach 2^31. Squares of what lies above, and
sums of them, leave float32, and encoders would give the features of silence."""
QUIET = 2e-4
"""Least range of samples that is sound: -80 dB of full scale, the dither of a 16-bit recording."""

_LOUD = 16.0
"""Peak from which a recording is said to be loud: lossy coders and mixing go over full scale by a factor of two."""
_LEAST_STEP = 2.0**-31
"""Range below which a recording is silent: the step of 32-bit integers."""
_CANCELLED, _CANCELLING = 1e-3, 0.1
"""Power of the mean of all channels, as a share of their mean power."""


def _mean(block: np.ndarray) -> np.ndarray:
    """Mean of the channels (n, channels) as ``np.mean`` gives it, which is slow on short rows."""
    if block.shape[1] == 2:
        return (np.float32(0) + block[:, 0] + block[:, 1]) / np.float32(2)  # never -0, as a sum from 0 on
    return block.mean(axis=1, dtype=np.float32)


class Mix:
    """Blocks (n, channels) to waves (n,), and what was seen in them."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path, self._channels = path, channels
        self._low, self._high, self._peak = np.inf, -np.inf, 0.0
        self._power, self._power_mixed = 0.0, 0.0
        self.n_samples = 0
        """Mixed so far."""

    def mono(self, block: np.ndarray) -> np.ndarray:
        """The mean of all channels; float32. Raises AudioError for values that no encoder can take."""
        low, high = float(block.min()), float(block.max())
        peak = max(high, -low)
        if not peak <= LOUDEST:
            self._refuse(peak, block)
        self._peak = max(self._peak, peak)
        self.n_samples += len(block)
        if self._channels == 1:
            wave = block[:, 0]
        else:
            wave = _mean(block)
            low, high = float(wave.min()), float(wave.max())
            flat = block.ravel()
            self._power += float(np.dot(flat, flat)) / self._channels
            self._power_mixed += float(np.dot(wave, wave))
        self._low, self._high = min(self._low, low), max(self._high, high)
        return wave

    def finish(self) -> Iterator[Remark]:
        """Remarks on all blocks. Raises AudioError where they hold no sound."""
        how = self._power_mixed / self._power if self._power > 0 else 1.0
        turn = f"its {self._channels} channels cancel each other; invert one of them, or keep only one"
        spread = self._high - self._low
        if how < _CANCELLED:
            raise AudioError(f"{self._path}: is silent, {turn}", "cancelled")
        if spread < _LEAST_STEP and (self.n_samples > 1 or self._peak < _LEAST_STEP):
            same = "zero" if self._high == self._low == 0 else f"{self._high:.3g}"
            raise AudioError(f"{self._path}: is silent (every sample is {same})", "silent")
        if how < _CANCELLING:
            yield Remark(
                "cancelling", f"{turn.replace('cancel', 'nearly cancel')} ({10 * np.log10(how):.0f} dB)"
            )
        if self._peak > _LOUD:
            text = (
                f"its samples reach {self._peak:.4g} where full scale is 1; were integers written as floats?"
            )
            yield Remark("loud", text)
        if spread < QUIET:
            yield Remark("quiet", f"no sound above {20 * np.log10(QUIET / 2):.0f} dB of full scale")

    def _refuse(self, peak: float, block: np.ndarray) -> None:
        if not np.isfinite(block).all():
            raise AudioError(
                f"{self._path}: holds values that are not finite (NaN or infinity)", "not-finite"
            )
        raise AudioError(
            f"{self._path}: holds samples up to {peak:.3g}, expected up to 1, the full scale; write it anew from the "
            "source",
            "overflow",
        )

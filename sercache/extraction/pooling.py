"""Means and standard deviations over time of packed frames, on the device that holds them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_SLAB_BYTES = 32 * 2**20
"""Float64 that is laid out at a time: it stays in the device's cache, and long recordings in its memory."""


class Pool:
    """Pools each utterance of a batch. Sums are float64, as NumPy's in ``compute.on_cpu``."""

    def __init__(self, bounds: np.ndarray, place: torch.device) -> None:
        """``bounds`` (B + 1,): first frame of each utterance, and the number of frames F."""
        lengths = np.diff(bounds)
        self._columns = max(1, _SLAB_BYTES // (8 * int(bounds[-1])))
        self._lengths = torch.from_numpy(lengths).to(place, non_blocking=True)
        owners = np.repeat(np.arange(len(lengths)), lengths)
        self._owners = torch.from_numpy(owners).to(place, non_blocking=True)

    def __call__(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (F, D) to means (B, D) and population standard deviations (B, D), float64."""
        parts = [self._slab(part) for part in packed.split(self._columns, dim=1)]
        means, deviations = zip(*parts, strict=True)
        return torch.cat(means, dim=1), torch.cat(deviations, dim=1)

    def _slab(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        values = packed.to(torch.float64, copy=True, memory_format=torch.contiguous_format)
        mean = self._mean(values)
        values -= mean[self._owners]
        return mean, self._mean(values.square_()).sqrt_()

    def _mean(self, values: Tensor) -> Tensor:
        # Unsafe: lengths are not read back to be checked, which would wait for the device.
        sums = torch.segment_reduce(values, "sum", lengths=self._lengths, axis=0, unsafe=True)
        return sums / self._lengths[:, None]

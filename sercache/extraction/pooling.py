"""Means and standard deviations over time of packed frames, on the device that holds them."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from sercache import kernels
from sercache.progress import warn

_SLAB_BYTES = 32 * 2**20
"""Float64 that is laid out at a time: it stays in the device's cache, and long recordings in its memory."""


_ROUNDING = 1e-12
"""Of sums of some hundred numbers of order one in float64, in another order."""


class Pool:
    """Pools each utterance of a batch. Sums are float64, as NumPy's in ``compute.on_cpu``.

    On CUDA one kernel reads the frames twice. The plain way lays them out in float64 and goes over them a dozen times,
    and its sums take one thread an utterance and column.
    """

    def __init__(self, bounds: np.ndarray, place: torch.device) -> None:
        """``bounds`` (B + 1,): first frame of each utterance, and the number of frames F."""
        lengths = np.diff(bounds)
        self._columns = max(1, _SLAB_BYTES // (8 * int(bounds[-1])))
        self._lengths = torch.from_numpy(lengths).to(place, non_blocking=True)
        self._bounds = torch.from_numpy(bounds.astype(np.int32)).to(place, non_blocking=True)
        owners = np.repeat(np.arange(len(lengths)), lengths)
        self._owners = torch.from_numpy(owners).to(place, non_blocking=True)

    def __call__(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (F, D) to means (B, D) and population standard deviations (B, D), float64."""
        if packed.device.type != "cpu" and why_plain(packed.device, packed.dtype) is None:
            mean, variance = kernels.pooled(packed, self._bounds)
            return mean, variance.sqrt_()
        return self._plain(packed)

    def _plain(self, packed: Tensor) -> tuple[Tensor, Tensor]:
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


@functools.cache
def why_plain(place: torch.device, dtype: torch.dtype) -> str | None:
    """Why frames are not pooled by a kernel there, or None: what it gives was compared once."""
    reason = kernels.missing(place) or _disagreement(place, dtype)
    if reason is not None and place.type == "cuda":
        warn(f"frames are pooled without a kernel, more slowly: {reason}")
    return reason


def _disagreement(place: torch.device, dtype: torch.dtype) -> str | None:
    lengths = (200, 1, 33)
    draws = torch.Generator().manual_seed(0)
    packed = (torch.randn(sum(lengths), 130, generator=draws) + 1).to(dtype).to(place)
    pool = Pool(np.cumsum([0, *lengths]), place)
    try:
        mean, variance = kernels.pooled(packed, pool._bounds)
    except torch.OutOfMemoryError:
        raise
    except Exception as fault:  # a compiler raises anything
        return kernels.in_words(fault)
    apart = [
        float((ours - plain).abs().max())
        for ours, plain in zip((mean, variance.sqrt_()), pool._plain(packed), strict=True)
    ]
    return None if max(apart) <= _ROUNDING else f"the kernel errs by {max(apart):.1e}"

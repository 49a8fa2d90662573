"""Features held for the batches to come, and freed memory kept for the next batch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sercache.training.contract import Inputs, View, parts_of, targets_of

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST = 1 << 30  # bytes


@dataclass(frozen=True)
class Resident:
    """A pooled view whose features (U, L, 1, D), already normalised, lie on the device; a tensor per input."""

    view: View
    features: tuple[Tensor, ...]

    @property
    def n_layers(self) -> int | tuple[int, ...]:
        """L, or one for each input."""
        return self.view.n_layers

    @property
    def dim(self) -> int | tuple[int, ...]:
        """D, or one for each input."""
        return self.view.dim

    @cached_property
    def labels(self) -> np.ndarray:
        """(U,) int64."""
        return self.view.labels

    @cached_property
    def n_frames(self) -> np.ndarray:
        """(U,) int64, all 1."""
        return self.view.n_frames

    @cached_property
    def targets(self) -> np.ndarray | None:
        """(U, C) float32, or None."""
        return targets_of(self.view)

    def __len__(self) -> int:
        return len(self.view)

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Inputs]:
        """Features (B, L, 1, D) and mask (B, 1), or tuples of them."""
        rows = torch.from_numpy(indices).to(self.features[0].device)
        x = tuple(part[rows] for part in self.features)
        mask = torch.ones(len(indices), 1, dtype=torch.bool, device=rows.device)
        return (x[0], mask) if len(x) == 1 else (x, (mask,) * len(x))


def resident(view: View, device: torch.device) -> View:
    """``view`` with its features read once and kept on ``device``, where it is pooled; else itself."""
    if isinstance(view, Resident) or int(view.n_frames.max()) > 1:
        return view
    x, mask = view.batch(np.arange(len(view)))
    features = []
    for part, real in zip(parts_of(x), parts_of(mask), strict=True):
        # An item without frames: its mean is zero.
        whole = part if real.all() else torch.where(real[:, None, :, None], part, 0.0)
        features.append(whole.to(device))
    return Resident(view, tuple(features))


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks up to 1 GiB instead of handing them back to the kernel.

    Every batch takes and frees the same large blocks; fresh pages are zeroed by the kernel each time, which
    cost two thirds of the time of element-wise work (dropout of 32 x 400 x 768: 110 ms against 35 ms).
    Meant for a process that does nothing but train: it holds its peak until it ends. Gives whether it took
    effect; elsewhere than on glibc nothing happens.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(set_option(_M_MMAP_THRESHOLD, _LARGEST) and set_option(_M_TRIM_THRESHOLD, 2**31 - 1))

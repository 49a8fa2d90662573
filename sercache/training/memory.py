"""Features held for the batches to come, and freed memory kept for the next batch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST = 1 << 30  # bytes


@dataclass(frozen=True)
class Resident:
    """A pooled view whose features (U, L, 1, D), already normalised, lie on the device as one tensor."""

    features: Tensor
    labels: np.ndarray
    n_frames: np.ndarray

    @property
    def n_layers(self) -> int:
        """L."""
        return self.features.shape[1]

    @property
    def dim(self) -> int:
        """D."""
        return self.features.shape[3]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Features (B, L, 1, D) and mask (B, 1)."""
        x = self.features[torch.from_numpy(indices).to(self.features.device)]
        return x, torch.ones(len(indices), 1, dtype=torch.bool, device=x.device)


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

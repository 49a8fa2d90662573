"""Convolutions without padding, one after another: how many steps they give, and how many those take."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Strides:
    """What decides lengths in a row of convolutions: samples, or spectra, go in, and frames come out."""

    steps: tuple[tuple[int, int], ...]
    """Kernel and stride of each."""

    @property
    def hop(self) -> int:
        """What goes in from one frame to the next."""
        return math.prod(stride for _, stride in self.steps)

    def n_out(self, n_in: int) -> int:
        """Frames that ``n_in`` give; none where there are too few for one."""
        for kernel, stride in self.steps:
            n_in = (n_in - kernel) // stride + 1
        return max(n_in, 0)

    def n_in(self, n_out: int) -> int:
        """The fewest that give ``n_out`` frames, one or more."""
        for kernel, stride in reversed(self.steps):
            n_out = (n_out - 1) * stride + kernel
        return n_out

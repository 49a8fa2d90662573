"""What a model does, found out on noise: its blocks, its frame rate, and whether it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.encoders._hooks import first_tensor
from sercache.errors import EncoderError

_CHECKED = 12
"""Lengths at which the frame count found is compared with the model's own."""
_SHORTEST = 64
"""Frame counts that are tried for the shortest waveform."""


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    """(N,) float32 at a tenth of full scale."""
    return (0.1 * np.random.default_rng([seed, n_samples]).standard_normal(n_samples)).astype(np.float32)


@torch.no_grad()
def blocks(model: nn.Module, forward: Callable[[], object]) -> nn.ModuleList:
    """The longest list of parts that run once each, one after another, and give (B, T, D) of one shape.

    Raises EncoderError where there is none.
    """
    lists = {name: part for name, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    shapes: dict[nn.Module, list[torch.Size]] = {}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        try:
            shapes.setdefault(module, []).append(first_tensor(output).shape)
        except (IndexError, TypeError, StopIteration):
            shapes.setdefault(module, []).append(torch.Size())

    hooks = [each.register_forward_hook(note) for part in lists.values() for each in part]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()

    def fits(parts: nn.ModuleList) -> bool:
        seen = [shapes.get(each, []) for each in parts]
        return (
            all(len(each) == 1 for each in seen)
            and len({each[0] for each in seen}) == 1
            and len(seen[0][0]) == 3
        )

    fitting = [parts for parts in lists.values() if len(parts) and fits(parts)]
    if not fitting:
        raise EncoderError(
            f"{type(model).__name__} has no list of blocks that run once each and give (1, T, D) of one shape, so its "
            "states cannot be told apart"
        )
    return max(fitting, key=len)


class FrameCount:
    """Frames by samples, T(N) = 1 + floor((N - first) / hop), as the model makes them."""

    def __init__(self, count: Callable[[int], int], rate: int, name: str) -> None:
        """``count``: the model's own frames of a wave of so many samples. Raises EncoderError."""
        self._count, self._name = count, name
        start = count(rate)
        if count(2 * rate) <= start:
            raise EncoderError(
                f"{name} gives {start} frames for 1 s and as many for 2 s: it pads or cuts recordings to one length, "
                "so its frames are not those of the recording"
            )
        edges = [self._edge(start + k, rate, 2 * rate) for k in (1, 2, 3)]
        self.hop = edges[1] - edges[0]
        self.first = edges[0] - start * self.hop
        """Samples from which there would be one frame."""
        random = np.random.default_rng(0)
        for n_samples in [*map(int, random.integers(rate // 2, 4 * rate, _CHECKED)), edges[2] - 1, edges[2]]:
            if count(n_samples) != self(n_samples):
                raise EncoderError(
                    f"{name} gives {count(n_samples)} frames for {n_samples} samples where a frame every {self.hop} "
                    f"samples would give {self(n_samples)}: its frame rate is not constant"
                )

    def __call__(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return max((n_samples - self.first) // self.hop + 1, 0)

    def _edge(self, n_frames: int, low: int, high: int) -> int:
        """Fewest samples that give ``n_frames``, between ``low`` and ``high``."""
        while low < high:
            middle = (low + high) // 2
            if self._count(middle) >= n_frames:
                high = middle
            else:
                low = middle + 1
        return low

    def shortest(self, runs: Callable[[int], bool]) -> int:
        """Fewest samples that give a frame and that the model runs on. Raises EncoderError."""
        for n_frames in range(1, _SHORTEST):
            n_samples = max(self.first + (n_frames - 1) * self.hop, 1)
            if self(n_samples) == n_frames and runs(n_samples):
                return n_samples
        raise EncoderError(
            f"{self._name} cannot be run on recordings of up to {_SHORTEST * self.hop} samples"
        )


def distance(got: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the RMS of what is expected; infinite for another shape or no number."""
    if got.shape != expected.shape:
        return float("inf")
    worst = float((got.double() - expected.double()).abs().max() / expected.double().square().mean().sqrt())
    return float("inf") if math.isnan(worst) else worst

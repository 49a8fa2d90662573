"""A view over arrays in memory, for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class ArrayView:
    """Items of (L, T_i, D) with labels, and numbers where a task gives them; pads with zeros."""

    items: list[np.ndarray]
    labels: np.ndarray
    targets: np.ndarray | None = None

    @property
    def n_layers(self) -> int:
        return self.items[0].shape[0]

    @property
    def dim(self) -> int:
        return self.items[0].shape[2]

    @property
    def n_frames(self) -> np.ndarray:
        return np.array([item.shape[1] for item in self.items], np.int64)

    def __len__(self) -> int:
        return len(self.items)

    def batch(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = self.n_frames[indices]
        # In torch's own memory: where numpy's begins differs from run to run, and products of matrices round by that.
        x = torch.zeros(len(indices), self.n_layers, int(lengths.max()), self.dim)
        for row, index in enumerate(indices):
            x[row, :, : lengths[row]] = torch.from_numpy(self.items[index])
        mask = np.arange(lengths.max()) < lengths[:, None]
        return x, torch.from_numpy(mask)


@dataclass(frozen=True)
class SideBySide:
    """Several inputs with the same items, each with its own L, T_i and D."""

    inputs: tuple[ArrayView, ...]

    @property
    def n_layers(self) -> tuple[int, ...]:
        return tuple(each.n_layers for each in self.inputs)

    @property
    def dim(self) -> tuple[int, ...]:
        return tuple(each.dim for each in self.inputs)

    @property
    def labels(self) -> np.ndarray:
        return self.inputs[0].labels

    @property
    def targets(self) -> np.ndarray | None:
        return self.inputs[0].targets

    @property
    def n_frames(self) -> np.ndarray:
        return np.max([each.n_frames for each in self.inputs], 0)

    def __len__(self) -> int:
        return len(self.inputs[0])

    def batch(self, indices: np.ndarray) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        pairs = [each.batch(indices) for each in self.inputs]
        return tuple(x for x, _ in pairs), tuple(mask for _, mask in pairs)


@dataclass(frozen=True)
class Doubled:
    """Another view's items in float64: what is compared after several updates is trained on these (``tolerances``)."""

    view: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.view, name)

    def __len__(self) -> int:
        return len(self.view)

    def batch(self, indices: np.ndarray) -> tuple[Any, Any]:
        x, mask = self.view.batch(indices)
        return (tuple(each.double() for each in x) if isinstance(x, tuple) else x.double()), mask


def random_inputs(
    n_items: int,
    n_layers: tuple[int, ...],
    dim: tuple[int, ...],
    frames: tuple[int, int] = (1, 1),
    n_targets: int = 0,
    seed: int = 0,
) -> ArrayView | SideBySide:
    """Noise for each input, of lengths of its own; one input is a plain view."""
    targets = np.random.default_rng(seed).uniform(0.1, 1, (n_items, n_targets)).astype(np.float32)
    views = [
        replace(
            random_view(n_items, layers, size, frames=frames, seed=seed + 100 * k),
            targets=targets if n_targets else None,
        )
        for k, (layers, size) in enumerate(zip(n_layers, dim, strict=True))
    ]
    return views[0] if len(views) == 1 else SideBySide(tuple(views))


def random_view(
    n_items: int = 32,
    n_layers: int = 4,
    dim: int = 24,
    n_classes: int = 4,
    frames: tuple[int, int] = (1, 1),
    signal: float = 0.0,
    seed: int = 0,
) -> ArrayView:
    """Noise, ``signal`` times a direction of the class added; lengths drawn from ``frames`` (both included)."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(n_classes, dim))
    labels = np.arange(n_items) % n_classes
    lengths = rng.integers(frames[0], frames[1] + 1, n_items)
    items = [
        (rng.normal(size=(n_layers, n, dim)) + signal * directions[c]).astype(np.float32)
        for n, c in zip(lengths, labels, strict=True)
    ]
    return ArrayView(items, labels)

"""SideBySideView: the same items in several stores, for heads that read several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sercache.errors import SettingsError
from sercache.views.joined import JoinedView
from sercache.views.view import FeatureView

OneInput = FeatureView | JoinedView


@dataclass(frozen=True, eq=False)
class SideBySideView:
    """Inputs that hold the same items in the same order, each with its own L, T, D and mask."""

    inputs: tuple[OneInput, ...]

    def __post_init__(self) -> None:
        first = self.inputs[0].utterance_ids
        for number, other in enumerate(self.inputs[1:], start=2):
            own = other.utterance_ids
            if own != first:
                differ = next((a for a, b in zip(first, own, strict=False) if a != b), (first + own)[-1])
                raise SettingsError(
                    f"input {number} has {len(own)} items and the first has {len(first)}, they differ from "
                    f"{differ} on; extract all inputs with the same clip rule"
                )

    def __len__(self) -> int:
        return len(self.inputs[0])

    @property
    def n_layers(self) -> tuple[int, ...]:
        """L of each input."""
        return tuple(each.n_layers for each in self.inputs)

    @property
    def dim(self) -> tuple[int, ...]:
        """D of each input."""
        return tuple(each.dim for each in self.inputs)

    @property
    def labels(self) -> np.ndarray:
        """(U,) int64 class of each item."""
        return self.inputs[0].labels

    @property
    def targets(self) -> np.ndarray | None:
        """(U, C) float32 numbers of each item; None where the task gives classes."""
        return self.inputs[0].targets

    @property
    def n_variants(self) -> int:
        """Versions of each item (see JoinedView)."""
        first = self.inputs[0]
        return first.n_variants if isinstance(first, JoinedView) else 1

    @property
    def utterance_ids(self) -> list[str]:
        """Utterance of each item."""
        return self.inputs[0].utterance_ids

    @property
    def n_frames(self) -> np.ndarray:
        """(U,) int64: T of each item in its longest input, by which items of like length are batched."""
        return np.max([each.n_frames for each in self.inputs], axis=0)

    def batch(
        self, indices: Sequence[int] | np.ndarray
    ) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Features (B, L, T, D) and mask (B, T) of each input: a tuple of each."""
        pairs = [each.batch(indices) for each in self.inputs]
        return tuple(x for x, _ in pairs), tuple(mask for _, mask in pairs)


AnyView = FeatureView | JoinedView | SideBySideView


def beside(inputs: Sequence[OneInput]) -> AnyView:
    """One view of all inputs: the input itself where there is only one. Raises SettingsError."""
    return inputs[0] if len(inputs) == 1 else SideBySideView(tuple(inputs))

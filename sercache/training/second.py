"""A view with a second target, for heads that learn both (Park et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sercache.training.contract import Inputs, View, targets_of


@dataclass(frozen=True, eq=False)
class WithSpeakers:
    """A view whose items also carry their speaker as a class of their own (U,), -1 where unknown."""

    view: View
    second: np.ndarray

    @property
    def n_layers(self) -> int | tuple[int, ...]:
        """L, or one for each input."""
        return self.view.n_layers

    @property
    def dim(self) -> int | tuple[int, ...]:
        """D, or one for each input."""
        return self.view.dim

    @property
    def labels(self) -> np.ndarray:
        """(U,) int64."""
        return self.view.labels

    @property
    def n_frames(self) -> np.ndarray:
        """(U,) int64."""
        return self.view.n_frames

    @property
    def targets(self) -> np.ndarray | None:
        """(U, C) float32, or None."""
        return targets_of(self.view)

    @property
    def features_from(self) -> View:
        """The view below: its features are these."""
        return self.view

    def __len__(self) -> int:
        return len(self.view)

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Inputs]:
        """Features and mask of some items."""
        return self.view.batch(indices)

"""JoinedView: items of several views one after another, to train on more than one corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sercache.errors import SettingsError
from sercache.views.view import FeatureView


@dataclass(frozen=True, eq=False)
class JoinedView:
    """Views in a row, read as one. All must have the same states and feature size."""

    parts: tuple[FeatureView, ...]
    n_variants: int = 1
    """Versions of the same items that the parts are, all of one before the next; 1: the parts are different items."""

    def __post_init__(self) -> None:
        shapes = {(part.states, part.dim) for part in self.parts}
        if len(shapes) != 1:
            found = "; ".join(f"{len(states)} states of {dim}" for states, dim in sorted(shapes))
            raise SettingsError(f"views that are joined need the same states and size, got {found}")
        widths = {None if part.targets is None else part.targets.shape[1] for part in self.parts}
        if len(widths) != 1:
            raise SettingsError("views that are joined need the same targets, or classes, in each")
        if self.n_variants > 1 and len({tuple(part.entry_ids) for part in self.parts}) != 1:
            raise SettingsError(
                "augmented features have other items than the plain ones: some could not be encoded; train without them"
            )

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def n_layers(self) -> int:
        """L, the number of states."""
        return self.parts[0].n_layers

    @property
    def dim(self) -> int:
        """D, the feature size."""
        return self.parts[0].dim

    @property
    def labels(self) -> np.ndarray:
        """(U,) int64 class of each item."""
        return np.concatenate([part.labels for part in self.parts])

    @property
    def targets(self) -> np.ndarray | None:
        """(U, C) float32 numbers of each item; None where the task gives classes."""
        found = [part.targets for part in self.parts if part.targets is not None]
        return np.concatenate(found) if found else None

    @property
    def utterance_ids(self) -> list[str]:
        """Utterance of each item."""
        return [id for part in self.parts for id in part.utterance_ids]

    @property
    def n_frames(self) -> np.ndarray:
        """(U,) int64 T of each item."""
        return np.concatenate([part.n_frames for part in self.parts])

    @property
    def has_padding(self) -> bool:
        """Whether what an encoder padded with lies behind the real frames of some item."""
        return any((part.source.n_real < part.source.n_frames).any() for part in self.parts)

    def batch(self, indices: Sequence[int] | np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, L, T, D) float32, zero where padded, and mask (B, T) bool."""
        chosen = np.asarray(indices, np.int64)
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        owner = np.searchsorted(starts, chosen, side="right") - 1
        n_frames = int(self.n_frames[chosen].max(initial=0))
        x = torch.zeros(len(chosen), self.n_layers, n_frames, self.dim)
        mask = torch.zeros(len(chosen), n_frames, dtype=torch.bool)
        for k, part in enumerate(self.parts):
            if k not in owner:
                continue
            places = torch.from_numpy(np.flatnonzero(owner == k))
            own_x, own_mask = part.batch(chosen[owner == k] - starts[k])
            x[places, :, : own_x.shape[2]] = own_x
            mask[places, : own_mask.shape[1]] = own_mask
        return x, mask

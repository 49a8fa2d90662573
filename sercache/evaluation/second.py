"""A second target beside the classes: who speaks, for heads that learn both (Park et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sercache.errors import RecipeError
from sercache.training import Inputs, View, targets_of
from sercache.views import AnyView


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


def with_speakers(view: AnyView, speakers: Mapping[str, str], options: Mapping[str, Any]) -> WithSpeakers:
    """A training part with its speakers as second target, numbered in the order of their names.

    ``speakers`` names who speaks in each utterance, ``options`` are the head's: ``speakers`` of them must be
    as many as the part has. Raises RecipeError.
    """
    spoken = [speakers.get(id, "") for id in view.utterance_ids]
    names = sorted(set(spoken) - {""})
    outputs = options.get("speakers")
    if not names:
        raise RecipeError(
            "second_weight trains speakers too, and this corpus names none; set second_weight=0"
        )
    if outputs is not None and outputs != len(names):
        raise RecipeError(
            f"the head has {outputs} outputs for speakers and the training part has {len(names)} speakers; "
            f"set --option speakers={len(names)}"
        )
    place = {name: k for k, name in enumerate(names)}
    return WithSpeakers(view, np.array([place.get(name, -1) for name in spoken], np.int64))

"""The stock module, one utterance at a time, its states taken by hooks: slower, never different."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sercache.encoders._hooks import Point, take


class Stock:
    """The forward pass of a module that the packed path does not know."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def __call__(self, waves: Sequence[Tensor], states: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) for ``states``, given in order. All of them are held until the last wave."""
        each = [self._states(wave, states) for wave in waves]
        for name in states:
            yield name, torch.cat([found.pop(name) for found in each])

    def _states(self, wave: Tensor, states: Sequence[str]) -> dict[str, Tensor]:
        model = self.model
        blocks = {str(number): Point(block) for number, block in enumerate(model.encoder.layers, start=1)}
        points = {
            "conv": Point(model.feature_extractor, turned=True),
            "projection": Point(model.feature_projection),
            "input": Point(model.encoder.layers[0], before=True),
            "final": Point(model.encoder),
        }
        found = take(points | blocks, states, lambda: model(wave[None].to(model.dtype)))
        return {name: state[0] for name, state in found.items()}

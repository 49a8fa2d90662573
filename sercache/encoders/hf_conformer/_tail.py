"""The part of a Conformer above a cached state, to be trained together with a head.

B utterances, T frames, D feature size, L states. Real frames are packed one utterance after another and go
through the same blocks as in encoding, so that padding reaches nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sercache.encoders._arguments import states_above
from sercache.encoders._tail import BlockDrop
from sercache.encoders.hf_conformer._attention import PackTimes
from sercache.encoders.hf_conformer._blocks import ConformerBlock


class ConformerTail(nn.Module):
    """Blocks of a Conformer from ``boundary`` up: (B, 1, T, D) to (B, L, T, D').

    Of the checkpoint's dropout only that of the projection and inside the feed-forward layers is applied in training;
    batch norms keep their statistics.
    """

    def __init__(self, model: Any, parts: tuple[Any, Any, Any], boundary: str, states: Sequence[str]) -> None:
        """``model``: the stock module in float32, ``parts`` of it as ``_encoder.parts`` gives; it is left as it is.

        Raises UnknownNameError for a boundary or a state that cannot be had.
        """
        super().__init__()
        layers, closing, embed = parts
        blocks = [str(number) for number in range(1, len(layers) + 1)]
        below = _below(model)
        names = [*below, *blocks, *(["final"] if closing is not None else [])]
        boundaries = names[: len(below) + len(layers)]
        if boundary == "input" and boundary not in below:
            boundary = "projection"  # nothing lies between
        self.names = states_above(names, boundaries, boundary, states)
        self.states, self.dim = tuple(states), int(model.config.hidden_size)
        self.kind = getattr(model.config, "position_embeddings_type", "relative")
        self.scale = getattr(model, "input_scale", 1.0)
        self.drop = BlockDrop()
        self.projection = copy.deepcopy(model.feature_projection) if "projection" in self.names else None
        self.blocks = nn.ModuleDict(
            {name: copy.deepcopy(layers[int(name) - 1]) for name in self.names if name.isdigit()}
        )
        self.closing = copy.deepcopy(closing) if "final" in self.names else None
        self.embed = copy.deepcopy(embed)
        self.requires_grad_(True)  # a loaded checkpoint is frozen

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """States (B, L, T, D') of x (B, 1, T, D) with real frames ``mask`` (B, T)."""
        packed = x[:, 0][mask]
        with torch.no_grad():
            positions = PackTimes(self.embed, self.kind, mask.sum(1).tolist(), packed)
        kept = {}
        for name in self.names:
            packed = self._step(name, packed, positions)
            if name in self.states:
                kept[name] = packed
        shape = (len(self.states), *mask.shape, self.dim)
        found = packed.new_zeros(shape)
        found[:, mask] = torch.stack([kept[name] for name in self.states])
        return found.transpose(0, 1)

    def _step(self, name: str, x: Tensor, positions: PackTimes) -> Tensor:
        if name == "projection":
            assert self.projection is not None
            projected: Tensor = self.projection(x)[0]
            return projected
        if name == "input":
            return x * self.scale
        if name == "final":
            assert self.closing is not None
            closed: Tensor = self.closing(x)
            return closed
        if self.drop.falls():
            return x
        return ConformerBlock(self.blocks[name])(x, positions)

    def give_back(self, model: Any, parts: tuple[Any, Any, Any]) -> None:
        """Copy the weights into the stock module that they came from, or an equal one."""
        layers, closing, _ = parts
        for name, block in self.blocks.items():
            layers[int(name) - 1].load_state_dict(block.state_dict())
        if self.closing is not None:
            closing.load_state_dict(self.closing.state_dict())
        if self.projection is not None:
            model.feature_projection.load_state_dict(self.projection.state_dict())

    def train(self, mode: bool = True) -> ConformerTail:
        """As in torch; batch norms keep their statistics."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.eval()
        return self


def _below(model: Any) -> list[str]:
    """States below block 1 from which a stock module can be trained, in the order of computation."""
    if hasattr(model, "feature_projection"):
        return ["conv" if hasattr(model, "feature_extractor") else "features", "projection"]
    return ["projection"] if model.input_scale == 1 else ["projection", "input"]

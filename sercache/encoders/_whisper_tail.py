"""The part of Whisper's encoder above a cached state, to be trained together with a head.

B utterances, T frames of a window, D feature size, L states. Whisper pads every recording with silence to a window of
one length, and nothing keeps its attention from the frames of that silence: what the cache holds of them (clip rule
``whole``) is read with those of the recording.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sercache.encoders._arguments import states_above
from sercache.encoders._tail import BlockDrop


class WhisperTail(nn.Module):
    """Blocks of Whisper's encoder from ``boundary`` up: whole windows (B, 1, T, D) to (B, L, T, D').

    Dropout is the checkpoint's own in training.
    """

    READS_PADDING = True

    def __init__(self, model: Any, boundary: str, states: Sequence[str]) -> None:
        """``model``: the stock encoder in float32, which is left as it is; ``states`` lie above ``boundary``.

        Raises UnknownNameError for a boundary or a state that cannot be had.
        """
        super().__init__()
        names = ("input", *(str(number) for number in range(1, len(model.layers) + 1)), "final")
        self.names = states_above(names, names[:-1], boundary, states)
        """States that are computed: those above the boundary, up to the last one asked for."""
        self.states, self.dim = tuple(states), int(model.config.d_model)
        self.drop = BlockDrop()
        self.blocks = nn.ModuleDict(
            {name: copy.deepcopy(model.layers[int(name) - 1]) for name in self.names if name.isdigit()}
        )
        self.closing = copy.deepcopy(model.layer_norm) if "final" in self.names else None
        self.requires_grad_(True)  # a loaded checkpoint is frozen

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """States (B, L, T, D') of whole windows x (B, 1, T, D); ``mask`` (B, T), true on the recordings, hides none."""
        x = x[:, 0]
        kept = {}
        for name in self.names:
            x = self._step(name, x)
            if name in self.states:
                kept[name] = x
        return torch.stack([kept[name] for name in self.states], 1)

    def give_back(self, model: Any) -> None:
        """Copy the weights into the stock encoder that they came from, or an equal one."""
        for name, block in self.blocks.items():
            model.layers[int(name) - 1].load_state_dict(block.state_dict())
        if self.closing is not None:
            model.layer_norm.load_state_dict(self.closing.state_dict())

    def _step(self, name: str, x: Tensor) -> Tensor:
        if name == "final":
            assert self.closing is not None
            closed: Tensor = self.closing(x)
            return closed
        if self.drop.falls():
            return x
        found = self.blocks[name](x, None)
        mixed: Tensor = found[0] if isinstance(found, tuple) else found
        return mixed

"""The part of an encoder above a cached state, to be trained together with a head.

B utterances, T frames, D feature size, L states. The frozen part below is never run again: what the cache
holds is where training starts from. Padded frames are kept out of everything that looks along time, so each
utterance gives what it gives alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders._arguments import states_above
from sercache.encoders._tail import BlockDrop


class SpeechTail(nn.Module):
    """Blocks of a wav2vec 2.0-like encoder from ``boundary`` up: (B, 1, T, D) to (B, L, T, D').

    Dropout is the checkpoint's own in training. Layer drop is that of ``drop``, none unless it is asked for, and
    SpecAugment is not applied: `extract_features`, which Park et al. train with before their joint stage, has neither.
    """

    def __init__(self, model: Any, boundary: str, states: Sequence[str]) -> None:
        """``model``: the stock module in float32, which is left as it is; ``states`` lie above ``boundary``.

        Raises UnknownNameError for a boundary or a state that cannot be had.
        """
        super().__init__()
        encoder = model.encoder
        n_blocks = len(encoder.layers)
        self.pre_norm = type(encoder).__name__.endswith("StableLayerNorm")
        names = ("conv", "projection", "input", *map(str, range(1, n_blocks + 1)))
        names += ("final",) if self.pre_norm else ()
        self.names = states_above(names, names[: n_blocks + 2], boundary, states)
        """States that are computed: those above the boundary, up to the last one asked for."""
        self.states, self.dim = tuple(states), int(model.config.hidden_size)
        self.drop = BlockDrop()
        blocks = [int(name) - 1 for name in self.names if name.isdigit()]
        self.projection = copy.deepcopy(model.feature_projection) if "projection" in self.names else None
        at_input = "input" in self.names
        self.positions = copy.deepcopy(encoder.pos_conv_embed) if at_input else None
        uses_norm = "final" in self.names or (at_input and not self.pre_norm)
        self.norm = copy.deepcopy(encoder.layer_norm) if uses_norm else None
        self.dropout = copy.deepcopy(encoder.dropout)
        self.blocks = nn.ModuleDict({str(k + 1): copy.deepcopy(encoder.layers[k]) for k in blocks})
        self.requires_grad_(True)  # a loaded checkpoint is frozen
        self.table: nn.Module | None = None
        if blocks and 0 not in blocks and hasattr(encoder.layers[0].attention, "rel_attn_embed"):
            # WavLM's table of distances lies in block 1, below the boundary: it stays as it is.
            self.table = copy.deepcopy(encoder.layers[0].attention).requires_grad_(False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """States (B, L, T, D') of x (B, 1, T, D) with real frames ``mask`` (B, T)."""
        x = torch.where(mask[..., None], x[:, 0], 0.0)
        bias = self._position_bias(x.shape[1])
        kept = {}
        for name in self.names:
            if name == "projection":
                x = self._projected(x)
            elif name == "input":
                x = self._placed(x, mask)
            elif name == "final":
                x = self._norm()(x)
            elif not self.drop.falls():
                x = self._block(self.blocks[name], x, mask, bias)
            if name in self.states:
                kept[name] = x
        return torch.stack([kept[name] for name in self.states], 1)

    def give_back(self, model: Any) -> None:
        """Copy the weights into the stock module that they came from, or an equal one."""
        encoder = model.encoder
        pairs = [
            (self.projection, model.feature_projection),
            (self.positions, encoder.pos_conv_embed),
            (self.norm, encoder.layer_norm),
            *((block, encoder.layers[int(number) - 1]) for number, block in self.blocks.items()),
        ]
        for trained, stock in pairs:
            if trained is not None:
                stock.load_state_dict(trained.state_dict())

    def train(self, mode: bool = True) -> SpeechTail:
        """As in torch; a batch norm of the positions keeps its statistics, which padding would move."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.eval()
        return self

    def _projected(self, x: Tensor) -> Tensor:
        assert self.projection is not None
        projected = self.projection(x)
        return projected[0] if isinstance(projected, tuple) else projected

    def _placed(self, x: Tensor, mask: Tensor) -> Tensor:
        """Input of block 1: positions added. One utterance at a time, because biases and norms between
        the convolutions of some checkpoints would fill the padding that the next convolution sees."""
        assert self.positions is not None
        added = torch.zeros_like(x)
        for k, n_frames in enumerate(mask.sum(1).tolist()):
            added[k, :n_frames] = self.positions(x[k : k + 1, :n_frames])[0]
        x = x + added
        return self.dropout(x if self.pre_norm else self._norm()(x))

    def _norm(self) -> nn.Module:
        assert self.norm is not None
        return self.norm

    def _block(self, block: Any, x: Tensor, mask: Tensor, bias: Tensor | None) -> Tensor:
        attend = block.attention
        inside = block.layer_norm(x) if self.pre_norm else x
        if bias is None:
            hidden = torch.finfo(x.dtype).min * (~mask[:, None, None]).to(x.dtype)  # (B, 1, 1, T)
            mixed = attend(inside, attention_mask=hidden.expand(-1, 1, x.shape[1], -1))[0]
        else:
            mixed = _gated(attend, inside, mask, bias)
        x = x + block.dropout(mixed)
        if not self.pre_norm:
            x = block.layer_norm(x)
            return block.final_layer_norm(x + block.feed_forward(x))
        x = x + block.feed_forward(block.final_layer_norm(x))
        adapter = getattr(block, "adapter_layer", None)
        return x if adapter is None else x + adapter(x)

    def _position_bias(self, n_frames: int) -> Tensor | None:
        """(H, T, T) of WavLM, from the table of block 1; None for encoders without one."""
        first: Any = self.table
        if first is None and "1" in self.blocks:
            first = self.blocks["1"].attention
        return first.compute_bias(n_frames, n_frames) if hasattr(first, "rel_attn_embed") else None


def _gated(attention: Any, x: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
    """WavLM's attention (Chen et al. 2022, eq. 4-7) over padded frames: (B, T, D) to (B, T, D)."""

    def heads(part: Tensor) -> Tensor:  # (B, H, T, D / H)
        return part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)

    pairs = attention.gru_rel_pos_linear(heads(x)).unflatten(3, (2, 4)).sum(-1)
    keep, scale = pairs.sigmoid().unbind(-1)  # (B, H, T)
    gate = keep * (scale * attention.gru_rel_pos_const[0, :, :, 0] - 1) + 2
    allowed = torch.where(mask[:, None, None], gate[..., None] * bias, torch.finfo(x.dtype).min)
    mixed = F.scaled_dot_product_attention(
        heads(attention.q_proj(x)),
        heads(attention.k_proj(x)),
        heads(attention.v_proj(x)),
        attn_mask=allowed,
        dropout_p=attention.dropout if attention.training else 0.0,
        scale=attention.scaling,
    )
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))

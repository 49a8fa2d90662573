"""Self-attention over packed frames: each utterance attends to itself alone, so that none is padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_BIAS_BYTES = 64 * 2**20
"""Largest position bias (H, query block, T) that is laid out at a time: long recordings stay in memory."""
_SMALLEST_BLOCK = 64
"""Queries; the attention kernels lose half their speed on fewer."""

Attention = Callable[[Any, Tensor, Sequence[int]], Tensor]
"""(attention module, packed frames (F, D), lengths) to (F, D)."""


def plain(attention: Any, x: Tensor, lengths: Sequence[int]) -> Tensor:
    """Scaled dot-product attention within each utterance, from the stock module's own weights."""
    query, key, value = attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)
    mixed = torch.empty_like(query)
    for rows in spans(lengths):
        q, k, v = (_heads(part[rows], attention.num_heads) for part in (query, key, value))
        out = F.scaled_dot_product_attention(q, k, v, scale=attention.scaling)
        mixed[rows] = out[0].transpose(0, 1).flatten(1)
    return attention.out_proj(mixed)


class Gated:
    """WavLM's attention (Chen et al., 2022, eq. 4-7): a bias by distance, gated by the query frame.

    The bias is laid out for a block of queries at a time. As it depends on key minus query alone, the block
    is a window sliding over one row of distances; keys and values are turned round in time so that the
    window slides forwards, which a view can express.
    """

    def __init__(self, attention: Any, lengths: Sequence[int]) -> None:
        """``attention``: the stock module of block 1, which holds the table of distances for all blocks."""
        self.longest = max(lengths)
        # On the CPU, because buckets come from a logarithm that must round alike everywhere.
        ahead = torch.arange(self.longest - 1, -self.longest, -1)
        buckets = attention._relative_positions_bucket(ahead)
        table: nn.Embedding = attention.rel_attn_embed
        self.by_distance = table(buckets.to(table.weight.device)).T.contiguous()
        """(H, 2 longest - 1): bias of a key ``longest - 1`` frames ahead first."""
        per_query = attention.num_heads * self.longest * self.by_distance.element_size()
        self.block = min(self.longest, max(_SMALLEST_BLOCK, _BIAS_BYTES // per_query))
        # One buffer for all blocks and layers: fresh memory would cost more than what is written into it.
        self.buffer = self.by_distance.new_empty(attention.num_heads * self.block * self.longest)

    def __call__(self, attention: Any, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Gated attention within each utterance; signature of ``Attention``."""
        query, key, value = attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)
        gate = _gate(attention, x)
        mixed = torch.empty_like(query)
        for rows in spans(lengths):
            n_frames = rows.stop - rows.start
            keys = _heads(key[rows].flip(0), attention.num_heads)
            values = _heads(value[rows].flip(0), attention.num_heads)
            for start in range(0, n_frames, self.block):
                part = slice(start, min(start + self.block, n_frames))
                here = slice(rows.start + part.start, rows.start + part.stop)
                out = F.scaled_dot_product_attention(
                    _heads(query[here], attention.num_heads),
                    keys,
                    values,
                    attn_mask=self._bias(part, n_frames, gate[here]),
                    scale=attention.scaling,
                )
                mixed[here] = out[0].transpose(0, 1).flatten(1)
        return attention.out_proj(mixed)

    def _bias(self, queries: slice, n_frames: int, gate: Tensor) -> Tensor:
        """(1, H, queries, T) for keys in reversed order; ``gate`` (queries, H)."""
        first = self.longest - n_frames
        row = self.by_distance[:, first : first + 2 * n_frames - 1]
        windows = row.unfold(1, n_frames, 1)[:, queries]  # (H, queries, T), a view
        bias = self.buffer[: windows.numel()].view(windows.shape)
        return torch.mul(gate.T[:, :, None], windows, out=bias)[None]


def _gate(attention: Any, x: Tensor) -> Tensor:
    """(F, H): by how much each frame, as a query, scales the bias of each head."""
    per_head = x.unflatten(1, (attention.num_heads, -1))
    pairs = attention.gru_rel_pos_linear(per_head).unflatten(2, (2, 4)).sum(-1)
    keep, scale = pairs.sigmoid().unbind(-1)
    return keep * (scale * attention.gru_rel_pos_const.flatten() - 1) + 2


def spans(lengths: Sequence[int]) -> list[slice]:
    """Where each utterance lies among packed frames."""
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def _heads(x: Tensor, n_heads: int) -> Tensor:
    """(T, D) to (1, H, T, D / H)."""
    return x.unflatten(1, (n_heads, -1)).transpose(0, 1)[None]

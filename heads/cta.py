"""Attention over blocks and over time at once, without recurrence (Chen and Zhang 2022, CTA w/o RNN).

On the blocks (L, T, D) as they are. Per head (8 of 64): alpha_t weighs the blocks by their means over time,
alpha_c the frames by their means over blocks, each with a learned query; their outer product weighs every
frame of every block; the weighted sum goes through the value map; the heads side by side through Linear C.
789,508 parameters for 12 x 512 and 4 classes.

Nothing between weights and value map is non-linear: the sums over frames and blocks come first, and the value
map acts on 8 vectors instead of L x T. Exact, forward and backward.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.heads import cta_rnn
from sercache.nn import BlockTimeAttention

SOURCE = "Chen and Zhang 2022, CTA-RNN (CTA without RNN)"
PRINTED = ("chen2022 table3",)

RECIPE = cta_rnn.RECIPE
SETUP = cta_rnn.SETUP
SETUPS = cta_rnn.other_corpora(SETUP)
READINGS = cta_rnn.OF_ALL
SMALL = {"heads": 2, "head_dim": 6}
OPEN = cta_rnn.OPEN
UPDATES = cta_rnn.UPDATES
OPTIONS = {name: cta_rnn.OPTIONS[name] for name in ("heads", "head_dim")}


class Head(nn.Module):
    """Attention over blocks and time and a linear map; gives logits (B, C)."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int, heads: int = 8, head_dim: int = 64) -> None:
        super().__init__()
        self.pool = BlockTimeAttention(dim, heads, head_dim)
        self.out = nn.Linear(heads * head_dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        return self.out(self.pool(self._cut(x, mask), mask))

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention alpha_t (B, heads, 1, L) that each block receives; sums to 1."""
        return self.pool.block_weights(self._cut(x, mask), mask)[:, :, None]

    def _cut(self, x: Tensor, mask: Tensor) -> Tensor:
        """x with zeros for padding, which then weighs nothing whatever it held."""
        return torch.where(mask[:, None, :, None], x, 0.0)

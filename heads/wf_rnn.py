"""Weighted average of blocks, bidirectional GRU, attention over frames (Chen and Zhang 2022, WF-RNN).

The weighted blocks (T, D) go through two bidirectional GRU layers of 256, attention with 8 learned queries of
64 (RNN-MHSA) and Linear C. 2,892,304 parameters for 12 x 512 and 4 classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.heads import cta_rnn
from sercache.nn import RecurrentAttention, weighted_sum
from sercache.readings import NO_CODE, Reading

SOURCE = "Chen and Zhang 2022, CTA-RNN (WF-RNN)"
PRINTED = ("chen2022 table3",)

RECIPE = cta_rnn.RECIPE
SETUP = cta_rnn.SETUP
SETUPS = cta_rnn.other_corpora(SETUP)
READINGS = (
    *cta_rnn.OF_RECURRENT,
    Reading("average of the blocks", '"trainable fully connected layer"', NO_CODE,
            "softmax over a number for each block, equal at first, no bias"),
)  # fmt: skip
SMALL = cta_rnn.SMALL
OPEN = cta_rnn.OPEN
UPDATES = cta_rnn.UPDATES
OPTIONS = cta_rnn.OPTIONS


class Head(nn.Module):
    """Weighted blocks through RNN-MHSA and a linear map; gives logits (B, C)."""

    STACKS = True
    """Recurrent networks run by ``sercache.nn``, which has a rule for a stack."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        hidden: int = 256,
        heads: int = 8,
        head_dim: int = 64,
        dropout_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers)) if n_layers > 1 else None
        self.block = RecurrentAttention(dim, hidden, heads, head_dim, dropout_rate)
        self.out = nn.Linear(heads * head_dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        return self.out(self.block(weighted_sum(x, self.layer_weights(), mask), mask))

    def layer_weights(self) -> Tensor:
        """Share (L,) of each block; they sum to 1."""
        return self.out.weight.new_ones(1) if self.weights is None else self.weights.softmax(0)

"""Blocks side by side as one long vector per frame, GRU, attention (Chen and Zhang 2022, EF-RNN).

Early fusion: the L blocks of a frame make one vector (T, L x D), which goes through two bidirectional GRU
layers of 256, attention with 8 learned queries of 64 (RNN-MHSA) and Linear C. 11,543,044 parameters for 12 x
512 and 4 classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from sercache.heads import cta_rnn
from sercache.nn import RecurrentAttention

SOURCE = "Chen and Zhang 2022, CTA-RNN (EF-RNN)"
PRINTED = ("chen2022 table3",)

RECIPE = cta_rnn.RECIPE
SETUP = cta_rnn.SETUP
SETUPS = cta_rnn.other_corpora(SETUP)
READINGS = cta_rnn.OF_RECURRENT
SMALL = cta_rnn.SMALL
OPEN = cta_rnn.OPEN
UPDATES = cta_rnn.UPDATES
OPTIONS = cta_rnn.OPTIONS


class Head(nn.Module):
    """Stacked blocks through RNN-MHSA and a linear map; gives logits (B, C)."""

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
        self.block = RecurrentAttention(n_layers * dim, hidden, heads, head_dim, dropout_rate)
        self.out = nn.Linear(heads * head_dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        return self.out(self.block(x.transpose(1, 2).flatten(2), mask))

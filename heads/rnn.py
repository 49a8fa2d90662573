"""Bidirectional GRU and attention of learned queries over frames (Chen and Zhang 2022, RNN).

One state (T, D) of any encoder: log-mel energies A, a text encoder's tokens T, a Conformer's block E(i). Two
bidirectional GRU layers of 256, attention with 8 learned queries of 64 (RNN-MHSA), Linear C. 2,228,740
parameters for D = 80, 2,892,292 for 512, 3,678,724 for 1024, with 4 classes.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from sercache.heads import cta_rnn
from sercache.nn import RecurrentAttention, only_state
from sercache.readings import NO_CODE, Reading

SOURCE = "Chen and Zhang 2022, CTA-RNN (RNN)"
PRINTED = ("chen2022 table2",)

ONE_STATE = True

RECIPE = cta_rnn.RECIPE
SETUP = replace(cta_rnn.SETUP, states="6")
SETUPS = cta_rnn.other_corpora(SETUP)
READINGS = (
    *cta_rnn.OF_RECURRENT,
    Reading("A", "80 log-mel energies", NO_CODE, "with the encoder's global mean and variance"),
)
SMALL = cta_rnn.SMALL
OPEN = cta_rnn.OPEN
UPDATES = cta_rnn.UPDATES
OPTIONS = cta_rnn.OPTIONS


class Head(nn.Module):
    """RNN-MHSA and a linear map; gives logits (B, C)."""

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
        only_state(n_layers)
        self.block = RecurrentAttention(dim, hidden, heads, head_dim, dropout_rate)
        self.out = nn.Linear(heads * head_dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, 1, T, D)."""
        return self.out(self.block(x[:, 0], mask))

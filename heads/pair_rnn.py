"""A GRU with attention for each of two inputs, another over both vectors (Chen and Zhang 2022, A+T, A+E, T+E).

Late fusion of two inputs of any length and size: log-mel energies A, a text encoder's tokens T, a block E(i).
Each goes through two bidirectional GRU layers of 256 and attention with 8 learned queries of 64 (RNN-MHSA) of
its own; the two vectors, in the order of the inputs, are a sequence that a further RNN-MHSA reads; Linear C.
8,795,652 parameters for A+T (80 beside 1024), 8,009,220 for A+E (80 beside 512), 9,459,204 for T+E (1024
beside 512), with 4 classes. The set-up is T+E(6), the best pair; ``--beside`` names others.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from sercache.heads import cta_rnn
from sercache.nn import RecurrentAttention, only_state, side_by_side
from sercache.readings import NO_CODE, Reading

SOURCE = "Chen and Zhang 2022, CTA-RNN (A+T, A+E, T+E)"
PRINTED = ("chen2022 table2",)

INPUTS = 2
ONE_STATE = True

RECIPE = cta_rnn.RECIPE
SETUP = replace(cta_rnn.SETUP, states="6", beside=("bert-large-uncased:final:frames",))
SETUPS = cta_rnn.other_corpora(SETUP)
READINGS = (
    *cta_rnn.OF_RECURRENT,
    Reading("two vectors into a further RNN-MHSA", '"concatenated"', NO_CODE, "a sequence of two steps"),
    Reading(
        "T", "recognised words through a BERT of 1024", NO_CODE, "BERT large, uncased, last layer, no marks"
    ),
)
SMALL = cta_rnn.SMALL
OPEN = cta_rnn.OPEN
UPDATES = cta_rnn.UPDATES
OPTIONS = cta_rnn.OPTIONS


class Head(nn.Module):
    """An RNN-MHSA per input, one over their vectors and a linear map; gives logits (B, C)."""

    STACKS = True
    """Recurrent networks run by ``sercache.nn``, which has a rule for a stack."""

    def __init__(
        self,
        n_layers: tuple[int, int],
        dim: tuple[int, int],
        n_outputs: int,
        hidden: int = 256,
        heads: int = 8,
        head_dim: int = 64,
        dropout_rate: float = 0.3,
    ) -> None:
        super().__init__()
        shapes = side_by_side(n_layers, dim, INPUTS)
        for layers, _ in shapes:
            only_state(layers)
        settings = (hidden, heads, head_dim, dropout_rate)
        self.inputs = nn.ModuleList(RecurrentAttention(size, *settings) for _, size in shapes)
        self.fuse = RecurrentAttention(heads * head_dim, *settings)
        self.out = nn.Linear(heads * head_dim, n_outputs)

    def forward(self, x: tuple[Tensor, Tensor], mask: tuple[Tensor, Tensor]) -> Tensor:
        """Logits (B, C) of x (B, 1, T, D) and mask (B, T) of each input."""
        vectors = torch.stack(
            [block(each[:, 0], real) for block, each, real in zip(self.inputs, x, mask, strict=True)], 1
        )
        both = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
        return self.out(self.fuse(vectors, both))

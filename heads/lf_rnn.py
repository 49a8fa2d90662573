"""A GRU with attention for every block, another over their vectors (Chen and Zhang 2022, LF-RNN).

Late fusion: each of the L blocks (T, D) goes through two bidirectional GRU layers of 256 and attention with 8
learned queries of 64 (RNN-MHSA) of its own; the L vectors of 512, in the order of the blocks, are a sequence
that a further RNN-MHSA reads; Linear C. 37,575,172 parameters for 12 x 512 and 4 classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.heads import cta_rnn
from sercache.nn import RecurrentAttention, many_blocks, recurrent_attention_of_each
from sercache.readings import NO_CODE, Reading

SOURCE = "Chen and Zhang 2022, CTA-RNN (LF-RNN)"
PRINTED = ("chen2022 table3",)

RECIPE = cta_rnn.RECIPE
SETUP = cta_rnn.SETUP
SETUPS = cta_rnn.other_corpora(SETUP)
READINGS = (
    *cta_rnn.OF_RECURRENT,
    Reading(
        "vectors of the blocks into a further RNN-MHSA", '"concatenated"', NO_CODE, "a sequence of L steps"
    ),
)
SMALL = cta_rnn.SMALL
OPEN = cta_rnn.OPEN
UPDATES = cta_rnn.UPDATES
OPTIONS = cta_rnn.OPTIONS


class Head(nn.Module):
    """An RNN-MHSA per block, one over their vectors and a linear map; gives logits (B, C)."""

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
        settings = (hidden, heads, head_dim, dropout_rate)
        self.blocks = nn.ModuleList(RecurrentAttention(dim, *settings) for _ in range(n_layers))
        self.fuse = RecurrentAttention(heads * head_dim, *settings)
        self.out = nn.Linear(heads * head_dim, n_outputs)
        self.notes = many_blocks(n_layers, sum(p.numel() for p in self.parameters()))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        vectors = self._vectors(x, mask)
        return self.out(self.fuse(vectors, _all(vectors)))

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention (B, heads, 1, L) that the last RNN-MHSA pays to each block's place; sums to 1."""
        vectors = self._vectors(x, mask)
        return self.fuse.weights(vectors, _all(vectors))[:, :, None]

    def _vectors(self, x: Tensor, mask: Tensor) -> Tensor:
        """One vector per block: (B, L, heads x d)."""
        return recurrent_attention_of_each(list(self.blocks), x, mask)  # type: ignore[arg-type]


def _all(vectors: Tensor) -> Tensor:
    """Mask (B, L) of a sequence without padding."""
    return torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)

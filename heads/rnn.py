"""Bidirectional GRU and attention of learned queries over frames (Chen and Zhang 2022, RNN).

One state (T, D) of any encoder: log-mel energies A, a text encoder's tokens T, a Conformer's block E(i). Two
bidirectional GRU layers of 256, attention with 8 learned queries of 64 (RNN-MHSA), Linear C. 2,228,740
parameters for D = 80, 2,892,292 for 512, 3,678,724 for 1024, with 4 classes.

Open in the paper, and how it is read here: 256 units in each direction; dropout 0.3 after
each GRU layer; no biases in the attention, padding masked; one linear map as classifier; unweighted
cross-entropy; the epoch with the highest dev UA; batches of like length within windows of 8.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from sercache.nn import RecurrentAttention, only_state
from sercache.recipe import Recipe, Setup

SOURCE = "Chen and Zhang 2022, CTA-RNN (RNN)"

ONE_STATE = True

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-3,
    schedule="halve-on-plateau",
    plateau_patience=10,
    batch_size=32,
    bucket=8,
    max_epochs=50,
    select="dev-ua",
)

SETUP = Setup(
    encoder="wenet-gigaspeech",
    dataset="iemocap",
    protocol="leave-one-speaker-out",
    dev="other-speaker",
    states="6",
    frames=True,
)
SMALL = {"hidden": 12, "heads": 2, "head_dim": 6, "dropout_rate": 0.1}
OPEN = ("bucket", "max_frames", "select")
UPDATES = 6_900  # at most: eight speakers of ten of 5,531 turns, 50 epochs

SETUPS = {"msp-improv": replace(SETUP, dataset="msp-improv")}
"""The paper's second corpus: 12 speakers."""


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

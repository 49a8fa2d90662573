"""Linear probe: softmax-weighted sum of pooled states, one linear map. A baseline, no paper.

The layer weights start equal and are learned; ``--states 6`` probes one state. The recipe is ours: Adam
1e-3, batches of 32, the epoch with the lowest dev loss, at most 100.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.nn import linear, weighted_mean
from sercache.recipe import Recipe, Setup

SOURCE = "baseline of sercache: linear probe on pooled states"
BASELINE = True

RECIPE = Recipe(optimiser="adam", lr=1e-3, batch_size=32, max_epochs=100, select="dev-loss", patience=10)

SETUP = Setup(
    encoder="wavlm-large",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="last",
    states="blocks",
    frames=False,
    normalise="global",
)


class Head(nn.Module):
    """Weighted states through one linear map; gives logits (B, C)."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers)) if n_layers > 1 else None
        self.out = nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        return linear(weighted_mean(x, self.layer_weights(), mask), self.out.weight, self.out.bias)

    def layer_weights(self) -> Tensor:
        """Share (L,) of each layer; they sum to 1."""
        return self.out.weight.new_ones(1) if self.weights is None else self.weights.softmax(0)

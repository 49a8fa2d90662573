"""Two-layer perceptron on the softmax-weighted sum of pooled states. A baseline, no paper.

Linear 256, ReLU, dropout 0.2, linear. The recipe is that of ``linear``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.nn import dropout, linear, weighted_mean
from sercache.recipe import Recipe, Setup

SOURCE = "baseline of sercache: perceptron on pooled states"
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
OPTIONS = {
    "hidden": "units of the hidden layer",
    "dropout_rate": "share that dropout leaves out, after the hidden layer",
}


class Head(nn.Module):
    """Weighted states through one hidden layer; gives logits (B, C)."""

    def __init__(
        self, n_layers: int, dim: int, n_outputs: int, hidden: int = 256, dropout_rate: float = 0.2
    ) -> None:
        super().__init__()
        self.dropout_rate = dropout_rate
        self.weights = nn.Parameter(torch.zeros(n_layers)) if n_layers > 1 else None
        self.hidden = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        pooled = weighted_mean(x, self.layer_weights(), mask)
        hidden = F.relu(linear(pooled, self.hidden.weight, self.hidden.bias))
        return self.out(dropout(hidden, self.dropout_rate, self.training))

    def layer_weights(self) -> Tensor:
        """Share (L,) of each layer; they sum to 1."""
        return self.hidden.weight.new_ones(1) if self.weights is None else self.weights.softmax(0)

"""Mean and deviation over time of weighted states, one hidden layer. A baseline of mine, no paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.nn import masked_mean
from sercache.recipe import Recipe, Setup

SOURCE = "mine: mean and deviation over time of weighted states"
BASELINE = True

RECIPE = Recipe(lr=1e-3, batch_size=16, max_epochs=20, select="dev-loss", patience=5)
SETUP = Setup(
    encoder="demo-wavlm",
    dataset="demo",
    protocol="leave-one-session-out",
    dev="next",
    states="blocks",
    frames=True,
    normalise="global",
)
OPTIONS = {"hidden": "units of the hidden layer"}


class Head(nn.Module):
    """Statistics of the weighted states through a hidden layer; gives logits (B, C)."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int, hidden: int = 64) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers)) if n_layers > 1 else None
        self.hide = nn.Linear(2 * dim, hidden)
        self.out = nn.Linear(hidden, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        states = torch.einsum("bltd,l->btd", x, self.layer_weights())[:, None]  # (B, 1, T, D)
        mean = masked_mean(states, mask)
        spread = masked_mean((states - mean[:, :, None]) ** 2, mask)
        statistics = torch.cat([mean, (spread + 1e-6).sqrt()], -1).flatten(1)  # (B, 2 D)
        return self.out(F.gelu(self.hide(statistics)))

    def layer_weights(self) -> Tensor:
        """Share (L,) of each state; they sum to 1."""
        return self.out.weight.new_ones(1) if self.weights is None else self.weights.softmax(0)

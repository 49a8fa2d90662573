"""SUPERB's emotion head: weighted sum of states, Linear 256, mean over time, Linear C (Yang et al. 2021).

As in S3PRL (downstream ``emotion``, commit ec8064b): layer weights are a softmax over L zeros; projection
and classifier have no activation between them; the mean is over real frames only; PyTorch's default
initialisation. Nothing before the mean is non-linear, so the mean over time commutes with all of it:
pooled states give the same logits as full sequences, and are the default here.

270 epochs of about 111 updates are S3PRL's 30,000 on IEMOCAP. Where training and states differ from there is in
``READINGS``; ``--states input+1-23+final`` gives its states of pre-LN (large) encoders.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.nn import linear, product, weighted_mean
from sercache.readings import NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Yang et al. 2021, SUPERB: Speech processing Universal PERformance Benchmark (emotion recognition)"

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-4,
    clip_norm=1.0,
    batch_size=32,
    max_epochs=270,
    select="dev-wa",
)

SETUP = Setup(
    encoder="hubert-base",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="random20",
    states="input+blocks",
    frames=False,
)

CODE = "github.com/s3prl/s3prl at ec8064b, downstream emotion"
READINGS = (
    Reading("batch", NOT_SAID, "8 batches of 4 accumulated", "one of 32: the same gradient"),
    Reading("end of an epoch", NOT_SAID, "the rest is carried over", "a smaller update"),
    Reading("dev part", NOT_SAID, "a random fifth of the training sessions, same speakers", "a fifth of each class"),
    Reading("looks at dev", NOT_SAID, "every 1,000 of 30,000 updates", "after each of 270 epochs"),
    Reading("last state of pre-LN encoders", NOT_SAID, "after the closing LayerNorm", "raw", True,
            alone="--states input+1-23+final takes it"),
)  # fmt: skip
UPDATES = 30_000
OPTIONS = {"hidden": "dimensions that states are projected to"}


class Head(nn.Module):
    """Softmax-weighted states through two linear maps; gives logits (B, C)."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int, hidden: int = 256) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers)) if n_layers > 1 else None
        self.projection = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        # The mean comes first: linear maps commute with it, and it is the smaller product by a factor T. Both
        # maps together are one of C rows: C x D products per utterance in place of (D + C) x hidden.
        weight = product(self.out.weight, self.projection.weight)
        bias = self.out.weight @ self.projection.bias + self.out.bias
        return linear(weighted_mean(x, self.layer_weights(), mask), weight, bias)

    def layer_weights(self) -> Tensor:
        """Share (L,) of each layer; they sum to 1."""
        return self.out.weight.new_ones(1) if self.weights is None else self.weights.softmax(0)

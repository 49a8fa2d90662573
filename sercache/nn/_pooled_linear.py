"""One linear map of all states' means, which scikit-learn fills: what ``logistic`` and ``svm`` share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.nn._masked import masked_mean

_NEVER = -1e4
"""Logit of a class that the training part lacks."""


class PooledLinear(nn.Module):
    """Means of the states, concatenated (L x D) and standardised, through a linear map; gives (B, C)."""

    standardises = "global"
    """``solve`` takes mean and deviation over the training part, as ``normalise=global`` does before a head."""

    shift: Tensor
    scale: Tensor

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(n_layers * dim, n_outputs)
        self.register_buffer("shift", torch.zeros(n_layers * dim))
        self.register_buffer("scale", torch.ones(n_layers * dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        return self.out((masked_mean(x, mask).flatten(1) - self.shift) * self.scale)

    @torch.no_grad()
    def fill(self, estimator: Any, pooled: Tensor, labels: Tensor) -> None:
        """Standardise means (U, L, D), fit a linear classifier of scikit-learn on them, take its map over."""
        flat = pooled.flatten(1).double()
        spread = flat.std(0, correction=0)
        # A feature that never varies tells nothing; dividing by its rounding would blow it up.
        scale = torch.where(spread > 1e-6 * flat.abs().amax(0), 1 / spread.clamp_min(1e-30), 0.0)
        shift = flat.mean(0)
        estimator.fit(((flat - shift) * scale).numpy(), labels.numpy())
        weight = estimator.coef_
        bias = np.resize(estimator.intercept_, len(weight))
        if len(weight) == 1:  # two classes: scikit-learn keeps the difference only
            weight, bias = np.stack([-weight[0], weight[0]]) / 2, np.array([-bias[0], bias[0]]) / 2
        self.shift.copy_(shift)
        self.scale.copy_(scale)
        self.out.weight.zero_()
        self.out.bias.fill_(_NEVER)
        self.out.weight[estimator.classes_] = torch.from_numpy(weight).to(self.out.weight)
        self.out.bias[estimator.classes_] = torch.from_numpy(bias).to(self.out.bias)

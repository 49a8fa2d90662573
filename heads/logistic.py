"""Baseline: logistic regression on the states' means, by scikit-learn.

The means of the chosen states are concatenated (L x D; choose one with ``--states 12``), standardised by the
training part, and given to multinomial logistic regression with an L2 penalty (``c`` is scikit-learn's C, one
over its strength; it is fixed, for nothing may be tuned on a test part). There are no epochs: the recipe is
not used. The fitted map is kept as an ordinary linear layer.
"""

from __future__ import annotations

from torch import Tensor

from sercache.nn import PooledLinear
from sercache.recipe import Recipe, Setup

SOURCE = "baseline of sercache: logistic regression (scikit-learn) on pooled states"
BASELINE = True

RECIPE = Recipe(select="last-epoch")

SETUP = Setup(
    encoder="wavlm-large",
    dataset="iemocap",
    protocol="leave-one-session-out",
    states="blocks",
    frames=False,
)
OPTIONS = {
    "c": "inverse strength of the L2 penalty, scikit-learn's C",
    "balanced": "whether rare classes count as much as frequent ones",
}


class Head(PooledLinear):
    """Logistic regression; gives logits (B, C)."""

    def __init__(
        self, n_layers: int, dim: int, n_outputs: int, c: float = 0.01, balanced: bool = False
    ) -> None:
        super().__init__(n_layers, dim, n_outputs)
        self.c, self.balanced = c, balanced

    def solve(self, pooled: Tensor, labels: Tensor, seed: int) -> None:
        """Take the map that scikit-learn finds for means (U, L, D) and classes (U,)."""
        from sklearn.linear_model import LogisticRegression

        weights = "balanced" if self.balanced else None
        self.fill(LogisticRegression(C=self.c, max_iter=1000, class_weight=weights), pooled, labels)

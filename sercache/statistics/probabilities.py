"""What predicted probabilities are worth: calibration, temperature, and what is gained by leaving out the unsure.

C classes, U utterances, all of one set of predictions that are scored together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sercache.record import Prediction

N_BINS = 15
"""Of equal width from 0 to 1, by the probability of the predicted class. Source: Guo et al., ICML 2017."""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the utterances that are answered, the surest ones."""
_LEAST = 1e-12
"""Probabilities are not taken as less: their logarithm is needed."""
_LOWEST, _HIGHEST = -3.0, 3.0
"""Natural logarithm of the temperatures that are tried: 1/20 to 20. A dev part of which all is right has no least log
loss: it ends at the lowest."""


@dataclass(frozen=True, eq=False)
class Said:
    """Truth (U,) and probabilities (U, C) of some predictions."""

    truth: np.ndarray
    chances: np.ndarray

    @property
    def sure(self) -> np.ndarray:
        """Probability (U,) of the predicted class."""
        found: np.ndarray = self.chances.max(1)
        return found

    @property
    def right(self) -> np.ndarray:
        """Whether each is right (U,), as 0.0 or 1.0."""
        return (self.chances.argmax(1) == self.truth).astype(float)

    @property
    def places(self) -> np.ndarray:
        """Bin (U,) of each, from 0; a bin holds its upper end."""
        return np.clip(np.ceil(self.sure * N_BINS).astype(int) - 1, 0, N_BINS - 1)

    def at(self, temperature: float) -> Said:
        """With logits divided by ``temperature``; of merged clips the logarithm of their mean stands for the logits."""
        logits = np.log(np.maximum(self.chances, _LEAST)) / temperature
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return Said(self.truth, powers / powers.sum(1, keepdims=True))


def said(predictions: Sequence[Prediction]) -> Said:
    """Truth and probabilities of predicted classes."""
    return Said(
        np.array([p.true for p in predictions]), np.array([p.probabilities for p in predictions], float)
    )


def brier(found: Said) -> np.ndarray:
    """Squared distance (U,) of the probabilities from the truth, summed over classes: 0 to 2. Source: Brier 1950."""
    truth = np.eye(found.chances.shape[1])[found.truth]
    gaps: np.ndarray = ((found.chances - truth) ** 2).sum(1)
    return gaps


def log_loss(found: Said) -> np.ndarray:
    """Negative natural logarithm (U,) of the probability of the true class."""
    own: np.ndarray = -np.log(np.maximum(found.chances[np.arange(len(found.truth)), found.truth], _LEAST))
    return own


def bins(found: Said, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each bin (N_BINS,) the utterances, their mean confidence and the share that is right; NaN where it is empty.

    ``weights`` say how often each utterance counts.
    """
    own = np.ones(len(found.truth)) if weights is None else weights
    n, sure, right = (
        np.bincount(found.places, weights=own * values, minlength=N_BINS)
        for values in (np.ones(len(own)), found.sure, found.right)
    )
    with np.errstate(invalid="ignore"):
        return n, np.where(n > 0, sure / n, np.nan), np.where(n > 0, right / n, np.nan)


def ece(found: Said, weights: np.ndarray | None = None) -> float:
    """Expected calibration error: mean over utterances of the distance of their bin's confidence and accuracy.

    Of the predicted class, in N_BINS bins of equal width. It is above 0 for a perfect head too, the more the fewer
    utterances there are.
    """
    n, sure, right = bins(found, weights)
    return float(np.nansum(n * np.abs(sure - right)) / n.sum())


def temperature(found: Said) -> float:
    """The temperature whose probabilities have the least log loss, above 1 for a head that is too sure of itself.

    To be fitted on a dev part, never on what is tested. Source: Guo et al., ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log: float(log_loss(found.at(float(np.exp(log)))).mean()),
        bounds=(_LOWEST, _HIGHEST),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(best.x))


def is_at_end(fitted: float) -> bool:
    """Whether a temperature is the lowest or highest that is tried: the dev part had no best one."""
    return not _LOWEST + 1e-3 < float(np.log(fitted)) < _HIGHEST - 1e-3


def surest(found: Said) -> np.ndarray:
    """Places (U,) of the utterances from the surest to the least sure one, equally sure ones as they come."""
    return np.argsort(-found.sure, kind="stable")


def aurc(found: Said) -> float:
    """Area under the risk-coverage curve: mean over all coverages of the share of wrong ones among the answered.

    Source: Geifman and El-Yaniv, NeurIPS 2017.
    """
    wrong = 1 - found.right[surest(found)]
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())

"""Scores of predictions: truth and predicted are (U,) class indices, or (U,) values for correlations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]


def confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int | None = None) -> np.ndarray:
    """Counts (C, C): rows are true classes, columns predicted ones.

    C is ``n_classes``, or one more than the largest class seen.
    """
    truth, predicted = _pair(truth, predicted)
    if n_classes is None:
        n_classes = int(max(truth.max(initial=-1), predicted.max(initial=-1))) + 1
    cells = np.bincount(truth * n_classes + predicted, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def wa(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Weighted accuracy: the share of utterances that are right. NaN without utterances."""
    return float(wa_of(confusion(truth, predicted)))


def ua(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted average recall: mean recall over the classes that the truth holds. NaN without any."""
    return float(ua_of(confusion(truth, predicted)))


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that are true or predicted at least once. NaN without any."""
    return float(macro_f1_of(confusion(truth, predicted)))


def recalls(truth: np.ndarray, predicted: np.ndarray, n_classes: int | None = None) -> np.ndarray:
    """Recall (C,) of each class; NaN for classes that the truth does not hold."""
    counts = confusion(truth, predicted, n_classes)
    return _shares(_hits(counts), counts.sum(-1))


def wa_of(counts: np.ndarray) -> np.ndarray:
    """``wa`` (...) of confusion counts (..., C, C)."""
    return _shares(_hits(counts).sum(-1), counts.sum((-2, -1)))


def ua_of(counts: np.ndarray) -> np.ndarray:
    """``ua`` (...) of confusion counts (..., C, C)."""
    return _mean_of_held(_shares(_hits(counts), counts.sum(-1)))


def macro_f1_of(counts: np.ndarray) -> np.ndarray:
    """``macro_f1`` (...) of confusion counts (..., C, C)."""
    return _mean_of_held(_shares(2 * _hits(counts), counts.sum(-2) + counts.sum(-1)))


FEWEST_UNITS = 5
"""Units that an interval needs. Of two units the draws are the two units' own scores and their mean, and an
interval of them is the two scores; of n units a percentile interval lacks (n - 1) / n of the variance."""


def bootstrap(
    measure: Callable[[np.ndarray], np.ndarray],
    n_units: int,
    *,
    n_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap intervals (low, high), each (M,), of M numbers; units are drawn with replacement.

    ``measure`` gives the numbers (M,) of a draw, of which it is told how often it holds each unit (n_units,).
    Units are what others would be met instead of: speakers, not their utterances, which are alike. A
    draw for which a number is NaN does not count for that number. Raises ValueError below FEWEST_UNITS.
    """
    if n_units < FEWEST_UNITS:
        raise ValueError(f"an interval needs {FEWEST_UNITS} units, got {n_units}")
    draws = np.random.default_rng(seed).integers(n_units, size=(n_draws, n_units))
    values = np.array([measure(np.bincount(draw, minlength=n_units)) for draw in draws])
    ends = np.full((2, values.shape[1]), np.nan)
    told = ~np.isnan(values).all(0)
    ends[:, told] = np.nanpercentile(values[:, told], [50 * (1 - level), 50 * (1 + level)], axis=0)
    return ends[0], ends[1]


def spearman(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rho: Pearson correlation of average ranks. NaN where one side is constant."""
    return pearson(_ranks(np.asarray(truth)), _ranks(np.asarray(predicted)))


def pearson(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation. NaN where one side is constant."""
    x, y = _centred(truth), _centred(predicted)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else float("nan")


def ccc(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Concordance correlation coefficient (Lin 1989), population moments. NaN where both are one constant."""
    x, y = _centred(truth), _centred(predicted)
    gap = float(np.mean(np.asarray(truth, float)) - np.mean(np.asarray(predicted, float)))
    scale = float(x @ x + y @ y) + len(x) * gap**2
    return 2 * float(x @ y) / scale if scale > 0 else float("nan")


def ppmi(
    items: Sequence[str], predicted: Sequence[int] | np.ndarray, n_classes: int, *, weighted: bool = False
) -> np.ndarray:
    """Positive pointwise mutual information (C,) in bits of lexical items and predicted classes.

    max(log2(p(x, y) / (p(x) p(y))), 0) by relative frequencies of pairs; for each class the mean over the
    items that go with it at least once, each the same or, ``weighted``, by p(x|y). NaN for a class that is
    never predicted. Source: Ioannides et al. 2023, section 4 (the mean over items is our reading).
    """
    classes = np.asarray(predicted, np.int64)
    _, place = np.unique(np.asarray(items, dtype=object).astype(str), return_inverse=True)
    joint = np.zeros((int(place.max(initial=-1)) + 1, n_classes))
    np.add.at(joint, (place, classes), 1)
    seen = joint > 0
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True) / max(joint.sum(), 1)
    bits = np.maximum(np.log2(joint / np.where(seen, expected, 1), where=seen, out=np.zeros_like(joint)), 0)
    weights = joint if weighted else seen
    total = weights.sum(0)
    return np.divide((weights * bits).sum(0), total, where=total > 0, out=np.full(n_classes, np.nan))


def mse(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean squared error. NaN without utterances."""
    gap = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    return float(np.mean(gap**2)) if gap.size else float("nan")


def _pair(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape} and predicted {predicted.shape} must both be (U,)")
    return truth, predicted


def _hits(counts: np.ndarray) -> np.ndarray:
    """Diagonals (..., C) of counts (..., C, C)."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part`` of ``whole``; NaN where there is nothing."""
    out = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=out, where=np.asarray(whole) > 0)


def _mean_of_held(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where all is."""
    held = ~np.isnan(values)
    return _shares(np.where(held, values, 0).sum(-1), held.sum(-1))


def _centred(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean() if np.ptp(values) > 0 else np.zeros_like(values)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (U,) from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]

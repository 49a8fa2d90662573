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
    truth, predicted = _pair(truth, predicted)
    return float((truth == predicted).mean()) if truth.size else float("nan")


def recalls(truth: np.ndarray, predicted: np.ndarray, n_classes: int | None = None) -> np.ndarray:
    """Recall (C,) of each class; NaN for classes that the truth does not hold."""
    counts = confusion(truth, predicted, n_classes)
    support = counts.sum(1)
    return np.divide(counts.diagonal(), support, out=np.full(len(counts), np.nan), where=support > 0)


def ua(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Unweighted average recall: mean recall over the classes that the truth holds. NaN without any."""
    found = recalls(truth, predicted)
    found = found[~np.isnan(found)]
    return float(found.mean()) if found.size else float("nan")


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that are true or predicted at least once. NaN without any."""
    counts = confusion(truth, predicted)
    either = counts.sum(0) + counts.sum(1)
    f1 = 2 * counts.diagonal()[either > 0] / either[either > 0]
    return float(f1.mean()) if f1.size else float("nan")


def bootstrap(
    metric: Metric,
    truth: np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str] | np.ndarray,
    *,
    n_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of ``metric``, whole speakers drawn with replacement.

    Utterances of one speaker are alike, so drawing utterances would make the interval too narrow. With
    one speaker nothing can be said: (NaN, NaN).
    """
    low, high = bootstrap_many(
        lambda *pair: np.array(metric(*pair)),
        truth,
        predicted,
        speakers,
        n_draws=n_draws,
        level=level,
        seed=seed,
    )
    return float(low), float(high)


def bootstrap_many(
    metric: Callable[[np.ndarray, np.ndarray], np.ndarray],
    truth: np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str] | np.ndarray,
    *,
    n_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """As ``bootstrap``, for a metric that gives several numbers of the same draw: arrays (low, high).

    Rows of ``truth`` and ``predicted`` are utterances; they may have columns.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    _, owner = np.unique(np.asarray(speakers), return_inverse=True)
    if len(owner) != len(truth):
        raise ValueError(f"{len(owner)} speakers for {len(truth)} utterances")
    places = [np.flatnonzero(owner == k) for k in range(int(owner.max(initial=-1)) + 1)]
    if len(places) < 2:
        return np.array(np.nan), np.array(np.nan)
    draws = np.random.default_rng(seed).integers(len(places), size=(n_draws, len(places)))
    values = []
    for draw in draws:
        rows = np.concatenate([places[speaker] for speaker in draw])
        values.append(metric(truth[rows], predicted[rows]))
    low, high = np.nanpercentile(values, [50 * (1 - level), 50 * (1 + level)], axis=0)
    return low, high


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


def _centred(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean() if np.ptp(values) > 0 else np.zeros_like(values)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (U,) from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]

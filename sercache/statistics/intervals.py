"""How far other speakers, or other folds, could move a score: bootstrap intervals, each of one estimand.

The units are what was sampled from many: speakers, or whole folds where the number is a mean over folds. C classes
or targets, U utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from sercache import metrics
from sercache.record import Classes, Interval, Prediction, Target

OF_NUMBERS: dict[str, metrics.Metric] = {"rho": metrics.spearman, "ccc": metrics.ccc, "mse": metrics.mse}

_OF_COUNTS = {"wa": metrics.wa_of, "ua": metrics.ua_of, "macro_f1": metrics.macro_f1_of}

Groups = Sequence[Sequence[Prediction]]
"""Predictions that are scored together; the number is the mean over groups."""
_Measure = Callable[[np.ndarray], np.ndarray]
"""Numbers (M,) of a draw that holds each unit so many times (n_units,)."""


def grouped(predictions: Sequence[Prediction], by: Callable[[Prediction], Hashable]) -> Groups:
    """Predictions by what ``by`` says of each, in the order in which they come."""
    found: dict[Hashable, list[Prediction]] = {}
    for each in predictions:
        found.setdefault(by(each), []).append(each)
    return list(found.values())


def over_units(groups: Groups, target: Target) -> dict[str, Interval]:
    """Of every metric, as the mean over groups of its score: speakers are drawn, with all that was said of each.

    An utterance whose speaker is not known is a unit of its own.
    """
    names, units = _units(groups)
    keys_, measure = _of(groups, names, target)
    return _intervals(keys_, measure, len(names), units)


def of_differences(
    systems: Sequence[Groups], places: Sequence[tuple[int, int]], target: Target, metric: str
) -> list[Interval]:
    """Of the first less the second of some pairs of systems, by one metric: each draw holds the same speakers for all.

    ``systems`` are what each said, ``places`` which two make a pair.
    """
    names, units = _units([group for groups in systems for group in groups])
    measures = [_of(groups, names, target) for groups in systems]
    place = measures[0][0].index(metric)

    def differences(times: np.ndarray) -> np.ndarray:
        scores = np.array([measure(times)[place] for _, measure in measures])
        return np.array([scores[a] - scores[b] for a, b in places])

    told = [f"{a} {b}" for a, b in places]
    return list(_intervals(told, differences, len(names), units).values())


def over_units_by(
    groups: Groups, names: Sequence[str], measure: Callable[[int, np.ndarray], Sequence[float]]
) -> dict[str, Interval]:
    """Of any numbers, as their mean over groups: speakers are drawn, with all that was said of each.

    ``measure`` gives the numbers ``names`` of a group by its place, for how often each of its predictions counts (U,).
    """
    units, called = _units(groups)
    place = {name: k for k, name in enumerate(units)}
    owners = [np.array([place[_unit(each)] for each in group]) for group in groups]

    def means(times: np.ndarray) -> np.ndarray:
        found = [measure(k, times[owner].astype(float)) for k, owner in enumerate(owners)]
        return np.mean(found, axis=0)

    return _intervals(names, means, len(units), called)


def over_folds(
    means: Mapping[str, Sequence[float]], predictions: Sequence[Prediction], target: Target
) -> dict[str, Interval]:
    """Of every metric, as the mean over folds of ``means``, one for each fold.

    Folds are drawn where each tests speakers of its own; speakers where each fold tests all of them, as models that
    are tested on another corpus do. Empty where neither is so, or there is a single fold.
    """
    speakers = [{each.speaker for each in own} for own in grouped(predictions, lambda each: each.fold)]
    everyone = set().union(*speakers)
    if len(speakers) < 2 or "" in everyone:
        return {}
    if sum(map(len, speakers)) == len(everyone):
        values = np.array(list(means.values()))
        return _intervals(list(means), lambda times: values @ times / times.sum(), len(speakers), "folds")
    if all(own == everyone for own in speakers):
        return over_units(grouped(predictions, lambda each: (each.fold, each.seed)), target)
    return {}


def _units(groups: Groups) -> tuple[list[tuple[str, str]], str]:
    """What is drawn, in order, and what that is called."""
    names = sorted({_unit(each) for group in groups for each in group})
    known = {speaker != "" for speaker, _ in names}
    if len(known) == 2:
        return names, "speakers and utterances"
    return names, "speakers" if known == {True} else "utterances"


def _of(groups: Groups, names: Sequence[tuple[str, str]], target: Target) -> tuple[list[str], _Measure]:
    """Names of all metrics, and their means over groups for a draw of the units ``names``."""
    place = {name: k for k, name in enumerate(names)}
    owners = [np.array([place[_unit(each)] for each in group]) for group in groups]
    return (_classes if isinstance(target, Classes) else _numbers)(groups, owners, target)


def _unit(each: Prediction) -> tuple[str, str]:
    return (each.speaker, "") if each.speaker else ("", each.id)


def _intervals(names: Sequence[str], measure: _Measure, n_units: int, units: str) -> dict[str, Interval]:
    if n_units < metrics.FEWEST_UNITS:
        return dict.fromkeys(names, Interval(None, None, n_units, units))
    found = np.stack(metrics.bootstrap(measure, n_units), axis=1)
    ends = [(float(a), float(b)) if np.isfinite((a, b)).all() else (None, None) for a, b in found]
    return {name: Interval(low, high, n_units, units) for name, (low, high) in zip(names, ends, strict=True)}


def _classes(groups: Groups, owners: Sequence[np.ndarray], target: Target) -> tuple[list[str], _Measure]:
    """Names of the metrics of classes, and their means over groups.

    A draw that lacks a class has no UA and no macro F1: over fewer classes they are other quantities.
    """
    pairs = [arrays(group, target) for group in groups]
    n = 1 + int(max(values.max() for pair in pairs for values in pair))
    cells = [(k * n + truth) * n + predicted for k, (truth, predicted) in enumerate(pairs)]
    cell, owner, shape = np.concatenate(cells), np.concatenate(owners), (len(groups), n, n)

    def counts_of(times: np.ndarray) -> np.ndarray:
        return np.bincount(cell, weights=times[owner], minlength=len(groups) * n * n).reshape(shape)

    held = counts_of(np.ones(owner.max() + 1)).any(-1)

    def measure(times: np.ndarray) -> np.ndarray:
        counts = counts_of(times)
        lacks = (counts.any(-1) < held).any()
        means = [of(counts).mean() for of in _OF_COUNTS.values()]
        return np.array(
            [np.nan if lacks and name != "wa" else mean for name, mean in zip(_OF_COUNTS, means, strict=True)]
        )

    return list(_OF_COUNTS), measure


def _numbers(groups: Groups, owners: Sequence[np.ndarray], target: Target) -> tuple[list[str], _Measure]:
    """Names of the metrics of numbers, over all targets and of each, and their means over groups."""
    pairs = [arrays(group, target) for group in groups]
    measures = [by_target(name) for name in OF_NUMBERS]

    def measure(times: np.ndarray) -> np.ndarray:
        found = []
        for (truth, predicted), owner in zip(pairs, owners, strict=True):
            rows = np.repeat(np.arange(len(owner)), times[owner])
            found.append(np.concatenate([each(truth[rows], predicted[rows]) for each in measures]))
        return np.mean(found, axis=0)

    return [key for name in OF_NUMBERS for key in keys(name, target.names)], measure


def keys(metric: str, targets: Sequence[str]) -> list[str]:
    """A metric over all targets, and of each."""
    return [metric, *(f"{metric}:{name}" for name in targets)]


def by_target(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Mean over targets, then each target: (1 + C,), of truth and predictions (U, C)."""
    metric = OF_NUMBERS[name]

    def each(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        found = [metric(t, p) for t, p in zip(truth.T, predicted.T, strict=True)]
        own = np.nan_to_num(np.array(found), nan=0.0)
        return np.array([own.mean(), *own])

    return each


def arrays(found: Sequence[Prediction], target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Truth and predictions: classes (U,), or numbers (U, C)."""
    kind = np.int64 if isinstance(target, Classes) else np.float64
    return np.array([p.true for p in found], kind), np.array([p.predicted for p in found], kind)

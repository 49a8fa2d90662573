"""From reports to cells: the one number that a paper's table asks of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from sercache import record, states
from sercache.errors import SettingsError
from sercache.evaluation.lexical import lexical
from sercache.papers import TrialScore
from sercache.record import Aggregate, CrossCorpus, Prediction, Report

Words = Callable[[str], Mapping[str, str]]
"""Gives the words that the utterances of a corpus say, by id."""
Value = Callable[[Sequence[Prediction]], float]


def value(score: TrialScore, report: Report, words: Words) -> record.Score | None:
    """The number that ``score`` asks of its trial's report; None where the report has no such result.

    ``words`` is asked for PPMI alone.
    """
    place = _place(report, score.on)
    if place is None:
        return None
    if score.metric == "layer-weight":
        return _layer_share(report, place, score)
    if score.metric == "recall":
        return _over(place.predictions, score.aggregate, _recall(_class(report, score.of)))
    if score.metric == "ppmi":
        said = words(score.on or str(report.corpus["name"]))
        by: Literal["seed", "model"] = "seed" if score.aggregate == "seeds" else "model"
        found = lexical(place.predictions, report.classes, said, by=by)
        return found.overall if score.of is None else found.classes[score.of]
    name = score.metric if score.of is None else f"{score.metric}:{score.of}"
    summary = place.summary.get(name)
    return getattr(summary, score.aggregate) if summary else None


def best(groups: Sequence[Sequence[record.Score]]) -> record.Score:
    """Mean over groups of the best score in each; without a deviation, since the groups are no sample."""
    tops = [max(score.mean for score in group) for group in groups]
    return record.Score(float(np.mean(tops)), None, len(tops))


def _place(report: Report, on: str | None) -> Report | CrossCorpus | None:
    if on is None:
        return report if report.predictions else None
    return next((each for each in report.cross_corpus if each.dataset == on), None)


def _class(report: Report, name: str | None) -> int:
    if name not in report.classes:
        raise SettingsError(f"{report.title} has no class {name!r}, it has: {', '.join(report.classes)}")
    return report.classes.index(name)


def _over(predictions: Sequence[Prediction], aggregate: Aggregate, measure: Value) -> record.Score | None:
    """A measure of predictions by one of the conventions of a Report (see AGGREGATES)."""
    if aggregate == "seeds":
        seeds = sorted({p.seed for p in predictions})
        found = [measure([p for p in predictions if p.seed == seed]) for seed in seeds]
    else:
        folds = dict.fromkeys(p.fold for p in predictions)
        found = [_fold_mean([p for p in predictions if p.fold == fold], measure) for fold in folds]
    held = [each for each in found if np.isfinite(each)]
    return record.score(held) if held else None


def _fold_mean(predictions: Sequence[Prediction], measure: Value) -> float:
    seeds = sorted({p.seed for p in predictions})
    return float(np.mean([measure([p for p in predictions if p.seed == seed]) for seed in seeds]))


def _recall(of: int) -> Value:
    def measure(predictions: Sequence[Prediction]) -> float:
        own = [p.predicted == of for p in predictions if p.true == of]
        return float(np.mean(own)) if own else float("nan")

    return measure


def _layer_share(report: Report, place: Report | CrossCorpus, score: TrialScore) -> record.Score | None:
    """Share of some states, each run's weights divided by their sum."""
    if isinstance(place, CrossCorpus):
        rows = [np.array(row) for row in place.layer_weights]
    else:
        rows = [np.array(run.layer_weights) for run in report.runs if run.layer_weights is not None]
    if len(rows) != len(report.runs) or not rows or score.of is None:
        return None
    names = list(report.features["states"])
    chosen = [names.index(name) for name in states.select(names, score.of)]
    shares = [float(row[chosen].sum() / row.sum()) for row in rows]
    key = [run.seed if score.aggregate == "seeds" else run.fold for run in report.runs]
    groups = dict.fromkeys(key)
    return record.score(
        [float(np.mean([s for s, k in zip(shares, key, strict=True) if k == g])) for g in groups]
    )

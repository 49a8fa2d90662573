"""Trained heads on their own test parts under another condition: noise, a room, a codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sercache.datasets import Corpus
from sercache.evaluation.cross_corpus import HeadOf, normalised, output_of
from sercache.evaluation.parts import Truth, Value, open_part
from sercache.evaluation.scores import scores, summarise
from sercache.machine import free_memory
from sercache.recipe import Setup
from sercache.record import Prediction, Report, Run
from sercache.stores import FeatureStore
from sercache.views import MEMORY_SHARE, Scaling


def under_condition(
    report: Report,
    corpus: Corpus,
    stores: Sequence[FeatureStore],
    setup: Setup,
    head_of: HeadOf,
    scalings: Mapping[str, Sequence[Scaling]],
    *,
    device: str = "cpu",
    progress: Callable[[Run], None] = lambda run: None,
) -> Report:
    """The report of a run as it would be had its test parts been those of ``stores``, one for each input.

    Each head predicts what it was tested on and nothing else; truth and speakers are those of the report, and
    ``scalings`` the statistics of each fold's training part where the run normalised globally.
    Raises MissingFeaturesError where a tested utterance has no features.
    """
    tested: dict[tuple[str, int], list[str]] = {}
    for each in report.predictions:
        tested.setdefault((each.fold, each.seed), []).append(each.id)
    truth = {each.id: _value(each, report) for each in report.predictions}
    budget = int(MEMORY_SHARE * free_memory())
    known = Truth(truth, report.targets)
    part = open_part(corpus, stores, setup, report.corpus["task"], known, report.target, budget, None)
    predictions: list[Prediction] = []
    runs: list[Run] = []
    for run in report.runs:
        ids = tested.get((run.fold, run.seed), [])
        if not ids:
            continue
        view = normalised([each.subset(ids) for each in part.inputs], scalings.get(run.fold, ()))
        head = head_of(run.fold, run.seed, view)
        found = output_of(head, view, part, run.fold, run.seed, device).predictions
        predictions += found
        runs.append(replace(run, scores=scores(found, report.target)))
        progress(run)
    return replace(
        report,
        runs=tuple(runs),
        predictions=tuple(predictions),
        summary=summarise(runs, predictions, report.target),
    )


def _value(each: Prediction, report: Report) -> Value:
    """What is true of an utterance, as a part has it."""
    if isinstance(each.true, int):
        return report.classes[each.true]
    return tuple(each.true)

"""Systems that were tested on the same utterances, two by two: differences, their intervals, and which are any.

U utterances, S units (speakers). What is swapped or drawn is always all that was said of a speaker.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sercache import metrics
from sercache.record import Answer, Classes, CrossCorpus, Interval, Prediction, Report, Target
from sercache.statistics.intervals import (
    Groups,
    arrays,
    by_target,
    grouped,
    of_differences,
)
from sercache.statistics.permutation import EXACT_UNITS, LEVEL, N_DRAWS, SignFlip, Statistic, holm, sign_flip

FEW_UNITS, FEW_DRAWS = 10, 999
"""As EXACT_UNITS and N_DRAWS, for metrics that are no sums over speakers: each of their signs is scored anew."""
_SUMS = ("wa", "ua", "mse")
ABROAD = "cross-corpus"
"""What stands for the protocol where all of another corpus is tested on."""


@dataclass(frozen=True, eq=False)
class System:
    """A system with what it said of test utterances."""

    name: str
    material: tuple[str, ...]
    """Corpus with release, task and protocol: systems are compared where these are equal."""
    target: Target
    groups: Groups
    """Predictions that are scored together; a score is the mean over groups."""
    features: Mapping[str, Any] = field(default_factory=dict)
    """That were tested, as in the report; empty where that is not known."""

    @cached_property
    def truth(self) -> dict[str, Answer]:
        """What is true, by id."""
        return {each.id: each.true for group in self.groups for each in group}

    @cached_property
    def partly_said(self) -> list[str]:
        """Ids that are predicted less often than others, as some of the predictions are missing."""
        times = Counter(each.id for group in self.groups for each in group)
        return [id for id, n in times.items() if n < max(times.values())]

    @cached_property
    def speakers(self) -> dict[str, str]:
        """Who talks, by id; empty where that is not known."""
        return {each.id: each.speaker for group in self.groups for each in group}

    @cached_property
    def folds(self) -> dict[str, frozenset[str]]:
        """Fold or folds that test an utterance, by id; empty of another corpus, which all heads predict."""
        if self.material[-1] == ABROAD:
            return {}
        found: dict[str, set[str]] = {}
        for group in self.groups:
            for each in group:
                found.setdefault(each.id, set()).add(each.fold)
        return {id: frozenset(own) for id, own in found.items()}


def system_of(
    report: Report, name: str, there: CrossCorpus | None = None, *, by_fold: bool = False
) -> System:
    """What a report says of its own test parts, or of another corpus, as its scores take it together.

    By seed, or ``by_fold`` for each fold and seed by itself, as a mean over folds, or over models, has it.
    """
    tested = report if there is None else there
    about = tested.corpus
    protocol = str(report.setup["protocol"]) if there is None else ABROAD
    key: Callable[[Prediction], Hashable] = (lambda p: (p.fold, p.seed)) if by_fold else lambda p: p.seed
    corpus = f"{about['name']} {about.get('release') or ''}".rstrip()
    material = corpus, str(about["task"]), protocol
    return System(name, material, report.target, grouped(tested.predictions, key), tested.features)


def unlike(one: System, other: System) -> str:
    """Why two systems cannot be compared, in words; empty where they can."""
    for what, own, others in zip(("corpus", "task", "protocol"), one.material, other.material, strict=True):
        if own != others:
            return f"{what}: {one.name} has {own}, {other.name} {others}"
    if one.target != other.target:
        own, others = (", ".join(each.target.names) for each in (one, other))
        return f"{one.target.kind}: {one.name} has {own}, {other.name} {others}"
    for mine, theirs in ((one, other), (other, one)):
        missing = [id for id in mine.truth if id not in theirs.truth]
        if missing:
            n = f"{len(missing)} of {len(mine.truth)}"
            return f"utterances: {n} of {mine.name} are not in {theirs.name}, first: {missing[0]}"
    for each in (one, other):
        if each.partly_said:
            n = f"{len(each.partly_said)} of {len(each.truth)}"
            return f"utterances: {n} are not predicted by every seed of {each.name}, first: {each.partly_said[0]}"
    facts = (("label", "truth"), ("speaker", "speakers"), ("fold", "folds"))
    for what, name in facts:
        known: Mapping[str, object] = getattr(other, name)
        odd = [id for id, value in getattr(one, name).items() if known[id] != value]
        if odd:
            n = f"{len(odd)} of {len(one.truth)} utterances"
            return f"{what}s: {n} have another {what} in {other.name} than in {one.name}, first: {odd[0]}"
    return ""


@dataclass(frozen=True)
class PairDifference:
    """Two systems by one metric: how far apart, how sure, and whether that is called a difference."""

    first: str
    second: str
    metric: str
    scores: tuple[float, float]
    test: SignFlip | None
    """None where speakers are not known: utterances of one are alike, and a test over them would be too sure."""
    corrected: float | None
    """p by Holm over all pairs of this metric."""
    interval: Interval | None = None
    """95 %, of the difference; None where it was not asked for."""

    @property
    def difference(self) -> float:
        """The first less the second."""
        return self.scores[0] - self.scores[1]

    @property
    def differs(self) -> bool | None:
        """Whether the two are called different; None where that cannot be tested."""
        return None if self.corrected is None else self.corrected < LEVEL


def pairs(systems: Sequence[System], metric: str, *, intervals: bool = True) -> list[PairDifference]:
    """Every two of ``systems`` by a metric, corrected for all of these pairs.

    They must be alike (see ``unlike``). Each difference is of the estimand of their groups, such as the pooled score,
    mean over seeds; its interval draws the same speakers for both.
    """
    target = systems[0].target
    places = list(itertools.combinations(range(len(systems)), 2))
    known = all(systems[0].speakers.values())
    by_speaker = [_BySpeaker(each, metric) for each in systems]
    tests = [by_speaker[a].against(by_speaker[b]) if known else None for a, b in places]
    corrected = holm([test.p for test in tests if test is not None]) if known else [None] * len(places)
    drawn = (
        of_differences([each.groups for each in systems], places, target, metric)
        if intervals
        else [None] * len(places)
    )
    return [
        PairDifference(
            systems[a].name,
            systems[b].name,
            metric,
            (by_speaker[a].score, by_speaker[b].score),
            test,
            p,
            ends,
        )
        for (a, b), test, p, ends in zip(places, tests, corrected, drawn, strict=True)
    ]


def score_of(system: System, metric: str) -> float:
    """The score of a system by a metric, mean over its groups."""
    return _BySpeaker(system, metric).score


class _BySpeaker:
    """A system's predictions, so that those of a speaker can be swapped with another system's."""

    def __init__(self, system: System, metric: str) -> None:
        self.target, self.metric = system.target, metric
        self.names = sorted(set(system.speakers.values()))
        place = {name: k for k, name in enumerate(self.names)}
        self.groups = [sorted(group, key=lambda p: (p.fold, p.id)) for group in system.groups]
        self.folds = [frozenset(p.fold for p in group if system.folds) for group in self.groups]
        self.pairs = [arrays(group, self.target) for group in self.groups]
        self.owners = [np.array([place[p.speaker] for p in group]) for group in self.groups]

    @cached_property
    def score(self) -> float:
        """Mean over groups."""
        return float(np.mean([measure_of(self.metric, self.target)(*pair) for pair in self.pairs]))

    @cached_property
    def shares(self) -> np.ndarray:
        """What each speaker gives to the score (S,), of a metric that is a sum over speakers."""
        total = np.zeros(len(self.names))
        for (truth, predicted), owner in zip(self.pairs, self.owners, strict=True):
            own = _parts(truth, predicted, self.metric) / len(self.pairs)
            total += np.bincount(owner, weights=own, minlength=len(total))
        return total

    def against(self, other: _BySpeaker) -> SignFlip:
        """The test of this one less the other."""
        n = len(self.names)
        if self.metric in _SUMS:
            gaps = self.shares - other.shares
            return sign_flip(lambda signs: signs @ gaps, n, exact_units=EXACT_UNITS, n_draws=N_DRAWS)
        return sign_flip(self.swapping(other), n, exact_units=FEW_UNITS, n_draws=FEW_DRAWS)

    def swapping(self, other: _BySpeaker) -> Statistic:
        """The difference after each swap, scored anew: groups of the two go together as ``_together`` says."""
        measure = measure_of(self.metric, self.target)
        together = [
            (*self.pairs[a], other.pairs[b][1], self.owners[a]) for a, b in _together(self.folds, other.folds)
        ]

        def one(signs: np.ndarray) -> float:
            found = []
            for truth, mine, theirs, owner in together:
                stays = (signs[owner] > 0).reshape((-1,) + (1,) * (mine.ndim - 1))
                here, there = np.where(stays, mine, theirs), np.where(stays, theirs, mine)
                found.append(measure(truth, here) - measure(truth, there))
            return float(np.mean(found))

        return lambda signs: np.array([one(each) for each in signs])


def _together(mine: Sequence[frozenset[str]], theirs: Sequence[frozenset[str]]) -> list[tuple[int, int]]:
    """Places of groups that are swapped with one another: those of the same folds, each as often as any other."""
    found = []
    for folds in dict.fromkeys(mine):
        own = [k for k, each in enumerate(mine) if each == folds]
        others = [k for k, each in enumerate(theirs) if each == folds]
        n = math.lcm(len(own), len(others))
        found += [(own[k % len(own)], others[k % len(others)]) for k in range(n)]
    return found


def measure_of(metric: str, target: Target) -> metrics.Metric:
    """The score of truth and predictions by one metric, ``rho:anger`` among them."""
    if isinstance(target, Classes):
        return {"wa": metrics.wa, "ua": metrics.ua, "macro_f1": metrics.macro_f1}[metric]
    kind, _, name = metric.partition(":")
    place = 1 + target.names.index(name) if name else 0
    each = by_target(kind)
    return lambda truth, predicted: float(each(truth, predicted)[place])


def _parts(truth: np.ndarray, predicted: np.ndarray, metric: str) -> np.ndarray:
    """What each utterance gives (U,) to a metric that is a sum over them."""
    if metric == "mse":
        return ((predicted - truth) ** 2).mean(1) / len(truth)
    hits = (truth == predicted).astype(float)
    if metric == "wa":
        return hits / len(truth)
    counts = np.bincount(truth)
    return hits / counts[truth] / np.count_nonzero(counts)

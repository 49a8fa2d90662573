"""What a run says of single utterances: all its predictions of each together, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sercache.record import Answer, Classes, Prediction, Target

MOST = 1200
"""Utterances that a page lists; of more, the worst half of that many and a sample of the rest."""
_SCORES = 5
"""Classes whose probabilities are shown of an utterance, the most probable first."""


@dataclass(frozen=True)
class UtteranceRow:
    """All that was said of one utterance."""

    id: str
    speaker: str
    folds: tuple[str, ...]
    true: Answer
    said: Answer
    """Of classes the one that all predictions together find most probable; of numbers their mean."""
    n: int
    """Predictions."""
    n_wrong: int
    """Of classes."""
    error: float
    """What it is sorted by: of classes 1 - the mean probability of the true class, of numbers the mean distance."""
    scores: tuple[tuple[str, float], ...]
    """Mean probability of classes, the most probable first; of numbers the predicted ones by target."""

    @property
    def is_wrong(self) -> bool:
        """Whether the predictions together name another class."""
        return self.n_wrong > 0 and self.said != self.true


def utterance_rows(predictions: Sequence[Prediction], target: Target) -> list[UtteranceRow]:
    """One row an utterance, the worst first: by how often it is wrong, then by how far."""
    by_id: dict[str, list[Prediction]] = {}
    for each in predictions:
        by_id.setdefault(each.id, []).append(each)
    rows = [_row(own, target) for own in by_id.values()]
    return sorted(rows, key=lambda row: (-row.n_wrong / row.n, -row.error, row.id))


def listed_rows(rows: Sequence[UtteranceRow], most: int = MOST) -> list[UtteranceRow]:
    """All rows, or of more than ``most`` the worst half of that and a sample of the rest, always the same."""
    if len(rows) <= most:
        return list(rows)
    n_worst = most // 2
    rest = np.random.default_rng(0).choice(np.arange(n_worst, len(rows)), most - n_worst, replace=False)
    return [*rows[:n_worst], *(rows[k] for k in sorted(rest.tolist()))]


def _row(own: Sequence[Prediction], target: Target) -> UtteranceRow:
    first, folds = own[0], tuple(dict.fromkeys(each.fold for each in own))
    if not isinstance(target, Classes):
        said = np.array([each.predicted for each in own], float).mean(0)
        error = float(np.abs(said - np.array(first.true, float)).mean())
        scores = tuple(zip(target.names, said.tolist(), strict=True))
        numbers = tuple(said.tolist())
        return UtteranceRow(first.id, first.speaker, folds, first.true, numbers, len(own), 0, error, scores)
    n_wrong = sum(each.predicted != each.true for each in own)
    chances = _chances(own, len(target.names))
    true = first.true
    assert isinstance(true, int)
    order = np.argsort(-chances, kind="stable")[:_SCORES].tolist()
    scores = tuple((target.names[k], float(chances[k])) for k in order)
    error = float(1 - chances[true])
    return UtteranceRow(
        first.id, first.speaker, folds, true, int(chances.argmax()), len(own), n_wrong, error, scores
    )


def _chances(own: Sequence[Prediction], n_classes: int) -> np.ndarray:
    """(C,) mean probabilities; without these the share of the predictions that name a class."""
    if own[0].probabilities:
        return np.array([each.probabilities for each in own]).mean(0)
    return np.bincount([int(each.predicted) for each in own], minlength=n_classes) / len(own)  # type: ignore[arg-type]

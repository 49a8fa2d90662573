"""Scores: means with their spread, intervals, and what one number is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

METRICS = ("wa", "ua", "macro_f1")
"""Of tasks that give classes."""
NUMBER_METRICS = ("rho", "ccc", "mse")
"""Of tasks that give numbers: Spearman's rho, concordance, mean squared error; each the mean over targets,
and ``rho:<target>`` and so on for one target."""
NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro F1", "rho": "rho", "ccc": "CCC", "mse": "MSE"}

Aggregate = Literal["folds", "seeds"]
"""How one number is made of many: see AGGREGATES."""

AGGREGATES: dict[Aggregate, str] = {
    "folds": "score of each fold (mean over its seeds), then mean ± sample std over folds",
    "seeds": "score of the pooled predictions of all folds for each seed, then mean ± sample std over seeds",
}

HEADLINE: Aggregate = "seeds"
"""The one that a result is told by, unless it is compared with a paper that goes by the other: it counts every
utterance once, and no fold's score is a mean over the classes that its few speakers happen to have."""


@dataclass(frozen=True)
class Score:
    """A mean with its spread."""

    mean: float
    std: float | None
    """Sample standard deviation (n - 1); None for one value."""
    n: int
    """Values that the mean is over: folds or seeds."""


@dataclass(frozen=True)
class Interval:
    """95 % bootstrap interval of one estimand, with the units that were drawn."""

    low: float | None
    """None, as the next, where there are too few units for an interval."""
    high: float | None
    n: int
    """Units."""
    units: str
    """What they are: speakers, folds, utterances."""

    @property
    def counted(self) -> str:
        """The units in words: ``10 speakers``."""
        return counted(self.n, self.units.removesuffix("s"))


@dataclass(frozen=True)
class Summary:
    """One metric by both conventions; they are different quantities, and each has an interval of its own."""

    folds: Score
    """Mean over folds (of seed means): the convention of Ioannides et al."""
    seeds: Score
    """Pooled over folds, mean over seeds: the convention of Pepino et al."""
    folds_interval: Interval | None = None
    """Of the mean over folds; None where folds share some test speakers, so that nothing can be drawn."""
    seeds_interval: Interval | None = None
    """Of the pooled score."""

    def score(self, aggregate: Aggregate) -> Score:
        """The score by one convention."""
        return self.folds if aggregate == "folds" else self.seeds

    def interval(self, aggregate: Aggregate) -> Interval | None:
        """The interval of that score."""
        return self.folds_interval if aggregate == "folds" else self.seeds_interval


def counted(n: int, noun: str) -> str:
    """``1 seed``, ``5 seeds``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def score(values: Sequence[float]) -> Score:
    """Mean and sample standard deviation (n - 1) of some scores."""
    array = np.asarray(values, np.float64)
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Score(float(array.mean()), std, len(array))

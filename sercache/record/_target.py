"""What a task asks of a head: one of some classes, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sercache.record._scores import METRICS, NUMBER_METRICS

Answer = int | tuple[float, ...]
"""What is true, or said, of one utterance: the place of its class among C, or C numbers."""


@dataclass(frozen=True)
class Classes:
    """One of C classes: truth (U,) int64, the place of a class among the names; outputs (U, C), a logit for each."""

    names: tuple[str, ...]
    """C, in the order of the outputs."""
    kind: ClassVar = "classes"
    metrics: ClassVar = METRICS
    main_metric: ClassVar = "ua"
    """That plots show and intervals are printed of."""
    losses: ClassVar = "cross-entropy or focal"

    def shown(self, answer: Answer) -> tuple[str]:
        """The name of a class."""
        assert isinstance(answer, int)
        return (self.names[answer],)


@dataclass(frozen=True)
class Numbers:
    """C numbers, shares among them: truth (U, C) float32; outputs (U, C), a number for each."""

    names: tuple[str, ...]
    """C, in the order of the outputs."""
    kind: ClassVar = "numbers"
    metrics: ClassVar = NUMBER_METRICS
    main_metric: ClassVar = "rho"
    """That plots show and intervals are printed of."""
    losses: ClassVar = "mse or ccc"

    def shown(self, answer: Answer) -> tuple[float, ...]:
        """The numbers."""
        assert isinstance(answer, tuple)
        return answer


Target = Classes | Numbers

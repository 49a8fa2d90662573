"""A number as a paper prints it, beside ours."""

from __future__ import annotations

from typing import Protocol

from sercache.report.record import Score
from sercache.report.render import Cell, Difference, Reference


class Printed(Protocol):
    """A number as a paper prints it."""

    @property
    def mean(self) -> float:
        """As printed, as a share of 1."""

    @property
    def std(self) -> float | None:
        """As printed; None where it is not."""


def compared(ours: Score | None, printed: Printed | None) -> list[Cell]:
    """Printed number, difference and verdict; dashes where something is missing.

    The verdict compares with twice the printed standard deviation, or ours where none is printed.
    """
    if printed is None:
        return [None, None, None]
    reference = Reference(printed.mean, printed.std)
    if ours is None:
        return [reference, None, None]
    difference = ours.mean - printed.mean
    spread = printed.std if printed.std is not None else ours.std
    # A tolerance for sums of decimals: 0.70 against 0.74 ± 0.02 is within.
    verdict = None if spread is None else "yes" if abs(difference) <= 2 * spread + 1e-9 else "no"
    return [reference, Difference(difference), verdict]

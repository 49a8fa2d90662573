"""A number as a paper prints it, beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sercache.record import Score
from sercache.report.render import Cell, Reference, SignedDifference
from sercache.units import listed

_NAMED = 2
"""So many differences are named in a cell; the note has all of them."""


class PrintedNumber(Protocol):
    """A number as a paper prints it."""

    @property
    def mean(self) -> float:
        """As printed, as a share of 1."""

    @property
    def std(self) -> float | None:
        """As printed; None where it is not."""

    @property
    def differs(self) -> Sequence[Differs]:
        """What was done in another way than in the paper's system."""

    @property
    def where(self) -> str:
        """Paper, table, row, column."""


class Differs(Protocol):
    """One thing that was done in another way."""

    @property
    def field(self) -> str:
        """Its name, in a word or two."""

    @property
    def text(self) -> str:
        """In words: ours instead of the paper's."""


def no_verdict(differs: Sequence[Differs]) -> str:
    """What stands in the place of a verdict where another system is printed; empty where it is the same."""
    names = list(dict.fromkeys(each.field.replace("_", " ") for each in differs))
    return f"no verdict: {listed(names, _NAMED)}" if names else ""


def printed_notes(numbers: Iterable[PrintedNumber]) -> list[str]:
    """Where printed numbers are from, and what differs from the systems that they are of."""
    lines: dict[str, None] = {}
    for each in numbers:
        words = "; ".join(other.text for other in each.differs)
        about = f" is of another system, so there is no verdict: {words}" if words else " is of this system"
        lines[f"printed: {each.where}{about}"] = None
    return list(lines)


def compared(ours: Score | None, printed: PrintedNumber | None) -> list[Cell]:
    """Printed number, difference and verdict; dashes where something is missing.

    The verdict compares with twice the printed standard deviation, or ours where none is printed. Where another
    system is printed, what differs stands in its place.
    """
    if printed is None:
        return [None, None, None]
    reference = Reference(printed.mean, printed.std)
    if ours is None:
        return [reference, None, None]
    difference = ours.mean - printed.mean
    spread = printed.std if printed.std is not None else ours.std
    if printed.differs:
        return [reference, SignedDifference(difference), no_verdict(printed.differs)]
    # A tolerance for sums of decimals: 0.70 against 0.74 ± 0.02 is within.
    verdict = None if spread is None else "yes" if abs(difference) <= 2 * spread + 1e-9 else "no"
    return [reference, SignedDifference(difference), verdict]

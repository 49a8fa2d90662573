"""A paper's table with ours beside the printed numbers: cells with difference and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sercache.record import Report, Score, counted
from sercache.report.audio_notes import audio_notes
from sercache.report.notes import class_notes, leak_notes, of_rows, scope_notes
from sercache.report.pairs import BEST
from sercache.report.printed import Differs, no_verdict
from sercache.report.render import Cell, Reference, ReportTable, SignedDifference

WIDE = 2
"""Up to so many columns stand side by side; more are listed, one line for each cell."""


@dataclass(frozen=True)
class Compared:
    """A cell: what is printed and what we got, in the unit of the table."""

    printed: Reference | None = None
    ours: Score | None = None
    differs: Sequence[Differs] = ()
    """What of ours is another system than the printed one; with any there is no verdict."""
    over: str | None = ""
    """What ours is the mean of: fold, seed, utterance, …; None: of nothing, it is a fact."""
    from_best: Cell = None
    """Whether it differs from the best of those on the same utterances, as ``pairs.best_of_groups`` tells."""


@dataclass(frozen=True)
class ComparedRow:
    """A row of the paper's table."""

    name: str
    cells: Mapping[str, Compared]


def comparison(
    title: str,
    columns: Sequence[str],
    rows: Sequence[ComparedRow],
    *,
    unit: str = "",
    digits: int | None = 4,
    notes: Sequence[str] = (),
) -> ReportTable:
    """The paper's table: printed, ours (dash: not run), difference, and whether it is within 2 std.

    Up to WIDE columns stand side by side, more are listed one cell a line. ``notes`` follow those on how the
    verdict is made.
    """
    cells = [cell for row in rows for cell in row.cells.values()]
    names: tuple[str, ...] = _OF_FACTS if cells and all(cell.over is None for cell in cells) else _PARTS
    if any(cell.from_best is not None for cell in cells):
        names = (*_PARTS, BEST)
    if len(columns) <= WIDE:
        heads, body = _side_by_side(columns, rows, names)
    else:
        heads, body = _listed(columns, rows, names)
    about = [_VERDICT] if any(cell.ours and cell.over is not None for cell in cells) else []
    about += _other_systems(rows)
    shown = f"{title} ({unit})" if unit else title
    return ReportTable(shown, tuple(heads), tuple(body), (*about, *notes), digits=digits)


_VERDICT = (
    "within 2 std: |difference| against twice the printed standard deviation, or twice ours where none is "
    "printed, as the verdict says; n: values that ours is the mean of"
)
_PARTS = ("printed", "ours", "difference", "within 2 std", "n")
_OF_FACTS = ("printed", "ours", "difference", "equal")


def _side_by_side(
    columns: Sequence[str], rows: Sequence[ComparedRow], names: Sequence[str]
) -> tuple[list[str], list[tuple[Cell, ...]]]:
    lead = len(columns) > 1
    heads = ["row", *(f"{column} {part}" if lead else part for column in columns for part in names)]
    empty = Compared()
    body = [
        (row.name, *(part for c in columns for part in _parts(row.cells.get(c, empty))[: len(names)]))
        for row in rows
    ]
    return heads, body


def _listed(
    columns: Sequence[str], rows: Sequence[ComparedRow], names: Sequence[str]
) -> tuple[list[str], list[tuple[Cell, ...]]]:
    body = [
        (row.name, column, *_parts(row.cells[column])[: len(names)])
        for row in rows
        for column in columns
        if column in row.cells
    ]
    return ["row", "column", *names], body


def _parts(cell: Compared) -> tuple[Cell, ...]:
    """Printed, ours, difference, verdict, n, mark; dashes where something is missing."""
    said: str | None
    ours, printed = cell.ours, cell.printed
    if ours is None or printed is None:
        return printed, ours, None, None, _n(cell), cell.from_best
    difference = ours.mean - printed.mean
    if cell.over is None:
        said = "yes" if math.isclose(ours.mean, printed.mean) else "no"
        return printed, ours, SignedDifference(difference), said, None, None
    said = no_verdict(cell.differs) or verdict(difference, printed.std, ours.std)
    return printed, ours, SignedDifference(difference), said, _n(cell), cell.from_best


def _n(cell: Compared) -> Cell:
    """Of how many ours is the mean, and of what."""
    if cell.ours is None or cell.over is None:
        return None
    return counted(cell.ours.n, cell.over) if cell.over else cell.ours.n


def _other_systems(rows: Sequence[ComparedRow]) -> list[str]:
    """What differs, a line for each set of differences with the rows that have it."""
    named: dict[str, dict[str, None]] = {}
    for row in rows:
        for cell in row.cells.values():
            if cell.ours is not None and cell.differs:
                told = named.setdefault("; ".join(each.text for each in cell.differs), {})
                if cell.over is not None:  # a fact is equal or not, whatever stands behind it
                    told[row.name] = None
    return [
        f"no verdict for {', '.join(names)}: {words}" if names else words for words, names in named.items()
    ]


def verdict(difference: float, printed: float | None, ours: float | None) -> str | None:
    """``yes (printed std)`` and the like: within twice that deviation or not; None where neither is known."""
    spread, whose = (printed, "printed") if printed is not None else (ours, "our")
    if spread is None:
        return None
    # A tolerance for sums of decimals: 0.70 against 0.74 ± 0.02 is within.
    return f"{'yes' if abs(difference) <= 2 * spread + 1e-9 else 'no'} ({whose} std)"


def run_notes(reports: Sequence[tuple[str, Report]]) -> list[str]:
    """What the numbers rest on: copies of corpora, normalisation, what a run itself has to say; by name."""
    notes: dict[str, None] = {}
    for _, report in reports:
        about = report.corpus
        lines = f": {'; '.join(about['warnings'])}" if about["warnings"] else ""
        notes[f"{about['name']}: {about['n_utterances']} utterances, task {about['task']}{lines}"] = None
    notes |= dict.fromkeys(scope_notes([report for _, report in reports]))
    notes |= dict.fromkeys(of_rows([(name, class_notes(report)) for name, report in reports]))
    notes |= dict.fromkeys(audio_notes([report for _, report in reports]))
    notes |= dict.fromkeys(of_rows([(name, leak_notes(report)) for name, report in reports]))
    for name, report in reports:
        if report.deviations:
            notes[f"{name} differs from the paper: {'; '.join(report.deviations)}"] = None
    return list(notes)

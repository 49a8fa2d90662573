"""A paper's figure with ours beside the printed values: lines, bars, or true against predicted values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sercache.record import Report
from sercache.report.canvas import BLUE, COLOURS, GREY, canvas, legend
from sercache.report.comparison import ComparedRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_MARKERS = "os^D"


def lines(
    title: str,
    columns: Sequence[str],
    rows: Sequence[ComparedRow],
    x: str,
    y: str,
    panels: Sequence[str] = (),
) -> Figure | None:
    """A line for each row over the columns: ours solid with deviations, printed dashed. None without values.

    ``panels``: rows whose names begin so have a panel of their own each, all of them on one scale.
    """
    parts = [(name, [row for row in rows if row.name.startswith(name)]) for name in panels or ("",)]
    shown = [(name, part) for name, part in parts if _any_value(part)]
    if not shown:
        return None
    width = max(6.8, 2.4 + 0.32 * len(columns))
    figure, grid = canvas(title, width=width * len(shown), height=4.6, columns=len(shown))
    for axes, (name, part) in zip(grid, shown, strict=True):
        _lines(axes, columns, {row.name.removeprefix(name).strip(): row for row in part})
        axes.set_title(name, fontsize=9)
        _label(axes, x, y, part)
    for axes in grid[1:]:
        axes.sharey(grid[0])
    for axes in grid:
        axes.autoscale(axis="y")
    legend(figure, grid)
    return figure


def _lines(axes: Axes, columns: Sequence[str], rows: Mapping[str, ComparedRow]) -> None:
    """The lines of one panel, by name: the n-th of every panel looks alike."""
    places = {column: k for k, column in enumerate(columns)}
    for number, (name, row) in enumerate(rows.items()):
        colour = COLOURS[number % len(COLOURS)]
        ours = {places[c]: cell.ours for c, cell in row.cells.items() if cell.ours}
        printed = {places[c]: cell.printed for c, cell in row.cells.items() if cell.printed}
        if ours:
            spread = [score.std or 0.0 for score in ours.values()]
            means = [score.mean for score in ours.values()]
            marker = _MARKERS[number // len(COLOURS) % len(_MARKERS)]  # colours come round again
            axes.errorbar(
                list(ours),
                means,
                spread,
                color=colour,
                marker=marker,
                markersize=4,
                capsize=2,
                label=name,
            )
        if printed:
            means = [each.mean for each in printed.values()]
            axes.plot(
                list(printed), means, color=colour, linestyle="--", linewidth=1, label=f"{name}, printed"
            )
    axes.set_xticks(range(len(columns)), columns, fontsize=8)


def bars(title: str, columns: Sequence[str], rows: Sequence[ComparedRow], x: str, y: str) -> Figure | None:
    """A group of bars for each row, one bar a column: ours filled, printed as an outline. None without values."""
    if not _any_value(rows):
        return None
    figure, [axes] = canvas(title, width=max(6.8, 1.2 * len(rows) + 2), height=4.6)
    width = 0.8 / len(columns)
    for number, column in enumerate(columns):
        colour = COLOURS[number % len(COLOURS)]
        at = np.arange(len(rows)) - 0.4 + width * (number + 0.5)
        cells = [row.cells.get(column) for row in rows]
        ours = [(place, cell.ours) for place, cell in zip(at, cells, strict=True) if cell and cell.ours]
        printed = [
            (place, cell.printed) for place, cell in zip(at, cells, strict=True) if cell and cell.printed
        ]
        if ours:
            spread = [score.std or 0.0 for _, score in ours]
            axes.bar(
                [place for place, _ in ours], [score.mean for _, score in ours], width, color=colour, alpha=0.8,
                yerr=spread if any(spread) else None, capsize=2, label=column,
            )  # fmt: skip
        if printed:
            axes.bar(
                [place for place, _ in printed], [number.mean for _, number in printed], width,
                fill=False, edgecolor=colour, linestyle="--", label=f"{column}, printed",
            )  # fmt: skip
    tilt = max(len(row.name) for row in rows) > 12
    axes.set_xticks(
        range(len(rows)), [row.name for row in rows], rotation=20 if tilt else 0, ha="right" if tilt else "center",
        fontsize=8,
    )  # fmt: skip
    values = [v.mean for row in rows for c in row.cells.values() for v in (c.ours, c.printed) if v]
    if min(values) > 0.5 * max(values):  # high bars of nearly one height say nothing from zero up
        axes.set_ylim(bottom=min(values) - 0.3 * (max(values) - min(values)) - 0.01 * max(values))
        y += "\n(the axis does not begin at 0)"
    _label(axes, x, y, rows)
    legend(figure, axes)
    return figure


def scatter(title: str, panels: Sequence[tuple[str, Report]], x: str, y: str) -> Figure | None:
    """True against predicted values of each report, a panel each, with the line of equality. None without any."""
    shown = [(name, report) for name, report in panels if report.targets and report.predictions]
    if not shown:
        return None
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure, grid = canvas(
        title, width=2.8 * n_columns + 0.4, height=2.8 * n_rows + 0.8, rows=n_rows, columns=n_columns
    )
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    for axes, (name, report) in zip(grid, shown, strict=False):
        true = np.array([p.true for p in report.predictions])[:, 0]
        said = np.array([p.predicted for p in report.predictions])[:, 0]
        axes.scatter(true, said, s=4, alpha=0.3, color=BLUE, linewidths=0)
        ends = [float(min(true.min(), said.min())), float(max(true.max(), said.max()))]
        axes.plot(ends, ends, color="black", linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(x, fontsize=8)
        axes.set_ylabel(y, fontsize=8)
    return figure


def _any_value(rows: Sequence[ComparedRow]) -> bool:
    return any(cell.ours or cell.printed for row in rows for cell in row.cells.values())


def _label(axes: Axes, x: str, y: str, rows: Sequence[ComparedRow]) -> None:
    """Labels and grid; what deviations are of stands under the axis."""
    numbers = sorted(
        {c.ours.n for row in rows for c in row.cells.values() if c.ours and c.ours.std is not None}
    )
    if numbers:
        x += f" (ours: ± sample std of {' or '.join(map(str, numbers))} values)"
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y", color=GREY, alpha=0.2)

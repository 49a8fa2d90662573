"""Plots of what was true against what was predicted: confusion matrices of classes, scatter of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sercache.record import HEADLINE, Prediction, Report
from sercache.report.canvas import BLUE, about, canvas, short, wrapped
from sercache.report.notes import made_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion(report: Report) -> Figure:
    """Share of each true class by prediction, with the counts of all folds and seeds."""
    title = about(report, "confusion matrix")
    return confusion_of(title, report.classes, report.confusion, made_of(report))


def confusion_of(
    title: str, classes: Sequence[str], table: Sequence[Sequence[int]], counted_of: str
) -> Figure:
    """Share of each true class by prediction, with the counts (C, C): rows are true classes.

    ``counted_of`` says what the counts are sums over.
    """
    counts = np.array(table)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(counts)
    if n > _MOST_CLASSES:
        return _unnamed(title, shares, counted_of)
    names = [short(name) for name in classes]
    cell = 0.75 if n <= _FEW_CLASSES else 0.55
    side, room = max(2.6, cell * n), 0.085 * max(map(len, names))
    tilt = n * room > 0.9 * side
    figure, [axes] = canvas(
        title, width=side + 2.4 + room, height=side + (2.0 if tilt else 1.6), is_table=True
    )
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(n):
        for column in range(n):
            share = shares[row, column]
            text = f"{share:.0%}\n{counts[row, column]}" if counts[row].any() else "–"
            ink = "white" if share > 0.6 else "black"
            size = 9 if n <= _FEW_CLASSES else 7
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
    axes.set_xticks(range(n), names, rotation=30 if tilt else 0, ha="right" if tilt else "center")
    axes.set_yticks(range(n), names)
    about_counts = f"predicted class; counts: {counted_of}"
    if not counts.any(1).all():
        about_counts += "; –: no utterance of that class"
    axes.set_xlabel(wrapped(about_counts, side + 1.0, 10))
    axes.set_ylabel("true class")
    figure.colorbar(image, ax=axes, label=_SHARE, fraction=0.046, pad=0.04)
    return figure


_FEW_CLASSES = 6
"""Up to so many classes have wide cells."""
_MOST_CLASSES = 40
"""Of more, cells hold no numbers and classes no names: none could be read."""
_SHARE = "share of the true class"


def _unnamed(title: str, shares: np.ndarray, counted_of: str) -> Figure:
    """Shares of so many classes that neither names nor counts can be read: classes by number."""
    figure, [axes] = canvas(title, width=7.6, height=6.6)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.locator_params(integer=True)
    axes.set_xlabel(wrapped(f"predicted class, by number; shares: {counted_of}", 6.0, 10))
    axes.set_ylabel(f"true class, by number, of {len(shares)}")
    figure.colorbar(image, ax=axes, label=_SHARE, fraction=0.046, pad=0.04)
    return figure


def scatter(report: Report) -> Figure:
    """True against predicted numbers of all folds and seeds, a panel for each target.

    As in Mohapatra et al. 2023, Figure 2.
    """
    rho = {name: report.summary[f"rho:{name}"].score(HEADLINE).mean for name in report.targets}
    title = about(report, "true and predicted")
    made = f"{made_of(report)}; rho: {report.estimand(HEADLINE)}"
    return scatter_of(title, report.targets, report.predictions, rho, made)


def scatter_of(
    title: str,
    targets: Sequence[str],
    predictions: Sequence[Prediction],
    rho: Mapping[str, float],
    made: str,
) -> Figure:
    """True against predicted numbers, a panel for each target with its ``rho`` and the line of equality.

    ``made`` says what the dots are of.
    """
    n_columns = min(3, len(targets))
    n_rows = -(-len(targets) // n_columns)
    figure, grid = canvas(
        title, width=2.9 * n_columns + 1.0, height=2.8 * n_rows + 0.9, rows=n_rows, columns=n_columns
    )
    true = np.array([p.true for p in predictions])
    said = np.array([p.predicted for p in predictions])
    for k, (name, axes) in enumerate(zip(targets, grid, strict=False)):
        panel(axes, true[:, k], said[:, k], f"{name}: rho {rho[name]:.3f}")
    for axes in grid[len(targets) :]:
        axes.set_visible(False)
    figure.supxlabel(wrapped(f"true; dots: {made}", 2.9 * n_columns + 1.0, 9), fontsize=9)
    figure.supylabel("predicted", fontsize=9)
    return figure


def panel(axes: Axes, true: np.ndarray, said: np.ndarray, title: str) -> None:
    """Dots of true (U,) against predicted numbers (U,) on one scale, with the line of equality."""
    axes.scatter(true, said, s=6, alpha=min(1.0, max(0.15, 60 / len(true))), color=BLUE, linewidths=0)
    ends = [float(min(true.min(), said.min())), float(max(true.max(), said.max()))]
    axes.plot(ends, ends, color="black", linewidth=1)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title.replace("$", r"\$"), fontsize=9)

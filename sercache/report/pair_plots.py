"""Plot of systems against one another: who lies how far above whom, and where that is called a difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sercache.report.canvas import canvas, short, wrapped
from sercache.report.pairs import metric_of
from sercache.statistics import LEVEL, PairDifference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TOLD = 12
"""Up to so many systems have numbers in their cells."""


def matrix(title: str, names: Sequence[str], found: Sequence[PairDifference]) -> Figure:
    """A cell for each two systems: the row less the column, in bold with a frame where they are called different.

    ``found`` holds every pair of ``names`` by one metric.
    """
    from matplotlib.patches import Rectangle

    n, place = len(names), {name: k for k, name in enumerate(names)}
    gaps, p_of = np.full((n, n), np.nan), dict[tuple[int, int], PairDifference]()
    for each in found:
        a, b = place[each.first], place[each.second]
        gaps[a, b], gaps[b, a] = each.difference, -each.difference
        p_of[a, b] = p_of[b, a] = each
    shown = [short(name) for name in names]
    side, room = max(2.8, (0.8 if n <= _MOST_TOLD else 0.28) * n), 0.085 * max(map(len, shown))
    figure, [axes] = canvas(title, width=side + 2.6 + room, height=side + 1.8 + 0.7 * room, is_table=True)
    far = float(np.nanmax(np.abs(gaps))) or 1.0
    told = np.array([[bool((a, b) in p_of and p_of[a, b].differs) for b in range(n)] for a in range(n)])
    image = axes.imshow(gaps, cmap="RdBu", vmin=-far, vmax=far, aspect="auto")
    pale = np.where(told, 0.0, 0.6)
    axes.imshow(np.ones((n, n)), cmap="gray", vmin=0, vmax=1, alpha=pale, aspect="auto")
    for (a, b), each in p_of.items():
        if each.differs:
            axes.add_patch(
                Rectangle((b - 0.46, a - 0.46), 0.92, 0.92, fill=False, edgecolor="black", linewidth=1.6)
            )
        if n <= _MOST_TOLD:
            p = "" if each.corrected is None else f"\np {each.corrected:.2g}"
            ink = "white" if abs(gaps[a, b]) > 0.6 * far and told[a, b] else "black"
            weight = "bold" if each.differs else "normal"
            axes.text(
                b, a, f"{gaps[a, b]:+.3f}{p}", ha="center", va="center", fontsize=8, color=ink, weight=weight
            )
    axes.set_xticks(range(n), shown, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(n), shown, fontsize=8)
    axes.spines[:].set_visible(False)
    metric = metric_of(found[0].metric)
    corrected = " (Holm)" if n > 2 else ""
    told_by = f"framed: different, p{corrected} below {LEVEL:g}; pale: not called different"
    axes.set_xlabel(wrapped(told_by, side + 1.0, 9), fontsize=9)
    figure.colorbar(image, ax=axes, label=f"{metric}: row less column", fraction=0.046, pad=0.04)
    return figure

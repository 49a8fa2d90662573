"""Plots of predicted probabilities: reliability, and what leaving out the unsure gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sercache.record import Report
from sercache.report.canvas import BLUE, GREY, ORANGE, about, canvas, legend
from sercache.report.probabilities import calibrated
from sercache.statistics import N_BINS, Said, bins, ece, surest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def calibration(report: Report) -> Figure | None:
    """Reliability of the test predictions, before and after temperature, and risk by coverage. None for numbers."""
    if report.targets or not report.predictions or not report.predictions[0].probabilities:
        return None
    found = calibrated(report)
    figure, (left, right) = canvas(about(report, "probabilities"), width=8.4, height=4.6, columns=2)
    left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="as said")
    shown = [(found.before, BLUE, "as trained")]
    shown += [(found.after, ORANGE, "temperature of the dev parts")] if found.after else []
    for own, colour, name in shown:
        _reliability(left, own, colour, name)
    left.set_xlabel(
        f"probability of the predicted class, {N_BINS} bins\n(area of a dot: share of the utterances)"
    )
    left.set_ylabel("share that is right")
    left.set_xlim(0, 1)
    left.set_ylim(0, 1)
    n = min(len(each.truth) for each in found.before)
    places = np.arange(1, n + 1)
    risks = np.array([np.cumsum(1 - each.right[surest(each)])[:n] / places for each in found.before])
    right.plot(places / n, risks.mean(0), color=BLUE)
    if len(risks) > 1:
        right.fill_between(places / n, risks.min(0), risks.max(0), color=BLUE, alpha=0.18, linewidth=0)
    seeds = f"; mean and range of {len(risks)} seeds" if len(risks) > 1 else ""
    right.set_xlabel(f"share that is answered, the surest first\n(folds pooled{seeds})")
    right.set_ylabel("share of these that is wrong")
    right.set_xlim(0, 1)
    right.set_ylim(0, max(0.05, 1.15 * float(risks[:, n // 10 :].max())))
    legend(figure, left)
    return figure


def _reliability(axes: Axes, own: Sequence[Said], colour: str, name: str) -> None:
    """A line over the bins of all seeds together, and dots as large as the bins are full."""
    whole = Said(np.concatenate([each.truth for each in own]), np.concatenate([each.chances for each in own]))
    n, sure, right = bins(whole)
    held = n > 0
    label = f"{name}: ECE {np.mean([ece(each) for each in own]):.3f}"
    axes.plot(sure[held], right[held], color=colour, linewidth=1.2, label=label)
    axes.scatter(
        sure[held],
        right[held],
        s=6 + 160 * n[held] / n.sum(),
        color=colour,
        alpha=0.5,
        linewidths=0,
        clip_on=False,
    )

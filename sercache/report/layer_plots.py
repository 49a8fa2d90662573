"""Plots of the share that each state of an encoder has: learned weights, or attention received."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sercache.record import HEADLINE, CrossCorpus, Report
from sercache.report.canvas import BLUE, FEW, GREY, ORANGE, about, canvas, label_states, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def layer_weights(report: Report) -> Figure | None:
    """Share of each state: mean over seeds of fold means, with the seeds' population standard deviation.

    As in Pepino et al. 2021, Figure 2. Runs are drawn behind it, where they are few.
    """
    shares = report.layer_weights()
    if shares is None:
        return None
    by_seed = report.layer_weights_by_seed()
    if by_seed is None:  # a seed none of whose runs has shares to speak of
        by_seed = shares.mean(0, keepdims=True)
    states = names_of_states(report, shares.shape[1])
    figure, axes = _figure(report, "layer weights", len(states))
    _runs_behind(axes, shares)
    n_seeds, n_folds = len(by_seed), len(shares) // len(by_seed)
    spread = by_seed.std(0) if n_seeds > 1 else None
    over = f"mean of {n_folds} folds" if n_folds > 1 else "the fold"
    label = f"{over}, then mean ± population std of {n_seeds} seeds" if n_seeds > 1 else over
    _finish(figure, axes, by_seed.mean(0), spread, states, label, report.layer_weights_are)
    return figure


def layer_weights_on(report: Report, there: CrossCorpus) -> Figure | None:
    """Share of each state on another corpus: mean over models, with their sample standard deviation.

    For ``attention`` heads what Ioannides et al. 2023 draw as Figure 2. None where weights are learned: they
    are the same on every corpus.
    """
    if not there.layer_weights or not report.layer_weights_are.startswith("attention"):
        return None
    shares = np.array(there.layer_weights)
    states = names_of_states(report, shares.shape[1])
    figure, axes = _figure(report, f"attention received on {there.dataset}", len(states))
    _runs_behind(axes, shares)
    spread = shares.std(0, ddof=1) if len(shares) > 1 else None
    label = f"mean ± sample std of {len(shares)} models" if len(shares) > 1 else "the model"
    _finish(figure, axes, shares.mean(0), spread, states, label, report.layer_weights_are)
    return figure


def probe_curve(reports: Mapping[str, Report]) -> Figure:
    """UA of each state by itself, with the 95 % interval of that number, and chance."""
    first, names = next(iter(reports.values())), list(reports)
    found = [report.summary["ua"] for report in reports.values()]
    figure, [axes] = canvas(about(first, "UA by state"), width=max(6.4, 2.2 + 0.3 * len(names)))
    places, means = np.arange(len(names)), np.array([each.score(HEADLINE).mean for each in found])
    drawn = found[0].interval(HEADLINE)
    label = first.estimand(HEADLINE)
    if drawn is not None:
        label += (
            f", 95 % over {drawn.counted}" if drawn.low is not None else f" ({drawn.counted}: no interval)"
        )
    # The dot lies between the ends as a rule, not always: a percentile interval need not hold its number.
    ends = [(e.low, e.high) if (e := each.interval(HEADLINE)) else (None, None) for each in found]
    low, high = np.array(ends, dtype=float).T
    axes.vlines(places, low, high, color=BLUE, linewidth=1)
    for side in (low, high):
        axes.plot(places, side, "_", color=BLUE, markersize=6)
    axes.plot(places, means, color=BLUE, marker="o", markersize=4, label=label)
    chance = 1 / len(first.classes)
    axes.axhline(chance, color=GREY, linestyle=":", label=f"chance {chance:.3f}")
    label_states(axes, names)
    axes.set_xlabel("state of the encoder")
    axes.set_ylabel("UA (share of 1)")
    axes.set_ylim(0, 1)
    legend(figure, axes)
    return figure


def names_of_states(report: Report, n: int) -> list[str]:
    """Names of the states that have shares: of the first input, or of all where a head weighs them together."""
    names = list(report.features["states"])
    for more in report.features.get("beside", ()):
        names += more["states"] if len(names) < n else []
    return names[:n] if len(names) >= n else [str(k + 1) for k in range(n)]


def _figure(report: Report, what: str, n: int) -> tuple[Figure, Axes]:
    figure, [axes] = canvas(about(report, what), width=max(6.4, 2.2 + 0.3 * n))
    return figure, axes


def _runs_behind(axes: Axes, shares: np.ndarray) -> None:
    if 1 < len(shares) <= FEW:
        axes.plot(np.arange(shares.shape[1]), shares.T, color=GREY, alpha=0.4, linewidth=0.8, zorder=1)
        axes.plot([], [], color=GREY, alpha=0.6, linewidth=0.8, label="one run")


def _finish(
    figure: Figure,
    axes: Axes,
    mean: np.ndarray,
    spread: np.ndarray | None,
    states: list[str],
    label: str,
    meaning: str,
) -> None:
    """The curve, the line of equal shares, and how much the lower half has."""
    places = np.arange(len(states))
    axes.errorbar(
        places, mean, spread, color=BLUE, marker="o", markersize=4, capsize=3, label=label, zorder=3
    )
    axes.axhline(1 / len(states), color=ORANGE, linestyle="--", linewidth=1, label="equal shares")
    label_states(axes, states)
    axes.set_ylabel("share (sum = 1)")
    # All that is drawn, runs and bars too. A flat mix is a line in the middle of nothing: from zero up, with room
    # above it.
    low_end, high_end = axes.dataLim.intervaly
    axes.set_ylim(
        min(0.0, 1.05 * low_end), max(1.05 * high_end, 1.25 * float(mean.max()), 1.25 / len(states))
    )
    half = (len(states) + 1) // 2
    low = mean[:half].sum()
    axes.set_xlabel(f"state of the encoder; {states[0]} to {states[half - 1]} have {low:.0%} of the weight")
    legend(figure, axes, meaning)

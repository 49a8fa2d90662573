"""Plots of how training went and how folds differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sercache.record import HEADLINE, NAMES, Aggregate, Report
from sercache.report.canvas import BLUE, FEW, GREEN, GREY, ORANGE, about, canvas, legend, short
from sercache.report.notes import lacking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learning_curves(report: Report) -> Figure | None:
    """Loss over epochs, and the dev score below it where there is a dev part; None without epochs."""
    if not any(run.history for run in report.runs):
        return None
    key = f"dev_{report.main_metric}"
    has_dev = any(epoch.get(key) is not None for run in report.runs for epoch in run.history)
    figure, axes = canvas(
        about(report, "learning curves"), height=6.2 if has_dev else 4.2, rows=2 if has_dev else 1, share=True
    )
    loss_axes, *score_axes = axes
    _curves(loss_axes, report, "train_loss", "training", BLUE)
    if has_dev:
        _curves(loss_axes, report, "dev_loss", "dev", ORANGE)
        _curves(score_axes[0], report, key, "dev", ORANGE)
        score_axes[0].set_ylabel("rho, mean over targets" if report.targets else "UA (share of 1)")
        if not report.targets:
            score_axes[0].set_ylim(0, 1)
    loss_axes.set_ylabel(f"loss ({report.recipe['loss']})")
    loss_axes.set_ylim(0, 1.05 * loss_axes.dataLim.y1)
    if report.recipe["select"] != "last-epoch":
        for each in axes:
            _mark_best(each, report)
    longest = max(len(run.history) for run in report.runs)
    axes[-1].set_xlim(1 - 0.02 * longest, 1.02 * longest)
    axes[-1].locator_params(axis="x", integer=True)
    axes[-1].set_xlabel("epoch")
    legend(figure, loss_axes)
    return figure


def folds(report: Report) -> Figure | None:
    """The main score of every fold and seed, folds from worst to best; None for a single fold."""
    metric = report.main_metric
    by_fold: dict[str, list[float]] = {}
    for run in report.runs:
        by_fold.setdefault(run.fold, []).append(run.scores.get(metric, float("nan")))
    if len(by_fold) < 2 or not report.summary:
        return None
    order = sorted(by_fold, key=lambda fold: float(np.mean(by_fold[fold])))
    n, partial = len(order), lacking(report)
    figure, [axes] = canvas(about(report, "scores by fold"), height=min(max(3.6, 2.2 + 0.22 * n), 24))
    for place, fold in enumerate(order):
        axes.axhline(place, color="#dddddd", linewidth=0.6, zorder=1)
        face = "white" if fold in partial else BLUE
        axes.scatter(
            by_fold[fold],
            [place] * len(by_fold[fold]),
            s=14,
            color=face,
            edgecolors=BLUE,
            alpha=0.7,
            zorder=3,
        )
    if partial:
        axes.scatter([], [], s=14, color="white", edgecolors=BLUE, label="the test part lacks a class")
    _mark_scores(axes, report)
    axes.set_yticks(range(n), [short(fold) for fold in order], fontsize=8 if n <= 60 else 5)
    axes.set_ylim(-0.7, n - 0.3)
    lowest = min(score for own in by_fold.values() for score in own)
    axes.set_xlim(min(0.0, lowest) - 0.02, 1.02)
    unit = "mean over targets" if report.targets else "share of 1"
    axes.set_xlabel(f"{NAMES[metric]} ({unit}); one dot per seed")
    axes.set_ylabel("fold (what is tested)")
    legend(figure, axes)
    return figure


def _mark_scores(axes: Axes, report: Report) -> None:
    """Both estimands as lines, the interval of the first as a band, and chance."""
    found = report.summary[report.main_metric]
    interval = found.interval(HEADLINE)
    if interval is not None and interval.low is not None and interval.high is not None:
        axes.axvspan(interval.low, interval.high, color=ORANGE, alpha=0.12, linewidth=0, zorder=0)
    ways: tuple[Aggregate, ...] = ("seeds", "folds")
    for way, style in zip(ways, ("-", "--"), strict=True):
        each = found.score(way)
        spread = "" if each.std is None else f" ± {each.std:.3f}"
        label = f"{report.estimand(way)}: {each.mean:.3f}{spread}"
        if way == HEADLINE and interval is not None:
            has_ends = interval.low is not None
            label += (
                f" (band: 95 % over {interval.counted})"
                if has_ends
                else f" ({interval.counted}: no interval)"
            )
        axes.axvline(each.mean, color=ORANGE, linestyle=style, label=label, zorder=2)
    chance = 0.0 if report.targets else 1 / len(report.classes)
    axes.axvline(chance, color=GREY, linestyle=":", label=f"chance {chance:.3f}", zorder=2)


def _curves(axes: Axes, report: Report, key: str, label: str, colour: str) -> None:
    """One line per run where they are few, else mean and range over the runs that still train."""
    values = [[epoch[key] for epoch in run.history if epoch.get(key) is not None] for run in report.runs]
    values = [run for run in values if run]
    if not values:
        return
    longest = max(len(run) for run in values)
    table = np.full((len(values), longest), np.nan)
    for row, run in zip(table, values, strict=True):
        row[: len(run)] = run
    epochs = np.arange(1, longest + 1)
    marker = "o" if longest == 1 else None
    if 1 < len(values) <= FEW:
        axes.plot(epochs, table.T, color=colour, alpha=0.3, linewidth=0.8)
    elif len(values) > FEW:
        axes.fill_between(
            epochs, np.nanmin(table, 0), np.nanmax(table, 0), color=colour, alpha=0.18, linewidth=0
        )
    about = {1: label}.get(len(values), f"{label}: mean of the runs still training, of {len(values)}")
    if len(values) > FEW:
        about += ", and range"
    axes.plot(epochs, np.nanmean(table, 0), color=colour, linewidth=1.8, marker=marker, label=about)


def _mark_best(axes: Axes, report: Report) -> None:
    """Small ticks on the axis at the epochs that were kept."""
    best = [run.best_epoch for run in report.runs]
    top = axes.get_xaxis_transform()
    axes.plot(
        best, [0.02] * len(best), "^", color=GREEN, markersize=6, alpha=0.6, transform=top, label="epoch kept"
    )

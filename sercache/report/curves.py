"""Plots of how training went and how folds differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sercache.report.canvas import BLUE, FEW, GREEN, GREY, ORANGE, about, canvas, legend, short
from sercache.report.record import NAMES, Report

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
    n = len(order)
    figure, [axes] = canvas(about(report, "scores by fold"), height=min(max(3.2, 1.6 + 0.22 * n), 24))
    for place, fold in enumerate(order):
        axes.axhline(place, color="#dddddd", linewidth=0.6, zorder=1)
        axes.scatter(by_fold[fold], [place] * len(by_fold[fold]), s=14, color=BLUE, alpha=0.7, zorder=2)
    found = report.summary[metric].folds
    axes.axvline(found.mean, color=ORANGE, label=f"mean {found.mean:.3f}, std {found.std or 0:.3f}")
    chance = 0.0 if report.targets else 1 / len(report.classes)
    axes.axvline(chance, color=GREY, linestyle=":", label=f"chance {chance:.3f}")
    axes.set_yticks(range(n), [short(fold) for fold in order], fontsize=8 if n <= 60 else 5)
    axes.set_ylim(-0.7, n - 0.3)
    lowest = min(score for own in by_fold.values() for score in own)
    axes.set_xlim(min(0.0, lowest - 0.02), 1.02)
    unit = "mean over targets" if report.targets else "share of 1"
    axes.set_xlabel(f"{NAMES[metric]} ({unit}); one dot per seed")
    axes.set_ylabel("fold (what is tested)")
    legend(figure, axes)
    return figure


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
    about = {1: label}.get(len(values), f"{label}: mean of the runs that go on, of {len(values)}")
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

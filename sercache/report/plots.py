"""Plots of a report: layer weights, confusion matrix, learning curves, scores by fold; PNG and SVG.

Drawn on figures of their own, so that neither pyplot's state nor its settings are touched. Colours are
those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from sercache.errors import MissingExtraError
from sercache.report.record import NAMES, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
_FEW = 12
"""Up to so many runs are drawn one by one; more are drawn as mean and range."""


def draw(report: Report, folder: Path) -> list[Path]:
    """Write every plot that the report has data for, as PNG and SVG; gives their paths.

    Raises MissingExtraError without matplotlib.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, figure in figures(report).items() for path in save(figure, folder / name)]


def figures(report: Report) -> dict[str, Figure]:
    """Figures by file name: confusion, learning-curves, folds, and layer-weights where the head has them.

    Raises MissingExtraError without matplotlib.
    """
    plots: dict[str, Callable[[Report], Figure | None]] = {
        "layer-weights": layer_weights,
        "confusion": confusion,
        "learning-curves": learning_curves,
        "folds": folds,
    }
    drawn = {name: plot(report) for name, plot in plots.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.png (150 dots per inch) and ``stem``.svg; gives their paths."""
    png_path, svg_path = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    figure.savefig(png_path, format="png", dpi=150, metadata={"Software": None})
    with svg_path.open("wb") as file:
        svg(figure, file)
    return [png_path, svg_path]


def svg(figure: Figure, file: BinaryIO) -> None:
    """Write a figure as SVG: text as text, and the same bytes each time."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sercache"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def layer_weights(report: Report) -> Figure | None:
    """Share of each state: mean over runs with sample standard deviation, single runs behind it."""
    shares = report.layer_weights()
    if shares is None:
        return None
    n_runs, n_layers = shares.shape
    figure, axes = _figure(report, "layer weights", width=max(6.4, 2.2 + 0.3 * n_layers), height=4.2)
    places = np.arange(n_layers)
    if 1 < n_runs <= _FEW:
        axes.plot(places, shares.T, color=GREY, alpha=0.4, linewidth=0.8, zorder=1)
        axes.plot([], [], color=GREY, alpha=0.6, linewidth=0.8, label="one run")
    spread = shares.std(0, ddof=1) if n_runs > 1 else None
    label = f"mean ± sample std of {n_runs} runs" if n_runs > 1 else "the run"
    axes.errorbar(
        places, shares.mean(0), spread, color=BLUE, marker="o", markersize=4, capsize=3, label=label, zorder=3
    )
    axes.axhline(1 / n_layers, color=ORANGE, linestyle="--", linewidth=1, label="equal shares")
    _label_states(axes, report.features["states"])
    axes.set_ylabel("share (sum = 1)")
    axes.set_ylim(bottom=min(0.0, float(shares.min()) * 1.05))
    half = (n_layers + 1) // 2
    low, names = shares[:, :half].sum(1).mean(), report.features["states"]
    axes.set_xlabel(f"state of the encoder; {names[0]} to {names[half - 1]} have {low:.0%} of the weight")
    _legend(figure, axes, report.layer_weights_are)
    return figure


def confusion(report: Report) -> Figure:
    """Share of each true class by prediction, with the counts of all folds and seeds."""
    counts = np.array(report.confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(counts)
    side = max(4.6, 2.0 + 0.75 * n)
    figure, axes = _figure(report, "confusion matrix", width=side + 1.0, height=side)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(n):
        for column in range(n):
            share = shares[row, column]
            text = f"{share:.0%}\n{counts[row, column]}"
            ink = "white" if share > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=9 if n <= 6 else 7, color=ink)
    axes.set_xticks(range(n), report.classes, rotation=30 if n > 3 else 0, ha="right" if n > 3 else "center")
    axes.set_yticks(range(n), report.classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, pad=0.04)
    return figure


def learning_curves(report: Report) -> Figure:
    """Loss over epochs, and dev UA below it where there is a dev part."""
    has_dev = any(epoch.get("dev_ua") is not None for run in report.runs for epoch in run.history)
    figure, axes = _figure(
        report, "learning curves", height=6.2 if has_dev else 4.2, rows=2 if has_dev else 1, all_axes=True
    )
    loss_axes, *score_axes = axes
    _curves(loss_axes, report, "train_loss", "training", BLUE)
    if has_dev:
        _curves(loss_axes, report, "dev_loss", "dev", ORANGE)
        _curves(score_axes[0], report, "dev_ua", "dev", ORANGE)
        score_axes[0].set_ylabel("UA (share of 1)")
        score_axes[0].set_ylim(0, 1)
    loss_axes.set_ylabel(f"loss ({report.recipe['loss']})")
    loss_axes.set_ylim(0, 1.05 * loss_axes.dataLim.y1)
    if report.recipe["select"] != "last-epoch":
        for each in axes:
            _mark_best(each, report)
    longest = max(len(run.history) for run in report.runs)
    axes[-1].set_xlim(1 - 0.02 * longest, 1.02 * longest)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("epoch")
    _legend(figure, loss_axes)
    return figure


def folds(report: Report) -> Figure | None:
    """UA of every fold and seed, folds from best to worst; None for a single fold."""
    by_fold: dict[str, list[float]] = {}
    for run in report.runs:
        by_fold.setdefault(run.fold, []).append(run.scores["ua"])
    if len(by_fold) < 2:
        return None
    order = sorted(by_fold, key=lambda fold: float(np.mean(by_fold[fold])))
    n = len(order)
    figure, axes = _figure(report, "scores by fold", height=min(max(3.2, 1.6 + 0.22 * n), 24))
    for place, fold in enumerate(order):
        axes.plot([0, 1], [place, place], color="#dddddd", linewidth=0.6, zorder=1)
        axes.scatter(by_fold[fold], [place] * len(by_fold[fold]), s=14, color=BLUE, alpha=0.7, zorder=2)
    found = report.summary["ua"].folds
    axes.axvline(found.mean, color=ORANGE, label=f"mean {found.mean:.3f}, std {found.std or 0:.3f}")
    chance = 1 / len(report.classes)
    axes.axvline(chance, color=GREY, linestyle=":", label=f"chance {chance:.3f}")
    axes.set_yticks(range(n), [_short(fold) for fold in order], fontsize=8 if n <= 60 else 5)
    axes.set_ylim(-0.7, n - 0.3)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(f"{NAMES['ua']} (share of 1); one dot per seed")
    axes.set_ylabel("fold (what is tested)")
    _legend(figure, axes)
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
    if 1 < len(values) <= _FEW:
        axes.plot(epochs, table.T, color=colour, alpha=0.3, linewidth=0.8)
    elif len(values) > _FEW:
        axes.fill_between(
            epochs, np.nanmin(table, 0), np.nanmax(table, 0), color=colour, alpha=0.18, linewidth=0
        )
    about = {1: label}.get(len(values), f"{label}: mean of the runs that go on, of {len(values)}")
    if len(values) > _FEW:
        about += ", and range"
    axes.plot(epochs, np.nanmean(table, 0), color=colour, linewidth=1.8, marker=marker, label=about)


def _mark_best(axes: Axes, report: Report) -> None:
    """Small ticks on the axis at the epochs that were kept."""
    best = [run.best_epoch for run in report.runs]
    top = axes.get_xaxis_transform()
    axes.plot(
        best, [0.02] * len(best), "^", color=GREEN, markersize=6, alpha=0.6, transform=top, label="epoch kept"
    )


def _legend(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """A legend under the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, fontsize=8, title=title, title_fontsize=8,
        frameon=False,
    )  # fmt: skip


def _label_states(axes: Axes, states: list[str]) -> None:
    """State names under the axis, as many as fit."""
    step = max(1, -(-len(states) // 40))
    longest = max(len(name) for name in states)
    axes.set_xticks(
        range(0, len(states), step), states[::step], rotation=45 if longest > 4 else 0, fontsize=8
    )


def _figure(
    report: Report,
    what: str,
    *,
    width: float = 6.8,
    height: float = 4.2,
    rows: int = 1,
    all_axes: bool = False,
) -> Any:
    """A figure (inches) with the report's title and, unless ``all_axes``, its only axes."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as fault:
        raise MissingExtraError(
            "plots need matplotlib, which is not installed; run: pip install 'sercache[report]'"
        ) from fault
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
    found: Mapping[str, Any] = report.setup
    figure.suptitle(
        f"{report.head} on {_short(found['encoder'], 40)}: {what}\n"
        f"{report.corpus['name']}, {found['protocol']}, normalise {found['normalise']}",
        fontsize=10,
    )
    return (figure, list(grid)) if all_axes else (figure, grid[0])


def _short(text: str, n: int = 24) -> str:
    """``text`` in at most ``n`` letters, its end kept; $ escaped, for it starts mathematics."""
    cut = text if len(text) <= n else "…" + text[1 - n :]
    return cut.replace("$", r"\$")

"""A head under conditions: a table of scores beside those of plain recordings, and curves over what changes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sercache.augment import Augmentation
from sercache.record import NAMES, Classes, Interval, Report, counted
from sercache.report.canvas import BLACK, COLOURS, GREY, about, canvas, legend
from sercache.report.pairs import about_test, metric_of
from sercache.report.render import Cell, ReportTable, SignedDifference
from sercache.statistics import PairDifference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXES = {
    "snr": "SNR (dB)",
    "rt60": "RT60 (s)",
    "drr": "direct sound over reverberation (dB)",
    "factor": "speed (times)",
    "level": "level of the codec",
    "db": "dB",
}


@dataclass(frozen=True)
class UnderCondition:
    """What the heads of a run say of their test parts under one condition."""

    condition: Augmentation | None
    """None: as the run was tested."""
    name: str
    report: Report
    pair: PairDifference | None = None
    """This less as the run was tested, by the main metric, p corrected for all conditions."""


def conditions_table(found: Sequence[UnderCondition]) -> ReportTable:
    """A row for each condition, the first of them as the run was tested."""
    report = found[0].report
    metrics = shown_metrics(report)
    columns = ["condition"]
    for number, metric in enumerate(metrics):
        columns += [NAMES[metric], f"95 % {NAMES[metric]}"]
        columns += ["difference", "95 % difference", "p (Holm)", "different"] if not number else []
    rows: list[tuple[Cell, ...]] = []
    for each in found:
        row: list[Cell] = [each.name]
        for number, metric in enumerate(metrics):
            summary = each.report.summary[metric]
            row += [summary.seeds, summary.seeds_interval]
            row += _difference(each.pair) if not number else []
        rows.append(tuple(row))
    title = f"Robustness: {report.title}"
    return ReportTable(title, tuple(columns), tuple(rows), tuple(_notes(found, metrics[0])))


def shown_metrics(report: Report) -> list[str]:
    """The main metric, which decides, and what stands beside it."""
    beside = ["wa"] if isinstance(report.target, Classes) else ["rho", "ccc"]
    return list(dict.fromkeys([report.main_metric, *beside]))


def _difference(pair: PairDifference | None) -> list[Cell]:
    if pair is None:
        return [None, None, None, None]
    verdict = None if pair.differs is None else "yes" if pair.differs else "no"
    return [SignedDifference(pair.difference), pair.interval, pair.corrected, verdict]


def _notes(found: Sequence[UnderCondition], metric: str) -> list[str]:
    report, pairs = found[0].report, [each.pair for each in found if each.pair is not None]
    seeds = counted(len({each.seed for each in report.predictions}), "seed")
    n_tested = len({each.id for each in report.predictions})
    notes = [
        f"each fold's heads are tested on that fold's own test part, {n_tested} utterances in all; "
        f"scores are of the pooled predictions, mean over {seeds}",
        f"difference: {metric_of(metric)} less that of {found[0].name}, on the same utterances",
    ]
    if report.setup["normalise"] == "speaker":
        notes.append(
            "statistics of a speaker are taken anew under each condition, over the utterances that are tested"
        )
    return [*notes, *(about_test(pairs) if pairs else [])]


def conditions_figure(found: Sequence[UnderCondition]) -> Figure:
    """A panel for each quantity that changes, a line for each kind of condition; those left stand in one by name."""
    curves, others = _curves(found[1:])
    n = len(curves) + bool(others)
    report, metric = found[0].report, found[0].report.main_metric
    figure, panels = canvas(about(report, "robustness"), width=3.4 + 3.4 * n if n < 3 else 10.5, columns=n)
    labels = dict.fromkeys(label for lines in curves.values() for label in lines)
    colours = dict(zip(labels, itertools.cycle(COLOURS), strict=False))
    for axes, (quantity, lines) in zip(panels, curves.items(), strict=False):
        for label, points in lines.items():
            scores = [(x, *_score(each, metric)) for x, each in sorted(points, key=lambda p: p[0])]
            _line(axes, scores, label, colours[label])
        axes.set_xlabel(_AXES[quantity])
        if quantity in ("snr", "drr"):
            axes.invert_xaxis()  # worse to the right, as where RT60 grows
    if others:
        axes = panels[-1]
        _line(axes, [(k, *_score(each, metric)) for k, each in enumerate(others)], "", BLACK, joined=False)
        axes.set_xticks(
            range(len(others)), [each.name for each in others], rotation=30, ha="right", fontsize=8
        )
        axes.set_xlim(-0.6, len(others) - 0.4)
    score, interval = _score(found[0], metric)
    for axes in panels:
        axes.axhline(score, color=GREY, linestyle="--", linewidth=1, label=found[0].name)
        if interval is not None and interval.low is not None and interval.high is not None:
            axes.axhspan(interval.low, interval.high, color=GREY, alpha=0.12, linewidth=0)
        if isinstance(report.target, Classes):
            axes.set_ylim(0, 1)
            chance = "chance" if metric == "ua" else None
            axes.axhline(1 / len(report.classes), color=GREY, linestyle=":", linewidth=1, label=chance)
    panels[0].set_ylabel(f"{metric_of(metric)}; bars: 95 %")
    legend(figure, panels)
    return figure


def _score(each: UnderCondition, metric: str) -> tuple[float, Interval | None]:
    summary = each.report.summary[metric]
    return summary.seeds.mean, summary.seeds_interval


def _line(
    axes: Axes,
    points: Sequence[tuple[float, float, Interval | None]],
    label: str,
    colour: str,
    *,
    joined: bool = True,
) -> None:
    """Scores over what changes, with their intervals."""
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    low = [y - (i.low if i is not None and i.low is not None else y) for _, y, i in points]
    high = [(i.high if i is not None and i.high is not None else y) - y for _, y, i in points]
    bars = np.maximum([low, high], 0)
    style = "o-" if joined else "o"
    axes.errorbar(
        xs,
        ys,
        yerr=bars,
        fmt=style,
        color=colour,
        markersize=4,
        linewidth=1.4,
        capsize=2,
        label=label or None,
    )


def _curves(
    found: Sequence[UnderCondition],
) -> tuple[dict[str, dict[str, list[tuple[float, UnderCondition]]]], list[UnderCondition]]:
    """By quantity and line the conditions that differ in that quantity alone, and those that stand alone."""
    lines: dict[tuple[str, str], list[tuple[float, UnderCondition]]] = {}
    for each in found:
        for quantity, value, rest in _views(each):
            lines.setdefault((quantity, rest), []).append((value, each))
    kept = {key: points for key, points in lines.items() if len({value for value, _ in points}) > 1}
    curves: dict[str, dict[str, list[tuple[float, UnderCondition]]]] = {}
    for (quantity, rest), points in kept.items():
        curves.setdefault(quantity, {})[rest] = points
    drawn = {id(each) for points in kept.values() for _, each in points}
    return curves, [each for each in found if id(each) not in drawn]


def _views(each: UnderCondition) -> list[tuple[str, float, str]]:
    """Each quantity of a condition with its value, and in words what else the condition is."""
    assert each.condition is not None
    steps = each.condition.steps
    found = []
    for k, step in enumerate(steps):
        for name, value in step.values:
            rest = [
                f"{s.kind}{':' * bool(s.what)}{s.what}" if i == k else str(s) for i, s in enumerate(steps)
            ]
            others = [f"{n}={v:g}" for n, v in step.values if n != name and not (n == "drr" and v == 0)]
            found.append((name, value, "+".join(rest) + "".join(f":{each}" for each in others)))
    return found

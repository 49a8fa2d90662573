"""Scores by what tells utterances apart: speaker, sex, language, length, corpus; and who is served worst."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from sercache.metrics import FEWEST_UNITS
from sercache.record import HEADLINE, NAMES, Classes, Interval, Prediction, Report, Score, score
from sercache.report.notes import about_score, interval_notes
from sercache.report.render import Cell, ReportTable
from sercache.statistics import arrays, grouped, measure_of, of_differences, over_units

BANDS = (2.0, 4.0, 8.0)
"""Ends of the bands of length, in seconds."""


def band(seconds: float) -> str:
    """The band that a length lies in: ``under 2 s``, ``2 to 4 s``, …"""
    if seconds < BANDS[0]:
        return f"under {BANDS[0]:g} s"
    for low, high in itertools.pairwise(BANDS):
        if seconds < high:
            return f"{low:g} to {high:g} s"
    return f"{BANDS[-1]:g} s and more"


def breakdown_table(report: Report, by: str, value_of: Mapping[str, str]) -> ReportTable:
    """A row for each value: its utterances and speakers, and the scores on them alone, each with an interval.

    ``value_of`` says by id what is told apart; utterances that it lacks are counted in a note. The worst one by the
    main score is named with its gap to all others.
    """
    groups = grouped([p for p in report.predictions if p.id in value_of], lambda p: value_of[p.id])
    parts = {value_of[own[0].id]: own for own in groups}
    order = sorted(parts, key=_order)
    metrics, main = report.metrics, report.main_metric
    rows: list[tuple[Cell, ...]] = []
    means: dict[str, float] = {}
    for value in order:
        own = parts[value]
        scores = {metric: _score(own, report, metric) for metric in metrics}
        means[value] = scores[main].mean
        ends = over_units(grouped(own, lambda p: p.seed), report.target)[main]
        held = [len({p.true for p in own})] if isinstance(report.target, Classes) else []
        n_speakers = len({p.speaker for p in own} - {""})
        rows.append((value, len({p.id for p in own}), n_speakers, *held, *scores.values(), ends))
    left = len({p.id for p in report.predictions} - value_of.keys())
    notes = [
        f"{report.estimand(HEADLINE)}: {about_score([report], HEADLINE)}, of the utterances of the row alone",
        *interval_notes([row[-1] for row in rows if isinstance(row[-1], Interval)]),
        *_worst(report, by, parts, means),
        *([f"{left} utterances are in no row: their {by} is not known"] if left else []),
    ]
    held_name = ["classes"] if isinstance(report.target, Classes) else []
    if held_name and len({row[3] for row in rows}) > 1:
        notes.append("rows hold different numbers of classes: UA and macro F1 are over those of the row")
    columns = (by, "utterances", "speakers", *held_name, *(NAMES[m] for m in metrics), f"{NAMES[main]} 95 %")
    return ReportTable(f"{report.title}: by {by}", columns, tuple(rows), tuple(notes))


def _order(value: str) -> tuple[int, str]:
    """Bands by their length, all else by name."""
    ends = [*(band(end - 1e-6) for end in BANDS), band(BANDS[-1])]
    return (ends.index(value), "") if value in ends else (0, value)


def _score(own: Sequence[Prediction], report: Report, metric: str) -> Score:
    measure = measure_of(metric, report.target)
    return score([measure(*arrays(group, report.target)) for group in grouped(own, lambda p: p.seed)])


def _worst(
    report: Report, by: str, parts: Mapping[str, Sequence[Prediction]], means: Mapping[str, float]
) -> list[str]:
    """Which value has the worst score, and how far it lies below all other utterances together."""
    metric = report.main_metric
    n_held = {value: len({p.true for p in own}) for value, own in parts.items()}
    if isinstance(report.target, Classes):  # over fewer classes UA is another quantity
        means = {value: mean for value, mean in means.items() if n_held[value] == max(n_held.values())}
    if len(means) < 2:
        return []
    among = (
        ""
        if len(means) == len(parts)
        else f", among the {len(means)} rows that hold {max(n_held.values())} classes"
    )
    worst, best = min(means, key=lambda v: means[v]), max(means, key=lambda v: means[v])
    others = [p for value, own in parts.items() if value != worst for p in own]
    rest = _score(others, report, metric).mean
    gap = rest - means[worst]
    return [
        f"worst {by} by {NAMES[metric]}: {worst}, {means[worst]:.4f}, {gap:.4f} below all others together"
        + _gap_interval(report, parts[worst], others)
        + f", {means[best] - means[worst]:.4f} below the best ({best}){among}; which is "
        "worst was seen on the same utterances"
    ]


def _gap_interval(report: Report, worst: Sequence[Prediction], others: Sequence[Prediction]) -> str:
    """95 % of the gap to all others, where both have enough speakers."""
    speakers = [{p.speaker for p in each} for each in (worst, others)]
    if any("" in own or len(own) < FEWEST_UNITS for own in speakers):
        return f" (no interval from fewer than {FEWEST_UNITS} speakers)"
    groups = [grouped(each, lambda p: p.seed) for each in (others, worst)]
    [found] = of_differences(groups, [(0, 1)], report.target, report.main_metric)
    if found.low is None or found.high is None or not np.isfinite(found.low):
        return ""
    return f" (95 % {found.low:.3f} to {found.high:.3f})"

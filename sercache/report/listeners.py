"""Tables with human listeners beside a head: single votes against the others, or rates that a corpus publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sercache.record import Interval, Prediction, Report, Score, counted, score
from sercache.report.notes import interval_notes
from sercache.report.render import Cell, ReportTable
from sercache.statistics import against_others, arrays, grouped, measure_of, of_differences, over_units

_MOST_SHOWN = 12
"""Up to so many listeners have rows of their own."""


def listeners_table(report: Report, votes: Mapping[str, Mapping[str, Sequence[str]]]) -> ReportTable | None:
    """One listener against the majority of the others, and the head against the same; None without such votes."""
    found = against_others(votes, report.predictions, report.classes)
    if not found.listeners:
        return None
    human, heads = [found.listeners], grouped(found.heads, lambda p: p.seed)
    names = sorted({p.fold for p in found.listeners})
    rows = [_row("one listener", report, human), _row("the head", report, heads)]
    if len(names) <= _MOST_SHOWN:
        for name in names:
            rows.append(_row(name, report, [[p for p in found.listeners if p.fold == name]]))
            rows.append(
                _row(f"the head beside {name}", report, [[p for p in own if p.fold == name] for own in heads])
            )
    [gap] = of_differences([heads, human], [(0, 1)], report.target, "ua")
    ends = (
        ""
        if gap.low is None or gap.high is None
        else f" (95 % {gap.low:+.3f} to {gap.high:+.3f}, {gap.counted})"
    )
    difference = _ua(report, heads).mean - _ua(report, human).mean
    notes = [
        f"every answer of {counted(len(names), 'listener')} against the majority of the others, at least two of them; "
        "the head is asked of the same utterances as often, and judged by that majority, not by the corpus' label",
        f"UA of the head less that of one listener: {difference:+.4f}{ends}",
        f"left out: {found.n_ties} answers whose others were divided equally, {found.n_outside} whose others agree on "
        f"what is no class of the task, {found.n_several} of listeners who named several categories; an answer that "
        "is no class of the task is wrong",
        *interval_notes([row[-1] for row in rows if isinstance(row[-1], Interval)]),
    ]
    columns = ("who", "answers", "utterances", "WA", "UA", "UA 95 %")
    return ReportTable(f"{report.title}: listeners", columns, tuple(rows), tuple(notes))


def _row(name: str, report: Report, groups: Sequence[Sequence[Prediction]]) -> tuple[Cell, ...]:
    measure = measure_of("wa", report.target)
    wa = score([measure(*arrays(group, report.target)) for group in groups])
    ends = over_units(groups, report.target)["ua"]
    return (name, len(groups[0]), len({p.id for p in groups[0]}), wa, _ua(report, groups), ends)


def _ua(report: Report, groups: Sequence[Sequence[Prediction]]) -> Score:
    measure = measure_of("ua", report.target)
    return score([measure(*arrays(group, report.target)) for group in groups])


def rates_table(report: Report, rates: Mapping[str, float]) -> ReportTable:
    """Of each class the mean share of listeners who named it, and the recall of the head on the same utterances."""
    rows: list[tuple[Cell, ...]] = []
    by_seed = grouped([p for p in report.predictions if p.id in rates], lambda p: p.seed)
    for k, name in enumerate(report.classes):
        own = [[p for p in group if p.true == k] for group in by_seed]
        ids = {p.id for group in own for p in group}
        if ids:
            recall = score([float(np.mean([p.predicted == k for p in group])) for group in own])
            rows.append((name, len(ids), float(np.mean([rates[id] for id in ids])), recall))
    means = [
        float(np.mean([rates[p.id] for p in by_seed[0] if p.true == k])) for k in {p.true for p in by_seed[0]}
    ]
    rows.append(
        ("mean over classes", len({p.id for p in by_seed[0]}), float(np.mean(means)), _ua(report, by_seed))
    )
    notes = (
        "preselected: the corpus kept those recordings that its listeners agreed on, so that their rate is high by "
        "construction and no ceiling for a head",
        "listeners chose among all emotions of the corpus; single votes are not published",
    )
    columns = ("class", "utterances", "listeners who named it", "recall of the head")
    return ReportTable(f"{report.title}: listeners", columns, tuple(rows), notes)

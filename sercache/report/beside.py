"""What others report of a run's corpus, as tables of their own under the run's scores."""

from __future__ import annotations

from collections.abc import Sequence

from sercache.record import HEADLINE, NAMES, Report
from sercache.report.render import Cell, Reference, ReportTable
from sercache.reported import ReportedTable


def own_scores(reports: Sequence[tuple[str, Report]]) -> ReportTable:
    """A row for each run: its scores, pooled, and the interval of the first."""
    first = reports[0][1]
    metrics = [name for name in NAMES if name in first.summary]
    main = first.main_metric
    columns = ("run", *(NAMES[name] for name in metrics), f"{NAMES[main]} 95 %")
    rows: list[tuple[Cell, ...]] = []
    for name, report in reports:
        scores = [report.summary[each].score(HEADLINE) for each in metrics]
        rows.append((name, *scores, report.summary[main].seeds_interval))
    title = f"{first.corpus['name']}, task {first.corpus['task']}"
    return ReportTable(title, columns, tuple(rows), (first.estimand(HEADLINE),))


def reported_table(table: ReportedTable, reports: Sequence[tuple[str, Report]]) -> ReportTable:
    """The printed numbers by encoder, which of them a run has too, and in what the source and the runs differ."""
    encoders = {str(report.setup["encoder"]) for _, report in reports}
    columns = ("encoder", *(NAMES[name] for name in table.metrics), "that of a run")
    rows: list[tuple[Cell, ...]] = []
    for name, values in table.rows.items():
        is_same = table.encoders.get(name) in encoders
        rows.append((name, *(Reference(value, None) for value in values), "yes" if is_same else None))
    notes = [
        f"not to be ranked with the runs above: {_apart(table, reports)}",
        f"theirs: {table.folds}",
        f"theirs: {table.system}",
        *(f"{name}: {_protocol(report)}" for name, report in reports),
    ]
    strange = sorted({len(report.classes) for _, report in reports} - {table.n_classes})
    if strange and table.n_classes is not None:
        notes.append(f"classes: theirs {table.n_classes}, of runs above {', '.join(map(str, strange))}")
    return ReportTable(f"{table.source}; {table.url}", columns, tuple(rows), tuple(notes))


def _apart(table: ReportedTable, reports: Sequence[tuple[str, Report]]) -> str:
    """In what the source and the runs differ first of all: folds, else classes, else what is trained and selects."""
    if {table.protocol} != {report.setup["protocol"] for _, report in reports}:
        return "another protocol"
    if table.n_classes is None or {len(report.classes) for _, report in reports} != {table.n_classes}:
        return f"{table.protocol} too, but of other classes, or it is not said of which"
    return (
        f"{table.protocol} of as many classes too, but what is trained, and what selects, differ as follows"
    )


def _protocol(report: Report) -> str:
    shared = not all(fold.speakers_disjoint for fold in report.folds)
    speakers = "some test speakers are trained on" if shared else "no speaker of a test part is trained on"
    states = report.setup["states"] or "its published states"
    return f"{report.head} on {states}, {report.setup['protocol']}; {speakers}"

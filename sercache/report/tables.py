"""Tables of one report: its metrics, folds, classes and other corpora; several are rows of ``side_by_side``.

A row is one estimand: the score and the interval beside it are of the same number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sercache.record import (
    HEADLINE,
    NAMES,
    Aggregate,
    CrossCorpus,
    FoldRecord,
    Report,
    Score,
    counted,
    score,
)
from sercache.report.notes import (
    about_models,
    about_score,
    class_notes,
    fold_notes,
    interval_notes,
    made_by,
    made_of,
    of_rows,
    provenance,
    there_notes,
    way_there,
)
from sercache.report.printed import PrintedNumber, compared, printed_notes
from sercache.report.render import Cell, Format, ReportTable
from sercache.report.side_by_side import listing, runs_tables


def table(
    reports: Sequence[Report],
    *,
    printed: Sequence[Mapping[str, PrintedNumber]] | None = None,
    aggregates: Sequence[Aggregate] | None = None,
    names: Sequence[str] | None = None,
    format: Format = "text",
    width: int | None = None,
) -> str:
    """One report's metrics by both conventions, or several reports as rows of tables, as text.

    ``printed`` are a paper's numbers for each report, by metric, ``aggregates`` how that paper makes one of many,
    ``names`` what several reports are called, ``width`` the columns of a terminal that text is to fit. Raises
    SettingsError without reports.
    """
    beside = list(printed) if printed is not None else [{} for _ in reports]
    chosen = list(aggregates) if aggregates is not None else [HEADLINE for _ in reports]
    if len(reports) != 1:
        if format == "csv":
            return listing(reports, beside, chosen, names).render(format)
        made = runs_tables(reports, beside, chosen, names)
    else:
        [report] = reports
        made = [metrics_table(report, beside[0], aggregate=chosen[0])]
        if report.cross_corpus:
            made = [*made, cross_corpus_table(report)] if report.summary else [cross_corpus_table(report)]
    return "\n\n".join(each.render(format, width) for each in made)


def metrics_table(
    report: Report, printed: Mapping[str, PrintedNumber] | None = None, *, aggregate: Aggregate = HEADLINE
) -> ReportTable:
    """One row per metric and estimand, each with its own interval; first those by ``aggregate``.

    The printed numbers stand beside these.
    """
    columns = ["metric", "estimand", "score", "95 %"]
    rows: list[list[Cell]] = []
    shown = shown_metrics(report) if report.summary else []
    ways = estimands(report, aggregate)
    for way in ways:
        for metric in shown if way == ways[0] else report.metrics if shown else ():
            found = report.summary[metric]
            row: list[Cell] = [
                metric_name(metric),
                report.estimand(way),
                found.score(way),
                found.interval(way),
            ]
            if printed:
                row += compared(found.score(way), printed.get(metric) if way == ways[0] else None)
            rows.append(row)
    if printed:
        columns += ["printed", "difference", "within 2 std"]
    about = [f"{report.estimand(way)}: {about_score([report], way)}" for way in ways if shown]
    about += interval_notes([found.interval(way) for found in report.summary.values() for way in ways])
    about = [*printed_notes((printed or {}).values()), *about]
    about += fold_notes(report)
    return ReportTable(report.title, tuple(columns), tuple(map(tuple, rows)), (*provenance(report), *about))


def estimands(report: Report, first: Aggregate) -> list[Aggregate]:
    """The conventions that a report is shown by: of a single test part both are one."""
    if len(report.folds) < 2:
        return ["seeds"]
    return ["folds", "seeds"] if first == "folds" else ["seeds", "folds"]


def cross_corpus_table(report: Report) -> ReportTable:
    """One row per other corpus: what every head of the run scores there, and the recall of each class."""
    chosen = way_there(report)
    metrics = shown_metrics(report)
    columns = [
        "tested on",
        "task",
        "utterances",
        *map(metric_name, metrics),
        f"{NAMES[report.main_metric]} 95 %",
    ]
    rows: list[list[Cell]] = []
    for there in report.cross_corpus:
        row: list[Cell] = [there.dataset, there.task, there.corpus["n_utterances"]]
        row += [there.summary[metric].score(chosen) for metric in metrics]
        row.append(there.summary[report.main_metric].interval(chosen))
        rows.append([*row, *(recall_there(report, there, k, chosen) for k in range(len(report.classes)))])
    columns += [f"recall {name}" for name in report.classes]
    notes = [] if report.summary else [*provenance(report)]
    models = "the one model" if len(report.runs) == 1 else f"each of {len(report.runs)} models"
    notes.append(f"all of each corpus is predicted by {models}; {about_models([report])}")
    notes += interval_notes(
        [there.summary[report.main_metric].interval(chosen) for there in report.cross_corpus]
    )
    known = set(made_by(report)) if report.summary else set(notes)
    lines = [(there.dataset, there_notes(report, there)) for there in report.cross_corpus]
    notes += [line for line in of_rows(lines) if line not in known]
    return ReportTable(
        f"{report.title}: other corpora", tuple(columns), tuple(map(tuple, rows)), tuple(notes)
    )


def recall_there(report: Report, there: CrossCorpus, k: int, aggregate: Aggregate) -> Score | None:
    """Recall of class ``k`` on another corpus over folds or over seeds; None where it has no such class."""
    names = [fold.name for fold in report.folds] if aggregate == "folds" else list(report.seeds)
    found: dict[str | int, list[bool]] = {name: [] for name in names}
    for each in there.predictions:
        if each.true == k:
            found[each.fold if aggregate == "folds" else each.seed].append(each.predicted == k)
    return score([float(np.mean(hits)) for hits in found.values()]) if all(found.values()) else None


def metric_name(metric: str) -> str:
    """A metric for people: ``rho:anger`` is ``rho anger``."""
    kind, _, target = metric.partition(":")
    return f"{NAMES[kind]} {target}".rstrip()


def shown_metrics(report: Report) -> list[str]:
    """The metrics of a report, and those of each target where there are several."""
    targets = report.targets if len(report.targets) > 1 else ()
    shown = [*report.metrics, *(f"{metric}:{name}" for metric in ("rho", "ccc") for name in targets)]
    return [metric for metric in shown if metric in report.summary] if report.summary else shown


def folds_table(report: Report) -> ReportTable:
    """One row per fold: sizes, whether speakers and sentences are apart, and its scores over seeds."""
    rows: list[list[Cell]] = []
    for fold in report.folds:
        own = [run for run in report.runs if run.fold == fold.name]
        row: list[Cell] = [fold.name, fold.n_train, fold.n_dev, fold.n_test]
        row += [_apart(fold, fold.speakers_disjoint), _apart(fold, fold.sentences_disjoint)]
        row.append(_apart(fold, None if fold.shared_audio is None else not fold.shared_audio.n_test))
        for metric in report.metrics:
            found = [run.scores[metric] for run in own if metric in run.scores]
            row.append(score(found) if found else None)
        rows.append(row)
    columns = (
        "fold",
        "train",
        "dev",
        "test",
        "speakers",
        "sentences",
        "audio",
        *map(metric_name, report.metrics),
    )
    notes = (
        "speakers, sentences, audio: whether the test part has none of the training part (speakers, audio: nor of the "
        "dev part)",
        f"mean ± sample std over {counted(len(report.seeds), 'seed')}",
        *class_notes(report),
    )
    return ReportTable(f"{report.title}: folds", columns, tuple(map(tuple, rows)), notes)


def _apart(fold: FoldRecord, disjoint: bool | None) -> str | None:
    if disjoint is None or not fold.n_test:
        return None
    return "apart" if disjoint else "shared"


def outputs_table(report: Report) -> ReportTable:
    """One row per class or target; see ``classes_table``, ``targets_table``."""
    return targets_table(report) if report.targets else classes_table(report)


def targets_table(report: Report) -> ReportTable:
    """One row per target of a task that gives numbers: pooled predictions, mean over seeds."""
    rows: list[list[Cell]] = []
    for name in report.targets:
        found = [report.summary[f"{metric}:{name}"] for metric in report.metrics]
        rows.append([name, *(each.seeds for each in found), found[0].seeds_interval])
    columns = ("target", *(NAMES[metric] for metric in report.metrics), f"{NAMES[report.main_metric]} 95 %")
    about = f"{report.estimand('seeds')}: {about_score([report], 'seeds')}"
    more = interval_notes([found.seeds_interval for found in report.summary.values()])
    return ReportTable(f"{report.title}: targets", columns, tuple(map(tuple, rows)), (about, *more))


def classes_table(report: Report, there: CrossCorpus | None = None) -> ReportTable:
    """One row per class: test utterances, recall and precision of the pooled predictions of all seeds.

    Of the report's own test parts, or of what all its models say of another corpus.
    """
    counts = np.array(report.confusion if there is None else there.confusion)
    n_times = len(report.seeds) if there is None else len(report.runs)
    rows: list[list[Cell]] = []
    for k, name in enumerate(report.classes):
        true, called = int(counts[k].sum()), int(counts[:, k].sum())
        recall = float(counts[k, k] / true) if true else None
        precision = float(counts[k, k] / called) if called else None
        rows.append([name, true // n_times, recall, precision])
    title = f"{report.title}: classes" + (f" on {there.dataset}" if there else "")
    note = f"recall and precision: {made_of(report, there)}; utterances are counted once"
    return ReportTable(
        title, ("class", "utterances", "recall", "precision"), tuple(map(tuple, rows)), (note,)
    )

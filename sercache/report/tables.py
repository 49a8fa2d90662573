"""Tables of reports: runs side by side, one run's metrics, its folds, classes and other corpora.

A table always names the normalisation scope of its rows, and says so where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from sercache.errors import SettingsError
from sercache.report.notes import about_n, provenance, scope_notes, speaker_notes
from sercache.report.record import (
    AGGREGATES,
    METRICS,
    NAMES,
    NUMBER_METRICS,
    Aggregate,
    Elsewhere,
    FoldRecord,
    Report,
    Score,
    Summary,
    score,
)
from sercache.report.render import Cell, Difference, Format, Reference, Table


class Printed(Protocol):
    """A number as a paper prints it."""

    @property
    def mean(self) -> float:
        """As printed, as a share of 1."""

    @property
    def std(self) -> float | None:
        """As printed; None where it is not."""


def table(
    reports: Sequence[Report],
    *,
    printed: Sequence[Mapping[str, Printed]] | None = None,
    aggregate: Aggregate = "folds",
    format: Format = "text",
) -> str:
    """One report's metrics by both conventions, or several reports as one row each, as text.

    ``printed`` are a paper's numbers for each report, by metric.
    """
    beside = list(printed) if printed is not None else [{} for _ in reports]
    if len(reports) != 1:
        return runs_table(reports, beside, aggregate=aggregate).render(format)
    [report] = reports
    made = [metrics_table(report, beside[0], aggregate=aggregate)]
    if report.elsewhere:
        made = [*made, elsewhere_table(report)] if report.summary else [elsewhere_table(report)]
    return "\n\n".join(each.render(format) for each in made)


def metrics_table(
    report: Report, printed: Mapping[str, Printed] | None = None, *, aggregate: Aggregate = "folds"
) -> Table:
    """One row per metric: over folds, pooled over seeds, interval over speakers, and the printed number.

    The printed number is compared with the ``aggregate`` column.
    """
    n_folds, n_seeds = len(report.folds), len(report.seeds)
    columns = [
        "metric",
        f"mean of {n_folds} folds" if n_folds > 1 else "the fold",
        f"pooled, {n_seeds} seed{'s' * (n_seeds > 1)}",
        "95 % of pooled",
    ]
    rows: list[list[Cell]] = []
    shown = _shown(report) if report.summary else []
    for metric in shown:
        found = report.summary[metric]
        rows.append([metric_name(metric), found.folds, found.seeds, found.seeds_interval])
    if printed:
        columns += ["printed", "difference", "within 2 std"]
        for row, metric in zip(rows, shown, strict=True):
            row += _beside(getattr(report.summary[metric], aggregate), printed.get(metric))
    return Table(report.title, tuple(columns), _rows(rows), (*provenance(report), *about_n(report)))


def elsewhere_table(report: Report, *, aggregate: Aggregate | None = None) -> Table:
    """One row per other corpus: what every head of the run scores there, and the recall of each class.

    ``aggregate`` is by default over folds where there are several, else over seeds.
    """
    chosen = aggregate or ("folds" if len(report.folds) > 1 else "seeds")
    metrics = _shown(report)
    columns = [
        "tested on",
        "task",
        "utterances",
        *map(metric_name, metrics),
        f"{NAMES[report.main_metric]} 95 %",
    ]
    rows: list[list[Cell]] = []
    for there in report.elsewhere:
        row: list[Cell] = [there.dataset, there.task, there.corpus["n_utterances"]]
        row += [getattr(there.summary[metric], chosen) for metric in metrics]
        row.append(there.summary[report.main_metric].interval(chosen))
        rows.append([*row, *(recall_there(report, there, k, chosen) for k in range(len(report.classes)))])
    columns += [f"recall {name}" for name in report.classes]
    scopes = dict.fromkeys(there.normalisation for there in report.elsewhere)
    notes = [] if report.summary else [*provenance(report)]
    models = "the one model" if len(report.runs) == 1 else f"each of {len(report.runs)} models"
    notes += [f"all of each corpus is predicted by {models}; {AGGREGATES[chosen]}"]
    notes += [f"there: normalisation {scope}" for scope in scopes]
    notes += [note for there in report.elsewhere for note in there.notes]
    return Table(f"{report.title}: other corpora", tuple(columns), _rows(rows), tuple(notes))


def recall_there(report: Report, there: Elsewhere, k: int, aggregate: Aggregate) -> Score | None:
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


def _shown(report: Report) -> list[str]:
    """The metrics of a report, and those of each target where there are several."""
    targets = report.targets if len(report.targets) > 1 else ()
    shown = [*report.metrics, *(f"{metric}:{name}" for metric in ("rho", "ccc") for name in targets)]
    return [metric for metric in shown if metric in report.summary] if report.summary else shown


def runs_table(
    reports: Sequence[Report],
    printed: Sequence[Mapping[str, Printed]] | None = None,
    *,
    aggregate: Aggregate = "folds",
) -> Table:
    """One row per report: what tells it apart, its scope, folds x seeds, every metric by one convention.

    What a run says of another corpus has a row of its own. Raises SettingsError without reports.
    """
    if not reports:
        raise SettingsError("there are no runs to show; make one with `sercache train`")
    beside = list(printed) if printed is not None else [{} for _ in reports]
    all_metrics = (*METRICS, *NUMBER_METRICS)
    compared = [metric for metric in all_metrics if any(metric in each for each in beside)]
    what = {**_setting("head", reports), **_setting("encoder", reports), **_settings(reports)}
    metrics = [metric for metric in all_metrics if any(metric in report.metrics for report in reports)]
    abroad = any(report.elsewhere for report in reports)
    mains = " or ".join(dict.fromkeys(NAMES[report.main_metric] for report in reports))
    columns = [*what, *(["tested on"] if abroad else []), "folds x seeds"]
    columns += [*(NAMES[metric] for metric in metrics), f"{mains} 95 %"]
    for metric in compared:
        columns += [f"{NAMES[metric]} printed", "difference", "within 2 std"]
    rows: list[list[Cell]] = []
    for k, (report, numbers) in enumerate(zip(reports, beside, strict=True)):
        for name, summary in _tests(report):
            scores = {m: getattr(summary[m], aggregate) if m in summary else None for m in metrics}
            main = summary.get(report.main_metric)
            row: list[Cell] = [*(values[k] for values in what.values()), *([name] if abroad else [])]
            row += [f"{len(report.folds)} x {len(report.seeds)}", *scores.values()]
            row.append(main.interval(aggregate) if main else None)
            for metric in compared:
                own = numbers.get(metric) if summary is report.summary else None
                row += _beside(scores[metric], own)
            rows.append(row)
    notes = (AGGREGATES[aggregate], *scope_notes(reports), *speaker_notes(reports))
    same = [_values(name, reports)[0] for name in ("corpus", "protocol") if name not in what]
    title = f"Runs: {', '.join(same)}" if same else "Runs"
    return Table(title, tuple(columns), _rows(rows), notes)


def _tests(report: Report) -> list[tuple[str, Mapping[str, Summary]]]:
    """What a report was tested on, and the scores; a run without any test has one empty row."""
    own = [("own test parts", report.summary)] if report.summary or not report.elsewhere else []
    return [*own, *((there.dataset, there.summary) for there in report.elsewhere)]


def folds_table(report: Report) -> Table:
    """One row per fold: sizes, whether speakers and sentences are apart, and its scores over seeds."""
    rows: list[list[Cell]] = []
    for fold in report.folds:
        own = [run for run in report.runs if run.fold == fold.name]
        row: list[Cell] = [fold.name, fold.n_train, fold.n_dev, fold.n_test]
        row += [_apart(fold, fold.speakers_disjoint), _apart(fold, fold.sentences_disjoint)]
        for metric in report.metrics:
            row.append(score([run.scores[metric] for run in own]) if report.summary else None)
        rows.append(row)
    columns = ("fold", "train", "dev", "test", "speakers", "sentences", *map(metric_name, report.metrics))
    notes = (
        "speakers, sentences: whether the test part has none of the training part (speakers: nor of the dev part)",
        "mean ± sample std over seeds",
    )
    return Table(f"{report.title}: folds", columns, _rows(rows), notes)


def _apart(fold: FoldRecord, disjoint: bool | None) -> str | None:
    if disjoint is None or not fold.n_test:
        return None
    return "apart" if disjoint else "shared"


def outputs_table(report: Report) -> Table:
    """One row per class or target; see ``classes_table``, ``targets_table``."""
    return targets_table(report) if report.targets else classes_table(report)


def targets_table(report: Report) -> Table:
    """One row per target of a task that gives numbers: pooled predictions, mean over seeds."""
    rows: list[list[Cell]] = []
    for name in report.targets:
        found = [report.summary[f"{metric}:{name}"] for metric in report.metrics]
        rows.append([name, *(each.seeds for each in found), found[0].seeds_interval])
    columns = ("target", *(NAMES[metric] for metric in report.metrics), f"{NAMES[report.main_metric]} 95 %")
    return Table(f"{report.title}: targets", columns, _rows(rows), (AGGREGATES["seeds"],))


def classes_table(report: Report, there: Elsewhere | None = None) -> Table:
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
    note = "predictions of all folds and seeds taken together"
    return Table(title, ("class", "utterances", "recall", "precision"), _rows(rows), (note,))


_TELLING = ("corpus", "task", "protocol", "states", "normalise")
"""Settings that have a column where runs differ in them."""


def _settings(reports: Sequence[Report]) -> dict[str, list[str]]:
    """Columns of what tells the runs apart: some wherever they differ, the rest where runs of one head do."""
    columns: dict[str, list[str]] = {}
    for name in _TELLING:
        if name == "normalise" or len(set(_values(name, reports))) > 1:
            columns |= _setting(name, reports)
    fields = [*_fields_of(reports, "setup"), *_fields_of(reports, "recipe"), *_fields_of(reports, "options")]
    for name in dict.fromkeys(fields):
        if name in (*_TELLING, "encoder", "dataset", "seeds", "test_on"):
            continue
        values = _values(name, reports)
        if len({(report.head, value) for report, value in zip(reports, values, strict=True)}) > len(
            {report.head for report in reports}
        ):
            columns |= _setting(name, reports)
    return columns


def _fields_of(reports: Sequence[Report], part: str) -> list[str]:
    return [name for report in reports for name in getattr(report, part)]


def _setting(name: str, reports: Sequence[Report]) -> dict[str, list[str]]:
    return {name.replace("_", " "): _values(name, reports)}


def _values(name: str, reports: Sequence[Report]) -> list[str]:
    """What each report says of a setting, as text."""
    found = []
    for report in reports:
        about = {**report.options, **report.recipe, **report.setup, "head": report.head}
        about["corpus"] = " + ".join([report.corpus["name"], *(more["name"] for more in report.also_trained)])
        value = about.get(name)
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        found.append("none" if value is None or text == "" else text)
    return found


def _beside(ours: Score | None, printed: Printed | None) -> list[Cell]:
    """Printed number, difference and verdict; dashes where something is missing.

    The verdict compares with twice the printed standard deviation, or ours where none is printed.
    """
    if printed is None:
        return [None, None, None]
    reference = Reference(printed.mean, printed.std)
    if ours is None:
        return [reference, None, None]
    difference = ours.mean - printed.mean
    spread = printed.std if printed.std is not None else ours.std
    # A tolerance for sums of decimals: 0.70 against 0.74 ± 0.02 is within.
    verdict = None if spread is None else "yes" if abs(difference) <= 2 * spread + 1e-9 else "no"
    return [reference, Difference(difference), verdict]


def _rows(rows: Sequence[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(row) for row in rows)

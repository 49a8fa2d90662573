"""Tables of reports: runs side by side, one run's metrics, a paper's numbers beside ours.

A table always names the normalisation scope of its rows, and says so where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from sercache.errors import SettingsError
from sercache.report.record import AGGREGATES, METRICS, NAMES, Aggregate, Report, Score, score
from sercache.report.render import Cell, Difference, Format, Interval, Reference, Table


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
    if len(reports) == 1:
        made = metrics_table(reports[0], beside[0], aggregate=aggregate)
    else:
        made = runs_table(reports, beside, aggregate=aggregate)
    return made.render(format)


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
        "95 % over speakers",
    ]
    rows: list[list[Cell]] = []
    for metric in METRICS:
        found = report.summary[metric]
        interval = Interval(*found.interval) if found.interval else None
        rows.append([NAMES[metric], found.folds, found.seeds, interval])
    if printed:
        columns += ["printed", "difference", "within 2 std"]
        for row, metric in zip(rows, METRICS, strict=True):
            row += _beside(getattr(report.summary[metric], aggregate), printed.get(metric))
    return Table(report.title, tuple(columns), _rows(rows), (*_provenance(report), *_about_n(report)))


def runs_table(
    reports: Sequence[Report],
    printed: Sequence[Mapping[str, Printed]] | None = None,
    *,
    aggregate: Aggregate = "folds",
) -> Table:
    """One row per report: what tells it apart, its scope, folds x seeds, every metric by one convention.

    Raises SettingsError without reports.
    """
    if not reports:
        raise SettingsError("there are no runs to show; make one with `sercache train`")
    beside = list(printed) if printed is not None else [{} for _ in reports]
    compared = [metric for metric in METRICS if any(metric in each for each in beside)]
    what = {**_setting("head", reports), **_setting("encoder", reports), **_settings(reports)}
    columns = [*what, "folds x seeds", *(NAMES[metric] for metric in METRICS), "UA 95 %"]
    for metric in compared:
        columns += [f"{NAMES[metric]} printed", "difference", "within 2 std"]
    rows: list[list[Cell]] = []
    for k, (report, numbers) in enumerate(zip(reports, beside, strict=True)):
        scores = {metric: getattr(report.summary[metric], aggregate) for metric in METRICS}
        interval = report.summary["ua"].interval
        row: list[Cell] = [*(values[k] for values in what.values())]
        row += [f"{len(report.folds)} x {len(report.seeds)}", *scores.values()]
        row.append(Interval(*interval) if interval else None)
        for metric in compared:
            row += _beside(scores[metric], numbers.get(metric))
        rows.append(row)
    notes = (AGGREGATES[aggregate], *_scope_notes(reports), *_speaker_notes(reports))
    same = [_values(name, reports)[0] for name in ("corpus", "protocol") if name not in what]
    title = f"Runs: {', '.join(same)}" if same else "Runs"
    return Table(title, tuple(columns), _rows(rows), notes)


def comparison(
    title: str,
    metrics: Sequence[str],
    rows: Sequence[tuple[str, Mapping[str, Printed], Report | None]],
    *,
    aggregate: Aggregate = "folds",
) -> Table:
    """A paper's table: name, printed numbers, ours (None: not run), difference and verdict for each metric."""
    columns = ["model"]
    for metric in metrics:
        lead = f"{NAMES.get(metric, metric)} " if len(metrics) > 1 else ""
        columns += [f"{lead}printed", f"{lead}ours", f"{lead}difference", f"{lead}within 2 std"]
    columns += ["n", "normalise"]
    body: list[list[Cell]] = []
    for name, printed, report in rows:
        row: list[Cell] = [name]
        for metric in metrics:
            ours = getattr(report.summary[metric], aggregate) if report else None
            reference, *verdict = _beside(ours, printed.get(metric))
            row += [reference, ours, *verdict]
        n = f"{len(report.folds)} folds x {len(report.seeds)} seeds" if report else None
        body.append([*row, n, report.setup["normalise"] if report else None])
    notes = [f"{', '.join(NAMES.get(metric, metric) for metric in metrics)}: {AGGREGATES[aggregate]}"]
    notes += _scope_notes([report for _, _, report in rows if report])
    for name, _, report in rows:
        if report and report.deviations:
            notes.append(f"{name} differs from the paper: {'; '.join(report.deviations)}")
    return Table(title, tuple(columns), _rows(body), tuple(notes))


def folds_table(report: Report) -> Table:
    """One row per fold: sizes, whether speakers are apart, and its scores over seeds."""
    rows: list[list[Cell]] = []
    for fold in report.folds:
        own = [run for run in report.runs if run.fold == fold.name]
        speakers = "apart" if fold.speakers_disjoint else "shared"
        row: list[Cell] = [fold.name, fold.n_train, fold.n_dev, fold.n_test, speakers]
        rows.append([*row, *(score([run.scores[metric] for run in own]) for metric in METRICS)])
    columns = ("fold", "train", "dev", "test", "speakers", *(NAMES[metric] for metric in METRICS))
    return Table(f"{report.title}: folds", columns, _rows(rows), ("mean ± sample std over seeds",))


def classes_table(report: Report) -> Table:
    """One row per class: test utterances, recall and precision of the pooled predictions of all seeds."""
    counts = np.array(report.confusion)
    rows: list[list[Cell]] = []
    for k, name in enumerate(report.classes):
        true, called = int(counts[k].sum()), int(counts[:, k].sum())
        recall = float(counts[k, k] / true) if true else None
        precision = float(counts[k, k] / called) if called else None
        rows.append([name, true // len(report.seeds), recall, precision])
    note = "predictions of all folds and seeds taken together"
    return Table(
        f"{report.title}: classes", ("class", "utterances", "recall", "precision"), _rows(rows), (note,)
    )


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
        if name in (*_TELLING, "encoder", "dataset", "seeds"):
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
        found.append("none" if value is None else str(value))
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


def _provenance(report: Report) -> list[str]:
    """What a single result rests on, a line each."""
    corpus = report.corpus
    lines = [
        f"{corpus['n_utterances']} utterances of {corpus['n_speakers']} speakers, task {corpus['task']}, "
        f"release {corpus['release'] or 'not known'}",
        f"normalisation {report.normalisation}",
        f"epoch: {report.selection}",
        *_speaker_notes([report]),
        *_class_notes(report),
    ]
    if corpus["left_out"]:
        first = next(iter(corpus["left_out"].items()))
        lines.append(f"{len(corpus['left_out'])} utterances left out, first: {first[0]}: {first[1]}")
    return lines + [f"corpus: {warning}" for warning in corpus["warnings"]]


def _about_n(report: Report) -> list[str]:
    lines = [f"folds: {AGGREGATES['folds']}"] if len(report.folds) > 1 else []
    return [*lines, f"pooled: {AGGREGATES['seeds']}" if len(report.folds) > 1 else "± sample std over seeds"]


def _scope_notes(reports: Sequence[Report]) -> list[str]:
    scopes = sorted({report.setup["normalise"] for report in reports})
    notes = []
    if len(scopes) > 1:
        notes.append(
            f"rows differ in normalisation scope ({', '.join(scopes)}): compare only rows of one scope"
        )
    if "speaker" in scopes:
        notes.append("normalise speaker: the statistics see the test speaker's features")
    return notes


def _speaker_notes(reports: Sequence[Report]) -> list[str]:
    shared = [report for report in reports if not all(fold.speakers_disjoint for fold in report.folds)]
    if not shared:
        return ["no test speaker talks in a training or dev part (checked)"] if reports else []
    which = "" if len(reports) == 1 else ": " + ", ".join(dict.fromkeys(r.title for r in shared))
    return [f"test speakers also talk in training or dev parts, or are not known{which}"]


def _class_notes(report: Report) -> list[str]:
    """Folds whose test part lacks a class: their UA is a mean over fewer classes."""
    held: dict[str, set[int]] = {}
    for prediction in report.predictions:
        held.setdefault(prediction.fold, set()).add(prediction.true)
    partial = [fold for fold, classes in held.items() if len(classes) < len(report.classes)]
    if not partial:
        return []
    return [
        f"{len(partial)} of {len(held)} test parts lack a class (first: {partial[0]}); a fold's UA is the mean "
        "over the classes that it holds, pooled UA is over all"
    ]


def _rows(rows: Sequence[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(row) for row in rows)

"""Several reports side by side: a table for each corpus, task, protocol and estimand, as only these can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sercache import advice
from sercache.errors import SettingsError
from sercache.record import HEADLINE, LOOK, NAMES, Aggregate, CrossCorpus, Report, Score, Summary, score
from sercache.report.notes import (
    about_models,
    about_score,
    interval_notes,
    of_rows,
    provenance,
    reader_notes,
    scope_notes,
    there_notes,
)
from sercache.report.pairs import BEST, best_column
from sercache.report.printed import PrintedNumber, compared, printed_notes
from sercache.report.render import MARK, Cell, ReportTable
from sercache.statistics import ABROAD, System, system_of


@dataclass(frozen=True)
class SideBySideRow:
    """A row: what one report says of its own test parts, or of another corpus."""

    name: str
    report: Report
    printed: Mapping[str, PrintedNumber]
    aggregate: Aggregate
    """How the paper that prints these numbers makes one of many."""
    there: CrossCorpus | None = None

    @property
    def summary(self) -> Mapping[str, Summary]:
        """Scores by metric; empty where nothing was tested."""
        return self.report.summary if self.there is None else self.there.summary

    @property
    def group(self) -> tuple[str, str, str]:
        """What is tested, by which task and protocol: rows of one table agree in it."""
        about = self.report.corpus if self.there is None else self.there.corpus
        protocol = str(self.report.setup["protocol"]) if self.there is None else ABROAD
        corpus = f"{about['name']} {about['release'] or ''}".rstrip()
        return corpus, str(about["task"]), protocol


def runs_tables(
    reports: Sequence[Report],
    printed: Sequence[Mapping[str, PrintedNumber]] | None = None,
    aggregates: Sequence[Aggregate] | None = None,
    names: Sequence[str] | None = None,
) -> list[ReportTable]:
    """One row per report: what tells it apart, its scope, folds x seeds, every metric of one estimand.

    What a run says of another corpus stands in a table of that corpus. ``printed``, ``aggregates`` and ``names`` as
    in ``tables.table``. Raises SettingsError without reports.
    """
    made = _grouped(_entries(reports, printed, aggregates, names))
    return [_table(group, entries, way, names is not None) for group, way, entries in made]


def listing(
    reports: Sequence[Report],
    printed: Sequence[Mapping[str, PrintedNumber]] | None = None,
    aggregates: Sequence[Aggregate] | None = None,
    names: Sequence[str] | None = None,
) -> ReportTable:
    """All rows of ``runs_tables`` below one another, for programs: what a table says in its title is columns here."""
    columns: dict[tuple[str, int], None] = {}
    rows: list[dict[tuple[str, int], Cell]] = []
    for group, way, entries in _grouped(_entries(reports, printed, aggregates, names)):
        own = _table(group, entries, way, names is not None)
        about = (*group, _estimand(group, way, [each.report for each in entries]))
        heads = ("tested on", "task", "protocol", "estimand", *own.columns)
        keys = [(name, heads[:k].count(name)) for k, name in enumerate(heads)]
        columns |= dict.fromkeys(keys)
        rows += [dict(zip(keys, (*about, *row), strict=True)) for row in own.rows]
    cells = tuple(tuple(row.get(key) for key in columns) for row in rows)
    return ReportTable("Runs", tuple(name for name, _ in columns), cells)


def _grouped(
    entries: Sequence[SideBySideRow],
) -> list[tuple[tuple[str, str, str], Aggregate, list[SideBySideRow]]]:
    """What each table shows: its group, its estimand, its rows."""
    groups: dict[tuple[str, str, str], list[SideBySideRow]] = {}
    for each in entries:
        groups.setdefault(each.group, []).append(each)
    return [(group, way, own) for group, own in groups.items() for way in _ways(group, own)]


def _entries(
    reports: Sequence[Report],
    printed: Sequence[Mapping[str, PrintedNumber]] | None,
    aggregates: Sequence[Aggregate] | None,
    names: Sequence[str] | None,
) -> list[SideBySideRow]:
    if not reports:
        raise SettingsError(
            f"there are no runs to show; `{advice.command('train', help=True)}` shows how to make one"
        )
    titles = [report.title for report in reports]
    rows = [
        title if titles.count(title) == 1 else f"{title}, run {k}" for k, title in enumerate(titles, start=1)
    ]
    found = []
    for k, report in enumerate(reports):
        own = (names or rows)[k], report, (printed or [{}] * len(reports))[k]
        way = (aggregates or [HEADLINE] * len(reports))[k]
        if report.summary or not report.cross_corpus:
            found.append(SideBySideRow(*own, way))
        found += [SideBySideRow(own[0], report, {}, way, there) for there in report.cross_corpus]
    return found


def _ways(group: tuple[str, str, str], entries: Sequence[SideBySideRow]) -> list[Aggregate]:
    """The estimands of a group, a table each: those of the papers that print numbers for it, or the usual one."""
    if group[2] == ABROAD:
        return ["folds" if any(len(each.report.folds) > 1 for each in entries) else "seeds"]
    return list(dict.fromkeys(each.aggregate for each in entries if each.printed)) or [HEADLINE]


def _table(
    group: tuple[str, str, str], entries: Sequence[SideBySideRow], way: Aggregate, is_named: bool
) -> ReportTable:
    reports = [each.report for each in entries]
    corpus, task, protocol = group
    metrics, main = reports[0].metrics, reports[0].main_metric
    what = {"run": [each.name for each in entries]} if is_named else {}
    what |= {**_setting("head", reports), **_setting("encoder", reports), **_settings(reports, protocol)}
    columns = [*what, "folds x seeds", *(NAMES[metric] for metric in metrics), f"{NAMES[main]} 95 %"]
    untested = [each.report for each in entries if not each.summary]
    devs = [dev_score(report) for report in reports] if untested else []
    if any(devs):
        columns.append(f"dev {NAMES[main]}")
    shown = [each.printed if each.aggregate == way else {} for each in entries]
    beside = [metric for metric in metrics if any(metric in numbers for numbers in shown)]
    for metric in beside:
        columns += [f"{NAMES[metric]} printed", "difference", "within 2 std"]
    best, about_best = best_column([_system(each, way) for each in entries])
    columns += [BEST] if best else []
    marks = [LOOK if report.look else None for report in reports]
    columns += [MARK] if any(marks) else []
    rows: list[tuple[Cell, ...]] = []
    for k, each in enumerate(entries):
        found = each.summary
        row: list[Cell] = [values[k] for values in what.values()]
        row.append(f"{len(each.report.folds)} x {len(each.report.seeds)}")
        row += [found[metric].score(way) if metric in found else None for metric in metrics]
        row.append(found[main].interval(way) if main in found else None)
        row += [devs[k]] if any(devs) else []
        for metric in beside:
            row += compared(found[metric].score(way) if metric in found else None, shown[k].get(metric))
        rows.append((*row, *best[k : k + 1], *([marks[k]] if any(marks) else [])))
    title = f"Runs: {corpus}, task {task}, {protocol}: {_estimand(group, way, reports)}"
    notes = [*_notes(group, entries, way, bool(any(devs))), *about_best]
    return ReportTable(title, tuple(columns), tuple(rows), tuple(notes))


def _system(each: SideBySideRow, way: Aggregate) -> System | None:
    """What a row says of the utterances that it is tested on, as its scores take that together."""
    if not each.summary:
        return None
    return system_of(each.report, each.name, each.there, by_fold=way == "folds")


def _estimand(group: tuple[str, str, str], way: Aggregate, reports: Sequence[Report]) -> str:
    if all(len(report.folds) == 1 for report in reports):
        return "the test part" if group[2] != ABROAD else "all of it"
    if group[2] == ABROAD:
        return "mean over models"
    return "mean over folds" if way == "folds" else "pooled over folds"


def _notes(
    group: tuple[str, str, str], entries: Sequence[SideBySideRow], way: Aggregate, has_devs: bool
) -> list[str]:
    reports = [each.report for each in entries]
    notes = [about_models(reports) if group[2] == ABROAD else about_score(reports, way)]
    notes += interval_notes(
        [each.summary[each.report.main_metric].interval(way) for each in entries if each.summary]
    )
    if has_devs:
        notes.append(
            "dev: mean ± sample std over folds and seeds at the epoch that was kept; it chose that epoch, so it is no "
            "test score"
        )
    notes += scope_notes(reports)
    notes += reader_notes(
        [each.report.corpus if each.there is None else each.there.corpus for each in entries]
    )
    lines = [
        (
            each.name,
            [*printed_notes(each.printed.values()), *provenance(each.report)]
            if each.there is None
            else there_notes(each.report, each.there),
        )
        for each in entries
    ]
    return [*notes, *of_rows(lines)]


def dev_score(report: Report) -> Score | None:
    """The main score of the dev parts at the epochs that were kept, over folds and seeds; None without."""
    key = f"dev_{report.main_metric}"
    kept = [run.history[run.best_epoch - 1] if run.history else {} for run in report.runs]
    found = [value for epoch in kept if (value := epoch.get(key)) is not None]
    return score(found) if found and len(found) == len(report.runs) else None


_TELLING = ("states",)
"""Settings that have a column wherever runs differ in them; others have one where runs of one head do."""
_GROUPED = ("corpus", "task", "protocol", "encoder", "dataset", "seeds", "test_on", "normalise", "states")


def _settings(reports: Sequence[Report], protocol: str) -> dict[str, list[str]]:
    """Columns of what tells the runs apart: some wherever they differ, the rest where runs of one head do."""
    columns: dict[str, list[str]] = {}
    trained = _values("corpus", reports)
    if protocol == ABROAD or len(set(trained)) > 1:
        columns["trained on"] = trained
    for name in _TELLING if protocol != ABROAD else ("protocol", *_TELLING):
        if len(set(_values(name, reports))) > 1:
            columns |= _setting(name, reports)
    columns["normalise"] = [report.scope_shown for report in reports]
    fields = [*_fields_of(reports, "setup"), *_fields_of(reports, "recipe"), *_fields_of(reports, "options")]
    for name in dict.fromkeys(fields):
        if name in _GROUPED:
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

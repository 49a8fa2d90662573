"""`sercache reproduce`: a paper's tables and figures, ours beside the printed numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sercache import catalog, settings
from sercache.commands import _cells, _measured
from sercache.commands._console import columns, say, used, warn
from sercache.commands._material import NotAtHandError, Place, check_at_hand, corpus_of, expect
from sercache.commands._trial import Plan, plan
from sercache.commands._trials import folder_of, missing_corpora, obtain
from sercache.errors import (
    EncoderError,
    MissingExtraError,
    MissingFeaturesError,
    SercacheError,
    SettingsError,
    UnknownNameError,
)
from sercache.evaluation.lexical import transcripts
from sercache.papers import BestOf, Cell, ErrorRate, Latency, Row, Score, Table, Trial, scores, trials
from sercache.report import comparison_plots, plots, record
from sercache.report.comparison import Compared, ComparedRow, comparison, run_notes
from sercache.report.record import Report
from sercache.report.render import Reference

_MISSING = (EncoderError, MissingFeaturesError, MissingExtraError, NotAtHandError)


@dataclass(frozen=True)
class Request:
    """The options of one call."""

    paper: str | None = None
    table: str | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    runs: Path | None = None
    rows: str | None = None
    may_extract: bool = True
    only_available: bool = False
    settings: Sequence[str] = ()
    seeds: int | None = None
    encoders: Sequence[str] = ()

    @property
    def instead(self) -> dict[str, str]:
        """Checkpoints that stand for others. Raises SettingsError for an entry without both."""
        pairs = [text.partition("=") for text in self.encoders]
        strange = next((a + sign + b for a, sign, b in pairs if not (a and b)), None)
        if strange is not None:
            raise SettingsError(f"--encoder is written NAME=CHECKPOINT here, got {strange!r}")
        return {name: value for name, _, value in pairs}

    def plan(self, trial: Trial) -> Plan:
        """The trial with what this call changes of it."""
        return plan(trial, changes=self.settings, seeds=self.seeds, encoders=self.instead)

    @property
    def changes(self) -> tuple[str, ...]:
        """What differs from the paper by the user's will, in words."""
        seeds = () if self.seeds is None else (f"at most {self.seeds} seeds",)
        swapped = tuple(f"encoder {value} for {name}" for name, value in self.instead.items())
        return (*self.settings, *seeds, *swapped)


@dataclass
class _Found:
    """What came out: reports by digest, values by cell, and what stood in the way."""

    reports: dict[str, tuple[str, Report]]
    missing: dict[str, None]
    failed: dict[str, None]


def run(request: Request) -> None:
    """Without a table: list what there is. Else run what can be run, keep it, print the table and write it.

    A corpus or checkpoint that is not at hand is named once, with how to get it; its cells show the printed
    numbers alone. Raises UnknownNameError; SettingsError at the end where trials failed.
    """
    if request.paper is None or request.table is None:
        _list(request)
        return
    name, module = find_paper(request.paper)
    if request.table not in module.TABLES:
        raise UnknownNameError(catalog.unknown(f"table of {name}", request.table, list(module.TABLES)))
    table: Table = module.TABLES[request.table]
    place = _place(name, table, request)
    used("paper", module.CITATION)
    chosen = _chosen(table, request.rows)
    expect((p.setup for p in _plans(chosen, request)), place)
    found = _Found({}, {}, {})
    body, n_skipped = _body(chosen, table, request, place, found)
    _show(table, body, found, n_skipped, request, place.folder)
    if found.failed:
        raise SettingsError(f"{len(found.failed)} trials could not be run, first: {next(iter(found.failed))}")


def find_paper(name: str) -> tuple[str, ModuleType]:
    """The paper's full name and module; the beginning of one is enough. Raises UnknownNameError."""
    on_offer = catalog.names("sercache.papers")
    fitting = [each for each in on_offer if each.startswith(name.lower())]
    full = fitting[0] if len(fitting) == 1 else name
    return full, catalog.load("sercache.papers", full)


def _place(paper: str, table: Table, request: Request) -> Place:
    known = settings.load()
    if request.root is not None:
        first = next((trial.dataset for trial in trials(table)), None)
        known = dataclasses.replace(known, roots={**known.roots, str(first): str(request.root)})
    cache = known.value("cache", request.cache)
    used("cache", cache)
    return Place(
        known,
        Path(cache.value).expanduser(),
        known.value("device", request.device).value,
        Path(known.value("runs", request.runs).value).expanduser() / paper,
        request.may_extract,
        may_download=not request.only_available,
    )


def _chosen(table: Table, pattern: str | None) -> list[Row]:
    """Rows to fill: those whose name contains the pattern. Raises SettingsError where none does."""
    rows = [row for row in table.rows if not pattern or pattern.lower() in row.name.lower()]
    if not rows:
        raise SettingsError(f"no row contains {pattern!r}; there is: {'; '.join(r.name for r in table.rows)}")
    return rows


def _plans(rows: Sequence[Row], request: Request) -> list[Plan]:
    """Plans of all trials of some rows, each once, with those that come before them."""
    plans: dict[str, Plan] = {}
    for row in rows:
        for cell in row.cells.values():
            for score in scores(cell.ours):
                made: Plan | None = request.plan(score.trial)
                for each in (made.start, made.speaker, made) if made else ():
                    if each:
                        plans[each.digest] = each
    return list(plans.values())


def _body(
    rows: Sequence[Row], table: Table, request: Request, place: Place, found: _Found
) -> tuple[list[ComparedRow], int]:
    """Rows with ours where it could be had, and the number of rows left out by ``only_available``."""
    body, n_skipped = [], 0
    for row in rows:
        cells, wanted = {}, [c for c, cell in row.cells.items() if cell.ours is not None]
        for column, cell in row.cells.items():
            ours = _ours(cell, row, request, place, found)
            printed = None if cell.printed is None else Reference(cell.printed.mean, cell.printed.std)
            cells[column] = Compared(printed, ours and _scaled(ours, _scale(cell, table)))
        if request.only_available and wanted and not any(cells[c].ours for c in wanted):
            n_skipped += 1
            continue
        body.append(ComparedRow(row.name, cells))
    return body, n_skipped


def _scale(cell: Cell, table: Table) -> float:
    return 1.0 if isinstance(cell.ours, Latency) else table.scale


def _scaled(score: record.Score, scale: float) -> record.Score:
    return record.Score(score.mean * scale, None if score.std is None else score.std * scale, score.n)


def _ours(cell: Cell, row: Row, request: Request, place: Place, found: _Found) -> record.Score | None:
    """Ours for one cell; None where somebody else's system is printed or something stands in the way."""
    try:
        match cell.ours:
            case Score() as score:
                return _value(score, row, request, place, found)
            case BestOf(groups):
                values = [[_value(each, row, request, place, found) for each in group] for group in groups]
                whole = [[value for value in group if value] for group in values]
                return _cells.best(whole) if whole and all(map(all, values)) else None
            case ErrorRate() as wanted:
                return _measured.error_rate(wanted, request.instead, place)
            case Latency() as wanted:
                return _measured.latency(wanted, place)
            case None:
                return None
    except _MISSING as fault:
        found.missing[str(fault)] = None
    except SercacheError as fault:
        found.failed[f"{row.name}: {fault}"] = None
    return None


def _value(score: Score, row: Row, request: Request, place: Place, found: _Found) -> record.Score | None:
    planned = request.plan(score.trial)
    if planned.digest not in found.reports:
        found.reports[planned.digest] = row.name, obtain(planned, place)
    report = found.reports[planned.digest][1]
    value = _cells.value(score, report, lambda name: transcripts(corpus_of(name, place)[0]))
    if value is None and score.on is not None:
        check_at_hand(score.on, place)
    return value


def _show(
    table: Table,
    body: Sequence[ComparedRow],
    found: _Found,
    n_skipped: int,
    request: Request,
    folder: Path,
) -> None:
    """Print the table and what is missing, write everything to the paper's folder."""
    notes = [*table.notes, *run_notes(list(found.reports.values()))]
    if request.changes:
        notes.insert(0, f"NOT the paper's settings, changed: {'; '.join(request.changes)}")
    if n_skipped:
        notes.append(f"{n_skipped} rows are left out: their corpora or checkpoints are not at hand")
    made = comparison(table.title, table.columns, body, unit=table.unit, digits=table.digits, notes=notes)
    say()
    say(made.text)
    if not request.only_available:
        for fault in found.missing:
            say(f"missing: {fault}")
    for fault in found.failed:
        warn(f"failed: {fault}")
    stem = folder / ".".join([str(request.table), *(_file_name(change) for change in request.changes)])
    for path in [*made.write(stem), *_draw(table, body, found, request, stem)]:
        used("written", str(path))


def _file_name(change: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "=-_" else "-" for letter in change)


def _draw(
    table: Table, body: Sequence[ComparedRow], found: _Found, request: Request, stem: Path
) -> list[Path]:
    """The figure of a table that has one, as PNG and SVG."""
    if table.plot is None:
        return []
    about = table.plot
    try:
        if about.kind == "scatter":
            panels = _panels(table, body, found, request)
            figure = comparison_plots.scatter(table.title, panels, about.x, about.y)
        else:
            draw = comparison_plots.lines if about.kind == "lines" else comparison_plots.bars
            figure = draw(table.title, table.columns, body, about.x, about.y)
    except MissingExtraError as fault:
        warn(str(fault))
        return []
    return plots.save(figure, stem) if figure is not None else []


def _panels(
    table: Table, body: Sequence[ComparedRow], found: _Found, request: Request
) -> list[tuple[str, Report]]:
    shown = {row.name for row in body}
    panels = []
    for row in table.rows:
        for column, cell in row.cells.items() if row.name in shown else ():
            for score in scores(cell.ours):
                digest = request.plan(score.trial).digest
                if digest in found.reports:
                    panels.append((column, found.reports[digest][1]))
    return panels


def _list(request: Request) -> None:
    """Every table, how much of it is done, and what it waits for."""
    known = [find_paper(request.paper)[0]] if request.paper else catalog.names("sercache.papers")
    lines: list[tuple[str, ...]] = [("paper", "table", "trials done", "not at hand", "what")]
    for name in known:
        tables: Mapping[str, Table] = catalog.load("sercache.papers", name).TABLES
        for key, table in tables.items():
            lines.append((name, key, *_state(name, table, request), table.title))
    for line in columns(lines):
        say(line)
    say("run one: sercache reproduce PAPER TABLE [--rows TEXT] [--only-available]")


def _state(paper: str, table: Table, request: Request) -> tuple[str, str]:
    place = _quiet_place(paper, request)
    plans = _plans(table.rows, request)
    missing = dict.fromkeys(name for each in plans for name in missing_corpora(each, place))
    done = sum(folder_of(each, place).exists() for each in plans)
    return f"{done} of {len(plans)}", ", ".join(missing) or "-"


def _quiet_place(paper: str, request: Request) -> Place:
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    runs = Path(known.value("runs", request.runs).value).expanduser()
    return Place(known, cache, "cpu", runs / paper, False)

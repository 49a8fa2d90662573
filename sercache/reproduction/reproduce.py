"""`sercache reproduce`: a paper's tables and figures, ours beside the printed numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from sercache import catalog, files, record, settings
from sercache.chosen import check_look
from sercache.claims import Claims, claims_in, divided
from sercache.errors import (
    LeftOutError,
    SercacheError,
    SettingsError,
    UnknownNameError,
)
from sercache.experiment import clustered
from sercache.head import declared
from sercache.papers import (
    Built,
    Cell,
    Change,
    Latency,
    Members,
    PaperRow,
    PaperTable,
    PublishedLists,
    RecipeField,
    trials_of,
)
from sercache.progress import used
from sercache.published import TrialPlan
from sercache.published.compare import counts_of
from sercache.readings import variants
from sercache.report import Compared, ComparedRow, Reference
from sercache.report import ReportTable as Rendered
from sercache.reproduction import foretold
from sercache.reproduction import rows as rows_of
from sercache.reproduction.differs import differs
from sercache.reproduction.foretold import TableForecast
from sercache.reproduction.material import expect
from sercache.reproduction.ours import ours_of, over, report_of
from sercache.reproduction.overlaps import overlap_notes
from sercache.reproduction.paper import (
    ReproduceOptions,
    TableProgress,
    datasets_of,
    find_paper,
    plans_of,
    roots_of,
    with_table,
)
from sercache.reproduction.place import CLAIMS, Place, check_lists
from sercache.reproduction.show import show


def run(request: ReproduceOptions) -> Rendered | TableForecast | None:
    """Run what can be run of a table, keep it, tell the table and write it; gives the table.

    What it takes where that alone is asked for, None where this process may be started anew.

    A corpus or checkpoint that is not at hand is named once, with how to get it; its cells show the printed
    numbers alone. Raises UnknownNameError; SettingsError at the end where trials failed.
    """
    request = with_table(request)
    if request.paper is None or request.table is None:
        raise SettingsError("reproduce takes a paper and one of its tables")
    name, module = find_paper(request.paper)
    if request.table not in module.TABLES:
        raise UnknownNameError(catalog.unknown(f"table of {name}", request.table, list(module.TABLES)))
    table: PaperTable = module.TABLES[request.table]
    check_look(request.look, request.seeds)
    if clustered.asked(request) and not request.only_foretold:
        if request.budget is not None:
            raise SettingsError("a budget is that of one process: give --budget without --cluster")
        clustered.run("reproduce", request, clustered.runs_folder(request))
        request = clustered.alone(request)
    used("paper", module.CITATION)
    chosen = rows_of.chosen(table, request)
    table = replace(table, rows=tuple({row.name: row for row in (*chosen, *table.rows)}.values()))
    _check_variant(chosen, request)
    place = _place(name, module, chosen, request)
    check_lists(plans_of(chosen, request), place)
    if request.budget is not None:
        chosen, request = foretold.fitting(request.budget, chosen, request, place)
    if request.only_foretold:
        return foretold.tell(chosen, request, place)
    found = TableProgress()
    with files.unless_empty(place.folder), claims_in(place.folder / CLAIMS) as claims:
        foretold.tell(chosen, request, place, claims)
        expect((p.setup for p in plans_of(chosen, request)), place)
        _share(chosen, request, place, found, claims)
    body, n_skipped = _body(chosen, table, request, place, found, counts_of(module))
    if not body and not found.failed:
        raise SettingsError(
            f"nothing of {name} {request.table} can be computed here; not at hand: {'; '.join(found.missing)}"
        )
    notes = _overlaps(chosen, request, place, found) if table.tells_overlap else []
    made = show(replace(table, notes=(*table.notes, *notes)), body, found, n_skipped, request, place.folder)
    if found.failed:
        raise SettingsError(f"{len(found.failed)} trials could not be run, first: {next(iter(found.failed))}")
    return made


def _overlaps(
    rows: Sequence[PaperRow], request: ReproduceOptions, place: Place, found: TableProgress
) -> list[str]:
    done = [
        (each, found.reports[each.digest][1])
        for each in plans_of(rows, request)
        if each.digest in found.reports
    ]
    return overlap_notes(done, place)


def _share(
    rows: Sequence[PaperRow], request: ReproduceOptions, place: Place, found: TableProgress, claims: Claims
) -> None:
    """Have the trials of some rows, those first that no other process works on; faults are told at their cells."""
    planned: dict[str, tuple[TrialPlan, PaperRow]] = {}
    for row in rows:
        for cell in row.cells.values():
            for trial in trials_of(cell.ours):
                each = request.plan(trial)
                planned.setdefault(each.digest, (each, row))
    names = [f"trial-{digest}" for digest in planned]
    for number in divided(claims, names):
        try:
            report_of(*list(planned.values())[number], place, found)
        except LeftOutError:
            claims.leave_out(names[number])
        except SercacheError:
            continue
    for digest in planned.keys() - found.faults.keys() - found.reports.keys():
        found.faults[digest] = LeftOutError(
            "left out by another process, since those that trained it were lost"
        )


def _place(paper: str, module: ModuleType, rows: Sequence[PaperRow], request: ReproduceOptions) -> Place:
    lists: PublishedLists | None = getattr(module, "LISTS", None)
    read = datasets_of(rows, plans_of(rows, request))
    known = roots_of(request, read, settings.load(), lists.name if lists else None)
    cache = known.value("cache", request.cache)
    used("cache", cache)
    return Place(
        known,
        Path(cache.value).expanduser(),
        known.value("device", request.device).value,
        Path(known.value("runs", request.runs).value).expanduser() / paper,
        request.may_extract,
        may_download=not request.only_available,
        lists=lists,
    )


def _check_variant(rows: Sequence[PaperRow], request: ReproduceOptions) -> None:
    """Raises SettingsError where no head of some rows has the variant that is asked for."""
    heads = dict.fromkeys(each.trial.head for each in plans_of(rows, request))
    having = {name: variants(declared(catalog.load("sercache.heads", name)).readings) for name in heads}
    if request.variant is not None and not any(request.variant in each for each in having.values()):
        named = "; ".join(f"{name} has {', '.join(each) or 'none'}" for name, each in having.items())
        raise SettingsError(
            f"{request.paper} {request.table} has no variant {request.variant}: "
            f"{named or 'nothing is trained for it'}; leave --variant out"
        )


def _body(
    rows: Sequence[PaperRow],
    table: PaperTable,
    request: ReproduceOptions,
    place: Place,
    found: TableProgress,
    counts: Mapping[str, int],
) -> tuple[list[ComparedRow], int]:
    """Rows with ours where it could be had, and the number of rows left out by ``only_available``."""
    body, n_skipped = [], 0
    for row in rows:
        cells, wanted = {}, [c for c, cell in row.cells.items() if cell.ours is not None]
        for column, cell in row.cells.items():
            ours = ours_of(cell, row, request, place, found)
            printed = None if cell.printed is None else Reference(cell.printed.mean, cell.printed.std)
            otherwise = differs(cell, request, place, found, counts) if ours else ()
            cells[column] = Compared(
                printed, ours and _scaled(ours, _scale(cell, table)), otherwise, over(cell)
            )
        if request.only_available and wanted and not any(cells[c].ours for c in wanted):
            n_skipped += 1
            continue
        body.append(ComparedRow(row.name, cells))
    return body, n_skipped


def _scale(cell: Cell, table: PaperTable) -> float:
    """Of what is a share of 1: no times, counts and changes."""
    is_share = not isinstance(cell.ours, Latency | Change | Members | Built | RecipeField)
    return table.scale if is_share else 1.0


def _scaled(score: record.Score, scale: float) -> record.Score:
    return record.Score(score.mean * scale, None if score.std is None else score.std * scale, score.n)

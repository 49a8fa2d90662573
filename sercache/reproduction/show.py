"""A paper's table as the terminal, files and figures show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sercache import catalog
from sercache.errors import MissingExtraError
from sercache.head import declared
from sercache.layout import terminal_width
from sercache.papers import PaperTable, TrialScore, scores
from sercache.progress import say, used, warn
from sercache.published import LOOK_EPOCHS, of_variant, text_and_code
from sercache.readings import Variant, variants
from sercache.record import LOOK, Report
from sercache.report import Cell, comparison_plots, maps, pairs, plots
from sercache.report import ReportTable as Rendered
from sercache.report.comparison import ComparedRow, comparison, run_notes
from sercache.reproduction.paper import ReproduceOptions, TableProgress, plans_of
from sercache.statistics import system_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(
    table: PaperTable,
    body: Sequence[ComparedRow],
    found: TableProgress,
    n_skipped: int,
    request: ReproduceOptions,
    folder: Path,
) -> Rendered:
    """Print the table and what is missing, write everything to the paper's folder; gives the table."""
    marks, differing = _differing(table, found)
    body = [_marked(row, table, request, marks) for row in body]
    notes = [*table.notes, *run_notes(list(found.reports.values())), *differing]
    plans = plans_of([row for row in table.rows if row.name in {each.name for each in body}], request)
    heads = list(dict.fromkeys(each.trial.head for each in plans))
    if request.variant is not None:
        notes = [*_of_variant(request.variant, heads), *notes]
    if request.look:
        table = replace(table, title=f"{LOOK}: {table.title}")
        notes.insert(
            0, f"one seed and at most {LOOK_EPOCHS} epochs of every training: nothing of this is a result"
        )
    elif request.changes:
        notes.insert(0, f"NOT the paper's settings, changed: {'; '.join(request.changes)}")
    if n_skipped:
        notes.append(f"{n_skipped} rows are left out: their corpora or checkpoints are not at hand")
    made = comparison(table.title, table.columns, body, unit=table.unit, digits=table.digits, notes=notes)
    say()
    say(made.render("text", terminal_width()))
    if not request.only_available:
        for fault in found.missing:
            say(f"missing: {fault}")
    beside = text_and_code(heads)
    if beside is not None:
        say()
        say(beside.render("text", terminal_width()))
    for fault in found.failed:
        warn(f"failed: {fault}")
    stem = folder / ".".join([str(request.table), *(_file_name(each) for each in _marks(request))])
    written = made.write(stem) + (
        beside.write(stem.with_name(f"{stem.name}.text-and-code")) if beside else []
    )
    for path in [*written, *_draw(table, body, found, request, stem)]:
        used("written", str(path))
    return made


def _differing(table: PaperTable, found: TableProgress) -> tuple[dict[str, Cell], list[str]]:
    """Which trials differ from the best on the same utterances, by the estimand of the table: by digest, in words."""
    ways = {each.aggregate for row in table.rows for cell in row.cells.values() for each in scores(cell.ours)}
    names = [name for name, _ in found.reports.values()]
    systems = {
        digest: system_of(
            report, name if names.count(name) == 1 else f"{name} ({report.title})", by_fold=ways == {"folds"}
        )
        for digest, (name, report) in found.reports.items()
        if report.predictions
    }
    marks, notes = pairs.best_of_groups(list(systems.values()))
    return {digest: marks.get(each.name) for digest, each in systems.items()}, notes


def _marked(
    row: ComparedRow, table: PaperTable, request: ReproduceOptions, marks: Mapping[str, Cell]
) -> ComparedRow:
    """The row with what its trials' own scores are marked with; a recall, or a score abroad, has no mark."""
    sources = next(each.cells for each in table.rows if each.name == row.name)
    cells = dict(row.cells)
    for column, cell in cells.items():
        match sources[column].ours:
            case TrialScore(trial, on=None, of=None) if cell.ours is not None:
                cells[column] = replace(cell, from_best=marks.get(request.plan(trial).digest))
    return ComparedRow(row.name, cells)


def _marks(request: ReproduceOptions) -> list[str]:
    """What tells the files of a call from those of the paper's settings."""
    return ([f"variant-{request.variant}"] if request.variant else []) + list(request.changes)


def _of_variant(variant: Variant, heads: Sequence[str]) -> list[str]:
    """What a variant changes, a line for each head that has it, and the heads that have not."""
    modules = {name: catalog.load("sercache.heads", name) for name in heads}
    having = [name for name, module in modules.items() if variant in variants(declared(module).readings)]
    lines = [
        f"variant {variant}, {name}: {of_variant(modules[name], variant, name).words}" for name in having
    ]
    others = [name for name in heads if name not in having]
    return [*lines, *([f"no variant {variant}, as everywhere: {', '.join(others)}"] if others else [])]


def _file_name(change: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "=-_" else "-" for letter in change)


def _draw(
    table: PaperTable,
    body: Sequence[ComparedRow],
    found: TableProgress,
    request: ReproduceOptions,
    stem: Path,
) -> list[Path]:
    """The figure of a table that has one, as PNG and SVG."""
    if table.plot is None:
        return []
    about = table.plot
    try:
        if about.kind == "map":
            figure = _map(table, found)
        elif about.kind == "scatter":
            panels = _panels(table, body, found, request)
            figure = comparison_plots.scatter(table.title, panels, about.x, about.y)
        else:
            lines = partial(comparison_plots.lines, panels=about.panels)
            draw = lines if about.kind == "lines" else comparison_plots.bars
            shown = [
                ComparedRow(row.name, {c: v for c, v in row.cells.items() if c not in about.omit})
                for row in body
                if row.name not in about.omit
            ]
            columns = [column for column in table.columns if column not in about.omit]
            figure = draw(table.title, columns, shown, about.x, about.y)
    except MissingExtraError as fault:
        warn(str(fault))
        return []
    return plots.save(figure, stem) if figure is not None else []


def _map(table: PaperTable, found: TableProgress) -> Figure | None:
    """t-SNE of the vectors of every cell that has them, or an empty panel that says of how few; None without any.

    Panels keep the places that they have in the paper, train left and test right, whichever of them are empty.
    """
    panels, n_drawn = [], 0
    for row in table.rows:
        for column, cell in row.cells.items():
            have = found.vectors.get(id(cell.ours))
            if have is not None:
                panels.append((f"{row.name}, {column}", have.vectors, have.labels))
                n_drawn += len(have.labels) > maps.PERPLEXITY
    return maps.vector_map(panels, table.title) if n_drawn else None


def _panels(
    table: PaperTable, body: Sequence[ComparedRow], found: TableProgress, request: ReproduceOptions
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

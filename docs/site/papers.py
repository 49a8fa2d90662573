"""The page on the six papers: their tables as printed, what is run for ours, and where text, code and we differ."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from catalogue import cell, table

from sercache import catalog
from sercache.papers import PaperTable, Printed, trials
from sercache.published import text_and_code
from sercache.report import ReportTable
from sercache.report.render import Reference, show
from sercache.reproduction.paper import ReproduceOptions, datasets_of, plans_of


def page() -> str:
    """All papers, one after another."""
    lines = [
        "# Six papers",
        "",
        "The tables and figures of six papers, with what the papers print. `sercache reproduce PAPER TABLE` trains what a",
        "table needs and prints ours beside it, with the difference, and a verdict only where nothing differs that the paper",
        "fixed. No number of ours stands on this page: ours come from your copy of the corpora, most of which need a",
        "licence. `--budget 8h` runs what fits and says what is left. [What it costs](overview.md#what-it-costs).",
        "",
        "Cells without anything of ours are other people's results, printed as such.",
        "",
    ]
    for name in catalog.names("sercache.papers"):
        lines += _paper(name, catalog.load("sercache.papers", name))
    return "\n".join(lines)


def _paper(name: str, module: ModuleType) -> Iterator[str]:
    tables: dict[str, PaperTable] = module.TABLES
    yield from (f"## {name}", "", cell(module.CITATION), "")
    for key, each in tables.items():
        yield from _table(name, key, each)
    used = dict.fromkeys(trial.head for each in tables.values() for trial in trials(each))
    beside = text_and_code(used)
    if beside is not None:
        yield from (f"### {name}: text, code, ours", "")
        yield from (
            "What is read in more than one way, for all heads of this paper. `--variant paper` and `--variant code` run",
            "all of one side.",
            "",
        )
        yield from _rendered(beside)


def _table(name: str, key: str, paper_table: PaperTable) -> Iterator[str]:
    cells = [each for row in paper_table.rows for each in row.cells.values()]
    ours = sum(each.ours is not None for each in cells)
    asked = ReproduceOptions(name, key)
    plans = plans_of(paper_table.rows, asked)
    setups = [plan.setup for plan in plans]
    corpora = sorted(datasets_of(paper_table.rows, plans))
    encoders = sorted({text.partition(":")[0] for each in setups for text in (each.encoder, *each.beside)})
    yield from (f"### {name} {key}", "", f"{cell(paper_table.title)}.", "")
    if ours:
        about = [f"{ours} of {len(cells)} cells are computed here"]
        if corpora:
            about.append("from " + ", ".join(f"[{each}](corpora.md#{each})" for each in corpora))
        if encoders:
            about.append("with " + ", ".join(f"`{each}`" for each in encoders))
        yield from (f"{' '.join(about)}: `sercache reproduce {name} {key}`.", "")
    printed = [[each for each in row.cells.values() if each.printed] for row in paper_table.rows]
    if any(printed):
        rows = [
            (
                cell(row.name),
                *(_printed(row.cells.get(column), paper_table) for column in paper_table.columns),
            )
            for row in paper_table.rows
        ]
        unit = f" ({paper_table.unit})" if paper_table.unit else ""
        yield from table((f"as printed{unit}", *map(cell, paper_table.columns)), rows)
        yield ""
    yield from (f"- {cell(note)}" for note in paper_table.notes)
    yield ""


def _printed(found: object, paper_table: PaperTable) -> str:
    printed: Printed | None = getattr(found, "printed", None)
    if printed is None:
        return "ours alone" if getattr(found, "ours", None) is not None else "–"
    text = show(Reference(printed.mean, printed.std), paper_table.digits)
    return text if getattr(found, "ours", None) is not None else f"{text} (theirs)"


def _rendered(found: ReportTable) -> Iterator[str]:
    rows = [[cell(show(each)) for each in row] for row in found.rows]
    yield from table(found.columns, rows)
    yield ""
    yield from (f"- {cell(note)}" for note in found.notes)
    yield ""

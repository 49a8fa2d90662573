"""The page over several runs: their tables with a link to each, and which of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sercache.record import counted
from sercache.report.html_pages import render, table_view
from sercache.report.page import drawn_view
from sercache.report.render import ReportTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def index_page(
    tables: Sequence[ReportTable],
    links: Mapping[str, str],
    pairs: Sequence[tuple[ReportTable, Figure]] = (),
    notes: Sequence[str] = (),
) -> str:
    """The page as text: ``links`` are the addresses of runs by name, ``pairs`` tables of comparisons with pictures."""
    groups: list[dict[str, Any]] = [
        {"anchor": f"runs-{k}", "view": table_view(table, links)} for k, table in enumerate(tables)
    ]
    matrices = [
        {"view": table_view(table), "picture": drawn_view("pairs", figure)} for table, figure in pairs
    ]
    sections = [(each["anchor"], _short(each["view"]["title"])) for each in groups]
    sections += [(f"pairs-{k}", _short(each["view"]["title"])) for k, each in enumerate(matrices, start=1)]
    told = f"{counted(len(links), 'run')}. Only runs of one corpus, task and protocol stand in one table."
    return render(
        "index.html",
        title=f"{counted(len(links), 'run')} side by side",
        sections=sections,
        told=told,
        groups=groups,
        matrices=matrices,
        notes=notes,
    )


def _short(title: str, n: int = 48) -> str:
    return title if len(title) <= n else title[: n - 1] + "…"

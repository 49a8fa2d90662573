"""Pages from templates: whatever names hold is text, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sercache.record import Interval, Score
from sercache.report.render import Cell, Reference, ReportTable, SignedDifference, numeric, show

_MADE_BY = "Made by sercache. This file is all there is: it loads nothing and sends nothing."


def render(template: str, **values: Any) -> str:
    """A page of the template; its scripts and styles stand in it, and its policy allows no others."""
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    known = {"home": "", "sections": (), "made_by": _MADE_BY, **values}
    return _environment().get_template(template).render(
        **known, style=Markup(_file("page.css")), script=Markup(script), script_digest=digest
    ) + "\n"  # fmt: skip


def table_view(table: ReportTable, links: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A table as templates take it; ``links`` are addresses by the text of a first cell."""
    numbers = numeric(table)
    columns = [
        {"name": name, "number": is_number} for name, is_number in zip(table.columns, numbers, strict=True)
    ]
    rows = [
        {"cells": [_cell(cell, table, k, numbers[k], links or {}) for k, cell in enumerate(row)], "data": ()}
        for row in table.rows
    ]
    return {"title": table.title, "columns": columns, "rows": rows, "notes": table.notes}


def _cell(
    cell: Cell, table: ReportTable, k: int, is_number: bool, links: Mapping[str, str]
) -> dict[str, Any]:
    text = show(cell, table.digits)
    return {
        "text": text,
        "value": _value(cell) if is_number else None,
        "href": links.get(text) if k == 0 else None,
    }


def _value(cell: Cell) -> float | str:
    """What a cell is sorted by; empty for none."""
    if isinstance(cell, Score | Reference):
        return cell.mean
    if isinstance(cell, SignedDifference):
        return cell.value
    if isinstance(cell, Interval):
        return "" if cell.low is None else cell.low
    return cell if isinstance(cell, int | float) else ""


@functools.cache
def _file(name: str) -> str:
    return resources.files("sercache.report").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sercache.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

"""Table: cells with a type, and how they look as text, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from sercache import files
from sercache.layout import aligned, filled, wrapped
from sercache.record import LOOK, Interval, Score

Format = Literal["text", "markdown", "csv", "latex"]


@dataclass(frozen=True)
class SignedDifference:
    """Ours less theirs, with its sign."""

    value: float


@dataclass(frozen=True)
class Reference:
    """A printed number."""

    mean: float
    std: float | None


Cell = str | int | float | Score | Interval | SignedDifference | Reference | None
"""None is shown as a dash and is empty in CSV."""

MARK = "mark"
"""Column of rows that are no result."""
_NOTE = "note: "
_AS_IT_IS = ".10g"
"""Counts in full, and 3e-05 as such."""
_SUFFIX: dict[Format, str] = {"text": ".txt", "markdown": ".md", "csv": ".csv", "latex": ".tex"}


@dataclass(frozen=True)
class ReportTable:
    """Rows under columns, and notes that belong under them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    digits: int | None = 4
    """Decimals of scores and printed numbers; None: as many as a number has."""

    @property
    def mark(self) -> str:
        """What the title says first of what is no result; empty for a result."""
        return LOOK if self.title.startswith(LOOK) else ""

    @property
    def text(self) -> str:
        """Aligned columns, each row and each note in one line."""
        return _text(self)

    def render(self, format: Format, width: int | None = None) -> str:
        """The table as text, markdown, csv or latex. CSV holds plain numbers at full precision, no notes, and a mark.

        Text fits ``width`` columns of a terminal (see ``layout.aligned``).
        """
        if format == "text":
            return _text(self, width)
        forms: dict[Format, Callable[[ReportTable], str]] = {
            "markdown": _markdown, "csv": _csv, "latex": _latex,
        }  # fmt: skip
        return forms[format](self)

    def plain(self) -> dict[str, Any]:
        """Title, notes, and rows by column, for programs."""
        rows = [dict(zip(self.columns, map(_plain, row), strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html(self)

    def write(self, stem: Path) -> list[Path]:
        """Write ``stem`` with .md, .csv and .tex; gives the paths."""
        paths = []
        for kind in ("markdown", "csv", "latex"):
            path = stem.with_name(stem.name + _SUFFIX[kind])
            files.write_text(path, self.render(kind) + "\n")
            paths.append(path)
        return paths


def show(cell: Cell, digits: int | None = 4) -> str:
    """A cell for people; scores and printed numbers with so many decimals, None: with those that they have."""
    if cell is None:
        return "–"
    form = _AS_IT_IS if digits is None else f".{digits}f"
    if isinstance(cell, Score | Reference):
        mean = f"{cell.mean:{form}}"
        return mean if cell.std is None else f"{mean} ± {cell.std:{form}}"
    if isinstance(cell, Interval):
        ends = "–" if cell.low is None else f"{cell.low:.3f} to {cell.high:.3f}"
        return f"{ends} ({cell.counted})"
    if isinstance(cell, SignedDifference):
        text = f"{cell.value:+{form}}"
        return text if float(text) else text.replace("-", "+")  # no difference has no side
    return f"{cell:{form}}" if isinstance(cell, float) else str(cell)


def html(table: ReportTable) -> str:
    """The table under a heading, with its notes, as HTML; whatever names hold is text, not markup."""
    kinds = [' class="number"' if is_number else "" for is_number in numeric(table)]

    def row(cells: Sequence[str], tag: str) -> str:
        inner = (f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(inner)}</tr>"

    body = "\n".join(row([show(cell, table.digits) for cell in cells], "td") for cells in table.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return (
        f"<h2>{escape(table.title)}</h2>\n"
        f'<div class="wide"><table>{row(table.columns, "th")}\n{body}</table></div>\n{notes}'
    )


def _plain(cell: Cell) -> Any:
    return cell if cell is None or isinstance(cell, str | int | float) else vars(cell)


def _text(table: ReportTable, width: int | None = None) -> str:
    body = [[show(cell, table.digits) for cell in row] for row in table.rows]
    right = [k for k, is_number in enumerate(numeric(table)) if is_number]
    title = [table.title] if width is None else wrapped(table.title, width)
    rows = ["", *aligned([table.columns, *body], right, width=width, ruled=True)] if body else []
    lines = [*title, *rows]
    notes = [line for note in table.notes for line in filled(note, width, _NOTE, " " * len(_NOTE))]
    return "\n".join(lines + [""] * bool(notes) + notes)


def _markdown(table: ReportTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"

    align = ["---:" if is_number else "---" for is_number in numeric(table)]
    lines = [f"**{table.title}**", "", line(table.columns), "| " + " | ".join(align) + " |"]
    lines += [line([show(cell, table.digits) for cell in row]) for row in table.rows]
    return "\n".join(lines + [""] * bool(table.notes) + [f"- {note}" for note in table.notes])


def _csv(table: ReportTable) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    kinds = [_kind([row[k] for row in table.rows]) for k in range(len(table.columns))]
    heads = [
        [f"{name}{part}" for part in _PARTS.get(kind, ("",))]
        for name, kind in zip(table.columns, kinds, strict=True)
    ]
    # A file of numbers has no title: what is no result says so in each row.
    is_marked = bool(table.mark) and MARK not in table.columns
    writer.writerow([*(name for parts in heads for name in parts), *([MARK] if is_marked else [])])
    for row in table.rows:
        parts = [_fields(cell, kind) for cell, kind in zip(row, kinds, strict=True)]
        writer.writerow([*(value for part in parts for value in part), *([table.mark] if is_marked else [])])
    return out.getvalue().rstrip("\n")


_PARTS: dict[type, tuple[str, ...]] = {
    Score: ("", " std", " n"),
    Reference: ("", " std"),
    Interval: (" low", " high", " n", " units"),
}


def _kind(cells: Sequence[Cell]) -> type:
    return next((type(cell) for cell in cells if cell is not None), str)


def _fields(cell: Cell, kind: type) -> list[object]:
    """Values of a cell, as many as its column has in CSV."""
    if isinstance(cell, Score | Reference):
        spread = "" if cell.std is None else cell.std
        return [cell.mean, spread, cell.n] if isinstance(cell, Score) else [cell.mean, spread]
    if isinstance(cell, Interval):
        ends = ["", ""] if cell.low is None else [cell.low, cell.high]
        return [*ends, cell.n, cell.units]
    if cell is None:
        return [""] * len(_PARTS.get(kind, ("",)))
    return [cell.value if isinstance(cell, SignedDifference) else cell]


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
}  # fmt: skip


def _latex(table: ReportTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(_escape(cell) for cell in cells) + r" \\"

    align = "".join("r" if is_number else "l" for is_number in numeric(table))
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escape(table.title)}}}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        line(table.columns),
        r"\midrule",
        *(line([show(cell, table.digits) for cell in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {_escape(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(["% needs \\usepackage{booktabs}", *lines])


def _escape(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def numeric(table: ReportTable) -> list[bool]:
    """Which columns hold numbers: they are aligned to the right."""
    return [
        bool(table.rows) and all(not isinstance(row[k], str) for row in table.rows)
        for k in range(len(table.columns))
    ]

"""How commands speak on a terminal: what the work tells, and aligned columns."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click

from sercache.text import one_line


class Terminal:
    """Shows what is told of the work: results on standard output, notes and bars on standard error."""

    def line(self, text: str) -> None:
        """One line for the user."""
        click.echo(text)

    def used(self, label: str, value: object) -> None:
        """A label and what it stands for."""
        click.echo(f"{label:<10}{one_line(value)}")

    def note(self, text: str) -> None:
        """One line on standard error."""
        click.echo(f"note: {one_line(text)}", err=True)

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A tqdm bar that redraws on a terminal; into a log it writes a line now and then, and no bar."""
        from tqdm import tqdm

        if sys.stderr.isatty():
            return tqdm(iterable, **{"mininterval": 0.2, "dynamic_ncols": True, "leave": True, **options})
        return _log_of(iterable, options)


_LOG_SECONDS = 30.0
"""Between two lines of one bar in a log."""


def _log_of(iterable: Iterable | None, options: dict[str, Any]) -> Any:
    """A tqdm that writes whole lines without control characters, the first after some time."""
    from tqdm import tqdm

    class Log(tqdm):
        """Progress for a pipe or a file."""

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            """A line, where there is something to tell; nothing is there to be wiped."""
            text = (str(self) if msg is None else msg).strip()
            if text and self.n:
                self.fp.write(f"{text}\n")
                self.fp.flush()

        def clear(self, nolock: bool = False) -> None:
            """Lines stay."""

    counted = "{desc}: {n_fmt}"
    if options.get("total") is not None or hasattr(iterable, "__len__"):
        counted = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt}"
    form = options.get("bar_format", f"{counted} [{{elapsed}}, {{rate_fmt}}{{postfix}}]").replace(
        "|{bar}| ", ""
    )
    quiet = {"mininterval": _LOG_SECONDS, "delay": _LOG_SECONDS, "leave": False}
    return Log(iterable, **{**quiet, **options, "bar_format": form})


def columns(
    rows: Sequence[Sequence[object]], right: Sequence[int] = (), *, spare: int = 0, below: int | None = None
) -> list[str]:
    """Rows as aligned lines that fit the terminal; ``right`` names the columns to align to the right.

    Where a line is too long, the last ``spare`` columns are left out one by one, then the column ``below`` (paths,
    which must not be broken) moves to a line of its own under its row, then text wraps within its column. A pipe or
    a file gets each row whole, in one line.
    """
    text = [[str(cell) for cell in row] for row in rows]
    if not text:
        return []
    width, lowered = terminal_width(), False
    kept = list(range(len(text[0])))
    widths = _fitted(text, kept, width)
    while spare and not _comfortable(text, kept, widths, width):
        kept, spare = kept[:-1], spare - 1
        widths = _fitted(text, kept, width)
    if below in kept and not _comfortable(text, kept, widths, width):
        kept, lowered = [k for k in kept if k != below], True
        widths = _fitted(text, kept, width)
    lines = []
    for row in text:
        lines += _lines([row[k] for k in kept], widths, [kept.index(k) for k in right if k in kept])
        if lowered and below is not None:
            lines.append(f"    {row[below]}")
    return lines


def terminal_width() -> int | None:
    """Columns of the terminal, or those that COLUMNS names; None where output goes into a pipe or a file."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


_GAP = 2
"""Spaces between two columns."""
_NARROW = 24
"""Text in a column narrower than this is hard to read: other columns give way first."""


def _natural(text: Sequence[Sequence[str]], kept: Sequence[int]) -> list[int]:
    return [max(len(row[k]) for row in text) for k in kept]


def _fitted(text: Sequence[Sequence[str]], kept: Sequence[int], width: int | None) -> list[int]:
    """Width of each column: the widest are narrowed, no further than their longest word (or part of one between
    hyphens), until a line fits."""
    widths = _natural(text, kept)
    if width is None:
        return widths
    # The first column names things, which are to be copied whole.
    parts = [re.compile(r"\S+") if k == 0 else re.compile(r"[^\s-]+-?|-+") for k in kept]
    least = [
        max((len(x) for row in text for x in p.findall(row[k])), default=0)
        for k, p in zip(kept, parts, strict=True)
    ]
    while sum(widths) + _GAP * (len(widths) - 1) > width:
        yielding = [k for k, own in enumerate(widths) if own > least[k]]
        if not yielding:
            break
        widths[max(yielding, key=lambda k: widths[k])] -= 1
    return widths


def _comfortable(
    text: Sequence[Sequence[str]], kept: Sequence[int], widths: Sequence[int], width: int | None
) -> bool:
    """Whether lines fit, and no text was squeezed into a narrow column for that."""
    if width is None:
        return True
    squeezed = any(
        own < min(wanted, _NARROW) for own, wanted in zip(widths, _natural(text, kept), strict=True)
    )
    return not squeezed and sum(widths) + _GAP * (len(widths) - 1) <= width


def _lines(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> list[str]:
    """A row over as many lines as its longest cell takes."""
    cells = [
        textwrap.wrap(cell, max(1, width), break_long_words=False) if len(cell) > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    return [
        (" " * _GAP)
        .join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        .rstrip()
        for line in itertools.zip_longest(*cells, fillvalue="")
    ]

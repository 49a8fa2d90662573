"""How commands speak: lines, a progress bar, aligned columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from sercache.settings import Setting


def say(text: str = "") -> None:
    """One line for the user."""
    click.echo(text)


def warn(text: str) -> None:
    """One line about something that deserves a look, on standard error."""
    click.echo(f"note: {text}", err=True)


def used(label: str, setting: Setting | str) -> None:
    """One line that says which value is used and where it came from."""
    say(f"{label:<10}{setting}")


def bar(iterable: Iterable | None = None, **options: Any) -> Any:
    """A tqdm bar that redraws on a terminal and prints now and then into a log."""
    from tqdm import tqdm

    on_terminal = sys.stderr.isatty()
    settings = {
        "mininterval": 0.2 if on_terminal else 10.0,
        "dynamic_ncols": on_terminal,
        "leave": on_terminal,
    }
    return tqdm(iterable, **{**settings, **options})


def columns(rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> list[str]:
    """Rows as aligned lines; ``right`` names the columns to align to the right."""
    text = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in text) for k in range(len(text[0]))] if text else []
    return [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in text
    ]


def size(n_bytes: float) -> str:
    """Bytes for people: ``1.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds for people: ``2 h 05 min``, ``3 min 20 s``, ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{seconds:.0f} s"

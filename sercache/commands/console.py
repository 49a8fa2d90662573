"""What commands print on a terminal: what the work reports, and aligned columns."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import PurePath
from typing import Any

import click

from sercache import objects, progress
from sercache.layout import columns, filled, terminal_width
from sercache.text import one_line


class Terminal:
    """Shows what is told of the work: results on standard output, unless ``err``; notes and bars on standard error."""

    def __init__(self, *, err: bool = False) -> None:
        self.err = err

    def line(self, text: str) -> None:
        """One line for the user."""
        click.echo(objects.shown(text), err=self.err)

    def used(self, label: str, value: object) -> None:
        """A label and what it stands for."""
        click.echo(f"{label:<10}{objects.shown(one_line(value))}", err=self.err)

    def note(self, text: str) -> None:
        """One line on standard error."""
        click.echo(f"note: {objects.shown(one_line(text))}", err=True)

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A bar that redraws on a terminal; into a log a line now and then."""
        return progress.shown(iterable, {"mininterval": 0.2, "dynamic_ncols": True, "leave": True}, options)


class Apart(Terminal):
    """All that is told on standard error, where it does not mix with JSON on standard output."""

    def __init__(self) -> None:
        super().__init__(err=True)
        self.forecasts: list[object] = []
        """What was said of the time that the work takes."""
        self.heard: list[object] = []
        """The same, as it was said."""

    def used(self, label: str, value: object) -> None:
        """A label and what it stands for; forecasts are kept."""
        super().used(label, value)
        if label == "forecast":
            self.heard.append(value)
            held = _plain(value)
            self.forecasts.append({"words": str(value), **(held if isinstance(held, dict) else {})})


def told(found: Any, show: Callable[[Any], object], as_json: Apart | bool) -> None:
    """What a command found: as ``show`` prints it for people, or as JSON for programs, with what was foretold."""
    if as_json:
        ahead, heard = (as_json.forecasts, as_json.heard) if isinstance(as_json, Apart) else ([], [])
        held = {} if any(found is each for each in heard) else _plain(found)
        print_json({"forecast": ahead, **(held if isinstance(held, dict) else {})} if ahead else held)
    else:
        show(found)


def say_rows(
    rows: Sequence[Sequence[object]], right: Sequence[int] = (), *, spare: int = 0, below: int | None = None
) -> None:
    """Rows as lines that are aligned and fit the terminal (see ``sercache.layout.columns``)."""
    for line in columns(rows, right, spare=spare, below=below):
        progress.say(line)


def say_filled(text: str, label: str = "") -> None:
    """A paragraph that fits the terminal, all of it to the right of its ``label``."""
    for line in filled(text, terminal_width(), label, " " * len(label)):
        progress.say(line)


def print_json(value: object) -> None:
    """One JSON document on standard output, of what a listing or a result holds."""
    click.echo(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: object) -> object:
    """Records as they say (``plain``), or field by field without what is private or computes; numbers that JSON lacks
    as null."""
    if hasattr(value, "plain") and not isinstance(value, type):
        return _plain(value.plain())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((each.name, getattr(value, each.name)) for each in dataclasses.fields(value))
        return {name: _plain(held) for name, held in pairs if name[0] != "_" and not callable(held)}
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(held) for held in value), key=str)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath | Exception):
        return str(value)
    return _plain(value.item()) if hasattr(value, "item") else str(value)

"""What long work reports while it runs, and who listens: the terminal, a notebook, or nobody.

As with ``logging``, one listener gets all of a process, whatever thread it comes from: work that is nested deeply
need not pass an argument down. Nobody listens at first: lines and bars are dropped, and notes become Python warnings.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol


class Listener(Protocol):
    """Is told of the work."""

    def line(self, text: str) -> None:
        """One line of what came out."""

    def used(self, label: str, value: object) -> None:
        """A value that is used, and where it comes from."""

    def note(self, text: str) -> None:
        """Something that deserves a look."""

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A bar as tqdm's, over ``iterable`` or to be moved by hand; ``options`` are tqdm's."""


class Silent:
    """Nobody: notes become warnings, all else is dropped."""

    def line(self, text: str) -> None:
        """Dropped."""

    def used(self, label: str, value: object) -> None:
        """Dropped."""

    def note(self, text: str) -> None:
        """A UserWarning."""
        warnings.warn(text, stacklevel=3)

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A bar that shows nothing."""
        from tqdm import tqdm

        return tqdm(iterable, **{**options, "disable": True})


@dataclass(frozen=True)
class Shown:
    """Bars, in a notebook or on standard error; notes become warnings, lines are printed if ``lines``."""

    lines: bool = False

    def line(self, text: str) -> None:
        """Printed, if lines are."""
        if self.lines:
            print(text)

    def used(self, label: str, value: object) -> None:
        """A label and what it stands for, if lines are printed."""
        self.line(f"{label:<10}{value}")

    def note(self, text: str) -> None:
        """A UserWarning."""
        warnings.warn(text, stacklevel=3)

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A bar of the notebook or of the terminal; into a log a line now and then."""
        return shown(iterable, {"leave": False}, options)


LOG_SECONDS = 30.0
"""Between two lines of one bar in a log."""


def shown(iterable: Iterable | None, usual: dict[str, Any], options: dict[str, Any]) -> Any:
    """A tqdm that redraws in a notebook or on a terminal, with ``usual`` options where others say nothing.

    Where standard error is a pipe or a file it writes whole lines now and then.
    """
    from tqdm.auto import tqdm

    in_notebook = any("notebook" in each.__module__ for each in tqdm.__mro__)
    if in_notebook or sys.stderr.isatty():
        return tqdm(iterable, **{**usual, **options})
    return _log_of(iterable, options)


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
    quiet = {"mininterval": LOG_SECONDS, "delay": LOG_SECONDS, "leave": False}
    return Log(iterable, **{**quiet, **options, "bar_format": form})


_listening: list[Listener] = [Silent()]


def listener_of(progress: bool | Listener) -> Listener:
    """Who listens: ``progress`` itself; of True whoever listens already, else bars; of False nobody."""
    if progress is True:
        return _listening[-1] if len(_listening) > 1 else Shown()
    return Silent() if progress is False else progress


@dataclass(frozen=True)
class NotesOnly:
    """Gets notes alone, for a listener that is told the rest in one go."""

    listener: Listener

    def line(self, text: str) -> None:
        """Dropped."""

    def used(self, label: str, value: object) -> None:
        """Dropped."""

    def note(self, text: str) -> None:
        """Handed on."""
        self.listener.note(text)

    def bar(self, iterable: Iterable | None, options: dict[str, Any]) -> Any:
        """A bar that shows nothing."""
        return Silent().bar(iterable, options)


@contextmanager
def notes_only() -> Iterator[None]:
    """Drop what is told inside the block, but for notes: one of many steps that a bar outside shows."""
    with sent_to(NotesOnly(_listening[-1])):
        yield


class _Deaf(Silent):
    """Nobody, not even for notes."""

    def note(self, text: str) -> None:
        """Dropped."""


@contextmanager
def unheard() -> Iterator[None]:
    """Drop all that is told inside the block: what is tried there is done, and told, later."""
    with sent_to(_Deaf()):
        yield


@contextmanager
def sent_to(listener: Listener) -> Iterator[None]:
    """Send what is reported inside the block to ``listener``."""
    _listening.append(listener)
    try:
        yield
    finally:
        _listening.remove(listener)


def say(text: str = "") -> None:
    """One line of what came out."""
    _listening[-1].line(text)


def warn(text: str) -> None:
    """One line about something that deserves a look."""
    _listening[-1].note(text)


def used(label: str, value: object) -> None:
    """One line that says which value is used and where it came from."""
    _listening[-1].used(label, value)


def bar(iterable: Iterable | None = None, **options: Any) -> Any:
    """A bar over ``iterable``, or one to be moved by hand; the options are tqdm's."""
    return _listening[-1].bar(iterable, options)

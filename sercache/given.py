"""Which files of code may be executed: those that the user names, and those that the user named before, unchanged.

A file of a head, a corpus or an encoder is code, and whoever names it runs it. Runs and stores name such files too,
and may come from anybody: what only they name is not executed (docs/decisions/0036-code-of-others.md).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sercache import advice, settings
from sercache.errors import ContractError

LIST = "code.sha256"
"""File beside the configuration with what the user named so far, as ``sha256sum`` writes and checks it."""

_NAMED: ContextVar[frozenset[str] | None] = ContextVar("named", default=None)
"""Paths that the user names in this call; None: no call of ours runs, so it is the user's own code that asks."""


@contextmanager
def named_by_user(texts: Iterable[str]) -> Iterator[None]:
    """Within, only files are executed that one of ``texts`` names, or an outer call, or that were named before."""
    token = _NAMED.set((_NAMED.get() or frozenset()) | paths_in(texts))
    try:
        yield
    finally:
        _NAMED.reset(token)


def texts_of(*values: Any) -> Iterator[str]:
    """All texts in records, lists and mappings, so that ``paths_in`` finds the files that these name."""
    for value in values:
        if isinstance(value, str | os.PathLike):
            yield str(os.fspath(value))
        elif isinstance(value, Mapping):
            yield from texts_of(*value.values())
        elif isinstance(value, list | tuple):
            yield from texts_of(*value)
        elif dataclasses.is_dataclass(value):
            yield from texts_of(*(getattr(value, field.name) for field in dataclasses.fields(value)))


def paths_in(texts: Iterable[str]) -> frozenset[str]:
    """Files of code that options name, absolute: also in ``--encoder=x.py:small`` and ``NAME=x.py``."""
    parts = (part for text in texts for part in (text, *re.split("[=:;,]", text)))
    return frozenset(_absolute(part) for part in parts if part.endswith(".py"))


def check(path: Path, digest: str, option: str) -> None:
    """Allow a file with this sha256 to be executed, and remember it where the user names it.

    ``option``: that by which commands take it. Raises ContractError for a file that the user did not name.
    """
    named = _NAMED.get()
    if named is None:
        return
    place = str(path.resolve())
    known = _known()
    if place in named:
        if known.get(place) != digest:
            _remember(place, digest)
        return
    if known.get(place) == digest:
        return
    why = "has changed since you named it" if place in known else "you have not named it"
    raise ContractError(
        f"{path} is code that a run or store names, and {why} (sha256 {digest[:12]}), so it is not executed; read it, "
        f"and where you trust it give it with {option}, or run: {advice.command('check', path)}"
    )


def _absolute(name: str) -> str:
    """Where a name leads, without links. A home that does not exist leads nowhere."""
    try:
        return str(Path(name).expanduser().resolve())
    except (RuntimeError, OSError, ValueError):
        return name


def _list() -> Path | None:
    place = settings.config_path()
    return None if place is None else place.with_name(LIST)


def _known() -> dict[str, str]:
    """sha256 of the files that were named, by path, each as it was last; nothing from a list of another user's."""
    place = _list()
    try:
        if place is None or (hasattr(os, "getuid") and place.stat().st_uid != os.getuid()):
            return {}
        lines = place.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def _remember(path: str, digest: str) -> None:
    """Add a line to the list, which is the user's alone. Where that cannot be, the file is named again next time."""
    place = _list()
    if place is None or len(path.splitlines()) != 1:
        return
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(f"{digest}  {path}\n".encode(errors="surrogateescape"))

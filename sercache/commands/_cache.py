"""What a store remembers of the command that made it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sercache import stores
from sercache.commands._console import warn
from sercache.errors import DamagedStoreError

_ORIGIN = "origin.json"


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Remember beside the features how they were made: encoder argument, root, options."""
    stores.write_note(folder, _ORIGIN, origin)


def read_origin(folder: Path) -> dict[str, Any]:
    """What ``write_origin`` wrote; empty where nothing was. Raises DamagedStoreError."""
    origin = stores.read_note(folder, _ORIGIN)
    for key, value in origin.items():
        if not isinstance(value, str | int | float):
            raise DamagedStoreError(
                f"{stores.notes_folder(folder) / _ORIGIN} is damaged: {key} is {type(value).__name__}; "
                f"run sercache verify {shlex.quote(str(folder))} --repair"
            )
    return origin


def known_origin(folder: Path) -> dict[str, Any]:
    """``read_origin`` where the origin is no more than a help: a damaged one is told and passed over."""
    try:
        return read_origin(folder)
    except DamagedStoreError as fault:
        warn(str(fault))
        return {}


def extract_command(folder: Path) -> str:
    """The command that continues the store at ``folder``, as it was first called."""
    origin = known_origin(folder)
    parts = ["sercache extract"]
    for key, flag in _FLAGS.items():
        if key in origin:
            parts.append(f"{flag} {shlex.quote(str(origin[key]))}")
    parts += ["--pooled-only"] if origin.get("pooled_only") else []
    parts += ["--labels-as-written"] if origin.get("labels_as_written") else []
    return " ".join(parts)


_FLAGS = {
    "encoder": "--encoder",
    "dataset": "--dataset",
    "root": "--root",
    "revision": "--revision",
    "states": "--states",
    "clip": "--clip",
    "task": "--task",
    "language": "--language",
    "transcripts": "--transcripts",
    "encoding": "--encoding",
}

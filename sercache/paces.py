"""How fast this machine was seen to work: what was measured is kept in a small file beside the caches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sercache import files
from sercache.errors import FileError
from sercache.machine import cores
from sercache.system import processor

_KEPT = 500
"""Measurements in the file; the oldest go."""


def file_in(cache: Path) -> Path:
    """The file beside the stores of a cache."""
    return cache / ".paces.json"


def read(kept: Path | None, fields: Collection[str]) -> dict[str, dict[str, Any]]:
    """What was measured before and has these numbers, by key; nothing of a file that is not there or damaged."""
    if kept is None or not kept.is_file():
        return {}
    with suppress(FileError):
        return {
            key: each
            for key, each in files.read_json(kept, "remove it").items()
            if isinstance(each, dict)
            and set(fields) <= each.keys()
            and all(isinstance(each[name], int | float) and each[name] >= 0 for name in fields)
        }
    return {}


def write(kept: Path, key: str, record: Mapping[str, Any]) -> None:
    """Keep what was measured; where the file cannot be written, it is measured again."""
    with suppress(FileError, OSError):
        if kept.parent.is_dir():
            found = {name: each for name, each in read(kept, ()).items() if name != key}
            files.write_json(kept, dict([*found.items(), (key, dict(record))][-_KEPT:]))


def machine(device: str) -> str:
    """The processor, with the cores that may be used of it, or the card."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(torch.device(device))
    return f"{processor()}, {cores()} cores"

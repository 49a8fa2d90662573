"""Claims as files: made by one process alone, listed, read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_CLAIM = re.compile(r"(?P<name>.+)\.(?P<generation>[1-9]\d*)")


def create(path: Path, signed: bytes) -> bool:
    """Make a file with this content; false where there is one. It is gone again where it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        try:
            os.write(descriptor, signed)
        finally:
            os.close(descriptor)  # where a full disk of a file server may be told of
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return True


def highest(folder: Path, names: set[str] | None = None) -> dict[str, int]:
    """The highest generation of each of ``names`` that has one; None: of all."""
    found: dict[str, int] = {}
    try:
        files = os.listdir(folder)  # noqa: PTH208 (called often)
    except FileNotFoundError:  # whoever left last removed it
        return found
    for file in files:
        match = _CLAIM.fullmatch(file)
        if match and (names is None or match["name"] in names):
            found[match["name"]] = max(found.get(match["name"], 0), int(match["generation"]))
    return found


def content(path: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def sign(path: Path, signed: bytes) -> None:
    """Give a claim that is there another signature, in place: nobody sees it gone meanwhile."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, signed)
    finally:
        os.close(descriptor)

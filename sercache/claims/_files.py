"""Claims as files, or as objects that are written once: made by one process alone, listed, read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from sercache.objects import bucket, place_of

_CLAIM = re.compile(r"(?P<name>.+)\.(?P<generation>[1-9]\d*)")


def create(path: Path, signed: bytes) -> bool:
    """Make a file with this content; false where there is one. It is gone again where it cannot be written."""
    place = place_of(path)
    if place is not None:
        return bucket.bucket_of(place).create(place.key, signed)
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


def make(folder: Path) -> None:
    """Have the folder; of objects there is none to make."""
    if place_of(folder) is None:
        folder.mkdir(parents=True, exist_ok=True)


def is_there(folder: Path) -> bool:
    """Whether nobody removed the folder."""
    return place_of(folder) is not None or folder.is_dir()


def file_names(folder: Path) -> list[str]:
    """Names of the files of a folder; none where whoever left last removed it."""
    place = place_of(folder)
    if place is not None:
        return [key[len(place.key) + 1 :] for key in bucket.bucket_of(place).names(place.key)]
    try:
        return os.listdir(folder)  # noqa: PTH208 (called often)
    except FileNotFoundError:
        return []


def highest(folder: Path, names: set[str] | None = None) -> dict[str, int]:
    """The highest generation of each of ``names`` that has one; None: of all."""
    found: dict[str, int] = {}
    for file in file_names(folder):
        match = _CLAIM.fullmatch(file)
        if match and (names is None or match["name"] in names):
            found[match["name"]] = max(found.get(match["name"], 0), int(match["generation"]))
    return found


def content(path: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    place = place_of(path)
    if place is not None:
        return bucket.bucket_of(place).get(place.key)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def sign(path: Path, signed: bytes) -> None:
    """Give a claim that is there another signature, in place: nobody sees it gone meanwhile."""
    place = place_of(path)
    if place is not None:
        bucket.bucket_of(place).put(place.key, signed)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, signed)
    finally:
        os.close(descriptor)


def show(path: Path, head: bytes, beat: bytes) -> None:
    """Have a file hold ``head`` and the newest ``beat``, which is as long each time."""
    place = place_of(path)
    if place is not None:
        bucket.bucket_of(place).put(place.key, head + beat)
        return
    try:
        # In place: a shared disk shows others the new bytes of a file sooner than another file of its name.
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:  # new, or somebody took this process for gone
        create(path, head + beat)
    else:
        try:
            os.pwrite(descriptor, beat, len(head))
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, where it is there."""
    place = place_of(path)
    if place is not None:
        bucket.bucket_of(place).remove([place.key])
    else:
        path.unlink(missing_ok=True)

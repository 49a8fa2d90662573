"""Recordings that come while others are predicted: paths on standard input, files in a folder that is watched."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from io import UnsupportedOperation
from pathlib import Path
from typing import IO, Any

from sercache import audio, settings
from sercache.errors import AudioError, SettingsError
from sercache.experiment.incoming import Asked, below, inside

_PAUSE = 0.5
"""Seconds between two looks at a watched folder."""
_QUIET = 10.0
"""Seconds after which a file that no longer grows and cannot be read is taken for damaged, not for unfinished."""
_CHUNK = 1 << 16
"""Bytes of standard input that are asked for at a time; a pipe gives what is there."""


def listed(stream: IO[Any]) -> Iterator[list[Asked]]:
    """The recordings of each path that ``stream`` names, as lines come; those that came together are one list.

    A path is a line or, where the first bytes hold a zero byte, ends with one (``find -print0``). It is bytes: any
    name that the system has is taken.
    """
    left, end = b"", b""
    for chunk in _chunks(stream):
        end = end or (b"\0" if b"\0" in chunk else b"\n")
        *lines, left = (left + chunk).split(end)
        if found := _named(lines, end):
            yield found
    if found := _named([left], end):
        yield found


def _named(lines: list[bytes], end: bytes) -> list[Asked]:
    if end == b"\n":
        lines = [line.removesuffix(b"\r") for line in lines]
    return [each for line in lines if line.strip() for each in below(settings.expanded(os.fsdecode(line)))]


def _chunks(stream: IO[Any]) -> Iterator[bytes]:
    """What a stream holds, as it comes. Read past its buffer, whose lock would outlive an interruption."""
    try:
        number = stream.fileno()
    except (UnsupportedOperation, AttributeError):  # no stream of the system
        yield from iter(lambda: stream.buffer.read(_CHUNK), b"")  # type: ignore[attr-defined]
        return
    yield from iter(lambda: os.read(number, _CHUNK), b"")


def arriving(folder: Path, pause: float = _PAUSE) -> Iterator[list[Asked]]:
    """Recordings that come to lie in a folder from now on, as they are complete; without an end.

    A file is complete when two looks at it find the same and its audio can be read; one that stays unreadable is
    given after ten seconds, for its reason to be told. One that changes later, or is called otherwise, is given
    again. What is no file is given once. Raises SettingsError for what is no folder.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder; --watch takes the folder that recordings come to")
    done = {each.utterance.path: _stamp(each.utterance.path) for each in inside(folder)}
    seen: dict[Path, tuple[tuple[int, int], float]] = {}
    while True:
        ready, there = [], list(inside(folder))
        for each in there:
            path = each.utterance.path
            stamp, now = _stamp(path), time.monotonic()
            if done.get(path) == stamp:
                continue
            before, since = seen.get(path, (None, now))
            seen[path] = (stamp, since if before == stamp else now)
            if before == stamp and (each.fault is not None or _readable(path) or now - since > _QUIET):
                done[path] = stamp
                ready.append(each)
        paths = {each.utterance.path for each in there}
        for path in (
            ({*done, *seen} - paths) if folder not in paths else ()
        ):  # what comes back under this name is new
            done.pop(path, None)
            seen.pop(path, None)
        if ready:
            yield ready
        time.sleep(pause)


def _readable(path: Path) -> bool:
    try:
        audio.probe(path)
    except AudioError:
        return False
    return True


def _stamp(path: Path) -> tuple[int, int]:
    """What changes where a file does; of one that is gone nothing, of what is no file its kind alone."""
    try:
        state = path.stat()
    except OSError:
        return (0, 0)
    return (state.st_size, state.st_mtime_ns) if path.is_file() else (state.st_mode, 0)

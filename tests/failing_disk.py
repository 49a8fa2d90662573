"""A disk that fails once, at a step of our choice: every call by which sercache's files reach the disk is one.

The calls of Python (``open``, ``os``, ``mmap``, ``flock``) and the writing of safetensors are taken over while a
FailingDisk is in use. Only paths below one folder count.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import linux  # noqa: F401 - skipped elsewhere
import pytest

_DESCRIPTORS = Path("/proc/self/fd")
FAULTS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE)


class Step(NamedTuple):
    """One call that reaches the disk."""

    kind: str
    file: str
    """Relative to the folder."""


class FailingDisk:
    """Lists the steps below ``folder`` and lets the one numbered ``fails_at`` fail with ``number``, once."""

    def __init__(self, folder: Path, fails_at: int = -1, number: int = errno.EIO) -> None:
        self._folder = os.path.realpath(folder)
        self._fails_at, self._number = fails_at, number
        self.steps: list[Step] = []
        self._cut_short: str | None = None

    def meets(self, kind: str, path: object) -> None:
        """Note a step, and raise OSError where it is the one that fails."""
        if self._is_next(kind, path):
            raise OSError(self._number, os.strerror(self._number), str(path))

    def _is_next(self, kind: str, path: object) -> bool:
        where = self._below(path)
        if where is None:
            return False
        self.steps.append(Step(kind, where))
        return len(self.steps) - 1 == self._fails_at

    def _below(self, path: object) -> str | None:
        try:
            name = os.readlink(_DESCRIPTORS / str(path)) if isinstance(path, int) else os.path.abspath(path)  # type: ignore[call-overload]  # noqa: PTH100, PTH115
        except (OSError, TypeError):
            return None
        return os.path.relpath(name, self._folder) if f"{name}/".startswith(f"{self._folder}/") else None

    def write(self, path: object, data: Any, write: Callable[[Any], int]) -> int:
        """A write that may give fewer bytes than asked for, and then none: how a disk fills up."""
        if self._cut_short == str(path):
            self._cut_short = None
            raise OSError(self._number, os.strerror(self._number), str(path))
        self.meets("write", path)
        data = memoryview(data).cast("B")
        if len(data) > 1 and self._is_next("short write", path):
            self._cut_short = str(path)
            return write(data[: len(data) // 2])
        return write(data)


@contextmanager
def failing(folder: Path, fails_at: int = -1, number: int = errno.EIO) -> Iterator[FailingDisk]:
    """Take over the calls for as long as the block lasts; by default nothing fails and steps are listed."""
    disk = FailingDisk(folder, fails_at, number)
    with pytest.MonkeyPatch.context() as patch:
        _take_over_files(disk, patch)
        _take_over_os(disk, patch)
        _take_over_locks(disk, patch)
        _take_over_tensors(disk, patch)
        yield disk


def _take_over_files(disk: FailingDisk, patch: pytest.MonkeyPatch) -> None:
    plain = io.open

    class Raw(io.FileIO):
        """A file whose every call is a step."""

        def write(self, data: Any) -> int:
            return disk.write(self.name, data, super().write)

        def readinto(self, data: Any) -> int:
            disk.meets("read", self.name)
            return super().readinto(data)

        def readall(self) -> bytes:
            disk.meets("read", self.name)
            return super().readall()

        def close(self) -> None:
            was_open, name = not self.closed and self.writable(), self.name
            super().close()
            if was_open:
                disk.meets("close", name)

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if disk._below(file) is None or opener is not None:
            return plain(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int):
            disk.meets("open", file)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd)
        kind = (
            io.BufferedRandom if "+" in mode else io.BufferedReader if raw.readable() else io.BufferedWriter
        )
        whole: Any = kind(raw)
        return whole if "b" in mode else io.TextIOWrapper(whole, io.text_encoding(encoding), errors, newline)

    patch.setattr(io, "open", opened)
    patch.setattr(builtins, "open", opened)


def _take_over_os(disk: FailingDisk, patch: pytest.MonkeyPatch) -> None:
    calls = {
        "open": "open",
        "fsync": "fsync",
        "preadv": "read",
        "rename": "rename",
        "replace": "rename",
        "unlink": "unlink",
        "mkdir": "mkdir",
        "rmdir": "rmdir",
        "utime": "utime",
        "listdir": "listdir",
        "scandir": "listdir",
    }

    def taken(call: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def do(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            if options.get("dir_fd") is None:
                disk.meets(kind, path)
            if kind == "fsync":  # takes nine tenths of a small store's time
                return None
            return call(path, *arguments, **options)

        return do

    for name, kind in calls.items():
        patch.setattr(os, name, taken(getattr(os, name), kind))
    plain = mmap.mmap

    def mapped(descriptor: int, *arguments: Any, **options: Any) -> mmap.mmap:
        disk.meets("mmap", descriptor)
        return plain(descriptor, *arguments, **options)

    patch.setattr(mmap, "mmap", mapped)


def _take_over_locks(disk: FailingDisk, patch: pytest.MonkeyPatch) -> None:
    plain = fcntl.flock

    def lock(descriptor: int, how: int) -> None:
        if how != fcntl.LOCK_UN and disk._is_next("flock", descriptor):
            number = (errno.ENOLCK, errno.EOPNOTSUPP)[len(disk.steps) % 2]  # what disks say that have none
            raise OSError(number, os.strerror(number))
        plain(descriptor, how)

    patch.setattr(fcntl, "flock", lock)


def _take_over_tensors(disk: FailingDisk, patch: pytest.MonkeyPatch) -> None:
    """safetensors writes by itself, and tells a fault of the system in words."""
    from safetensors import SafetensorError, torch

    plain = torch.serialize_file

    def write(tensors: Any, path: Any, *more: Any, **options: Any) -> None:
        if disk._is_next("tensors", path):
            said = f"I/O error: {os.strerror(disk._number)} (os error {disk._number})"
            raise SafetensorError(f"Error while serializing: {said}")
        plain(tensors, path, *more, **options)

    patch.setattr(torch, "serialize_file", write)

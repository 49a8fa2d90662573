"""All that differs between operating systems: locks, syncing, reading at an offset, processes, the C library.

Written for Linux, where all of it is tested. macOS has the locks; syncing asks the drive there too, reading may copy
once more, and what only ``/proc`` tells is not known. Windows has neither locks of folders nor descriptors of them: no
store would be safe there, so importing this raises ImportError, which names WSL 2.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    raise ImportError(
        "sercache needs locks and syncs of folders, which Windows does not have: run it in WSL 2, which is Linux"
    )

import fcntl

_PROCESSES = Path("/proc")


def lock_shared(descriptor: int) -> None:
    """Take a shared lock of an open file or folder, held until it is closed by all that have it open.

    Raises BlockingIOError where another holds it alone, OSError where the disk has no such locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def lock_alone(descriptor: int) -> None:
    """``lock_shared``, held by nobody else at all."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_holders(descriptor: int) -> list[int]:
    """Numbers of the processes that hold a lock of an open file, as far as the system tells."""
    inode, found = str(os.fstat(descriptor).st_ino), set()
    with suppress(OSError):
        for line in (_PROCESSES / "locks").read_text().splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                found.add(int(words[4]))
    return sorted(found)


def sync(descriptor: int) -> None:
    """Bring an open file or folder to the disk, so that it survives a power cut."""
    if (
        ask_drive := getattr(fcntl, "F_FULLFSYNC", None)
    ) is not None:  # macOS: fsync ends at the drive's own memory
        with suppress(OSError):  # of a disk that does not know it, as one on the network
            fcntl.fcntl(descriptor, ask_drive)
            return
    os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """``sync`` of a file, or of a folder: then the names in it (new files, renames) survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def read_at(descriptor: int, out: memoryview, offset: int) -> int:
    """Fill ``out`` from the bytes at ``offset``; how many came: at most 2 GiB at once, 0 at the end of the file."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [out], offset)
    got = os.pread(descriptor, min(len(out), 1 << 30), offset)
    out[: len(got)] = got
    return len(got)


def path_of(descriptor: int) -> Path:
    """A name, of plain characters, under which an open file can be opened once more."""
    own = _PROCESSES / "self/fd"
    return (own if own.is_dir() else Path("/dev/fd")) / str(descriptor)


@functools.cache
def kernel() -> dict[str, str]:
    """Under which run of which kernel, and in which space of process numbers, this process lives; empty: unknown."""
    try:
        return {
            "boot": (_PROCESSES / "sys/kernel/random/boot_id").read_text().strip(),
            "pids": str((_PROCESSES / "self/ns/pid").readlink()),
        }
    except OSError:
        return {"boot": "", "pids": ""}


def started(pid: int) -> int | None:
    """When a process started, in ticks since the start of the system; None: unknown, 0: it has ended."""
    try:
        fields = (_PROCESSES / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def command_line(pid: int) -> list[str]:
    """The words that a process was started with; none where the system does not tell."""
    try:
        words = (_PROCESSES / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [os.fsdecode(word) for word in words if word]


def memory_held(peak: bool = False) -> int:
    """Bytes that this process holds, or held at most since ``begin_peak``; 0 where the system does not tell."""
    try:
        told = (_PROCESSES / "self/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB", told)
    return int(found[1]) * 1024 if found else 0


def begin_peak() -> None:
    """Let the peak of this process begin anew with what it holds now, freed memory handed back first."""
    if (trim := c_function("malloc_trim")) is not None:
        trim(0)
    with suppress(OSError):
        (_PROCESSES / "self/clear_refs").write_text("5")


@functools.cache
def processor() -> str:
    """The name of the processor."""
    with suppress(OSError):
        for line in (_PROCESSES / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def c_function(name: str) -> Callable[..., int] | None:
    """A function of the C library that this process runs with; None where it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None

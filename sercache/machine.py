"""What this process may use of its machine, cores and memory, as a scheduler or a container allots them.

A machine of 128 cores that gives a job four has 128 for whoever asks ``os.cpu_count``. What counts is the least of the
CPU set, the quotas of the control groups that the process is in (its own and all above it, of both versions), and what
Slurm gives a task. Files are read from below ``top``, so that trees of other machines can be tried.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

_TOP = Path("/")
_UNLIMITED = 1 << 60
"""Bytes from which a limit of version 1 says that there is none: it is written as the largest number of pages."""


def cores(environment: Mapping[str, str] | None = None, top: Path = _TOP) -> int:
    """Cores that this process may use: CPU set, quotas (a part of a core counts as one), ``SLURM_CPUS_PER_TASK``."""
    found = [_cpu_set(), *(math.ceil(quota) for quota in _quotas(top))]
    told = (os.environ if environment is None else environment).get("SLURM_CPUS_PER_TASK", "")
    if told.isdecimal():
        found.append(int(told))
    return max(1, min(found))


def limit_threads(environment: MutableMapping[str, str], top: Path = _TOP) -> None:
    """Have torch and its libraries, once loaded, start no more threads than there are cores to use.

    They know the CPU set alone. Nothing is changed where no other limit is narrower, or the user names a number.
    """
    allotted = cores(environment, top)
    if allotted < _cpu_set():
        environment.setdefault("OMP_NUM_THREADS", str(allotted))


def free_memory(top: Path = _TOP) -> int:
    """Bytes of memory that this process can still take, limits of every control group that it is in included.

    What only holds copies of files counts as free: the kernel gives it up when it is asked for.
    """
    return max(0, min([_free_of_machine(top), *_free_of_groups(top)]))


def _cpu_set() -> int:
    """Cores that this process may be scheduled on."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def _quotas(top: Path) -> Iterator[float]:
    """Cores' worth of time of each group that has a limit of it."""
    for folder in _groups(top, "cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if (file := folder / "cpu.max").exists():
                quota, period = map(float, file.read_text().split())  # "max 100000": no number
            else:
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                quota, period = (float((folder / name).read_text()) for name in names)
            if quota > 0:  # -1: none
                yield quota / period


def _free_of_groups(top: Path) -> Iterator[int]:
    """Bytes that each group with a limit may still take."""
    for folder in _groups(top, "memory"):
        for limit, used, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):
                most = int((folder / limit).read_text())  # "max": no number
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                if most < _UNLIMITED:
                    yield most - int((folder / used).read_text()) + int(stat.get(idle, 0))


def _groups(top: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process that may limit ``controller``, each before the one above it."""
    with suppress(OSError, ValueError):
        own = [
            line.split(":", 2) for line in (top / "proc/self/cgroup").read_text().splitlines() if ":" in line
        ]
        mounts = [line.split(" ") for line in (top / "proc/self/mountinfo").read_text().splitlines()]
        for _, names, path in own:
            kind = "cgroup" if names else "cgroup2"
            if names and controller not in names.split(","):
                continue
            for fields in mounts:
                type_, _, options = fields[fields.index("-") + 1 :][:3]
                if type_ == kind and (kind == "cgroup2" or controller in options.split(",")):
                    yield from _up(top, fields[4], fields[3], path)
                    break


def _up(top: Path, mount: str, root: str, path: str) -> Iterator[Path]:
    """Folders from a group up to where its tree is mounted, of which ``root`` is the part that is seen there."""
    with suppress(ValueError):
        below = PurePosixPath(path).relative_to(root)
        if ".." not in below.parts:
            folder = top / mount.lstrip("/")
            yield from (folder / part for part in (below, *below.parents))
            return
    yield top / mount.lstrip("/")  # a container that sees another part of the tree than it lies in


def _free_of_machine(top: Path) -> int:
    try:
        told = dict(line.split(":") for line in (top / "proc/meminfo").read_text().splitlines())
        return int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # macOS tells only what it has
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

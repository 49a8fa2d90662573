"""Which process an owner is, in words that others on the same host can check."""

from __future__ import annotations

import json
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any


def record_of(content: bytes | None) -> dict[str, Any]:
    """What an owner says of itself; empty where it has not, or that is damaged."""
    try:
        found = json.loads((content or b"").partition(b"\n")[0])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def this_process() -> dict[str, Any]:
    """What tells this process from every other, on this host and elsewhere."""
    return {"host": platform.node(), **_kernel(), "pid": os.getpid(), "started": _started(os.getpid())}


@cache
def _kernel() -> dict[str, str]:
    """Under which run of which kernel, and in which space of process numbers, this process lives; empty: unknown."""
    try:
        return {
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "pids": str(Path("/proc/self/ns/pid").readlink()),
        }
    except OSError:
        return {"boot": "", "pids": ""}


def _started(pid: int) -> int | None:
    """When a process started, in ticks since the start of the system; None: unknown, 0: it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def is_dead(record: dict[str, Any]) -> bool:
    """Whether a process is known to have ended: only of one on this host that can be told."""
    here, pid, started = _kernel(), record.get("pid"), record.get("started")
    if not here["boot"] or any(record.get(key) != value for key, value in here.items()):
        return False
    if type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # another user's
        pass
    now = _started(pid)
    return now is not None and type(started) is int and now != started

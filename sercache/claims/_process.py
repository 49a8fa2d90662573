"""Which process an owner is, in words that others on the same host can check."""

from __future__ import annotations

import json
import os
import platform
from typing import Any

from sercache import system


def record_of(content: bytes | None) -> dict[str, Any]:
    """What an owner says of itself; empty where it has not, or that is damaged."""
    try:
        found = json.loads((content or b"").partition(b"\n")[0])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def this_process() -> dict[str, Any]:
    """What tells this process from every other, on this host and elsewhere."""
    return {
        "host": platform.node(),
        **system.kernel(),
        "pid": os.getpid(),
        "started": system.started(os.getpid()),
    }


def is_dead(record: dict[str, Any]) -> bool:
    """Whether a process is known to have ended: only of one on this host that can be told."""
    here, pid, started = system.kernel(), record.get("pid"), record.get("started")
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
    now = system.started(pid)
    return now is not None and type(started) is int and now != started

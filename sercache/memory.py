"""Memory that ran out: one question for the many ways in which Python, NumPy and torch say so."""

from __future__ import annotations

import re

_SAID = re.compile(r"can't allocate memory|allocate memory|out of memory|Cannot allocate memory", re.I)


def ran_out(fault: BaseException) -> bool:
    """Whether a fault says that there was no memory left, on the device or beside it.

    torch says so of a processor in the words of a RuntimeError alone, and the system of a file that cannot be mapped
    in those of an OSError.
    """
    if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":
        return True
    return isinstance(fault, RuntimeError | OSError) and _SAID.search(str(fault)) is not None

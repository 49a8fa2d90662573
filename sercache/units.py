"""Bytes, seconds and lists as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sercache.errors import SettingsError


def size(n_bytes: float) -> str:
    """Bytes for people: ``1.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds for people: ``2 h 05 min``, ``3 min 20 s``, ``12 s``, ``0.35 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else _below_a_minute(seconds)


def seconds(given: str, option: str) -> float:
    """Seconds of ``90s``, ``50m``, ``1h30m`` or ``2h``, as an option takes it. Raises SettingsError for others."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", given)
    if not found or not any(found.groups()):
        raise SettingsError(f"{option} is a time such as 50m, 1h30m or 90s, got {given!r}")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return float((hours * 60 + minutes) * 60 + rest)


def _below_a_minute(seconds: float) -> str:
    return f"{seconds:.2g} s" if 0 < seconds < 0.95 else f"{seconds:.0f} s"


def listed(items: Iterable[object], shown: int = 3, between: str = ", ") -> str:
    """The first items, and how many more there are: ``a, b, c and 4 more``."""
    words = [str(item) for item in items]
    rest = len(words) - shown
    return between.join(words[:shown]) + (f" and {rest} more" if rest > 0 else "")

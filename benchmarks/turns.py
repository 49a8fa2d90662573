"""Rows of a table that are measured one after another, each in its turn and no longer."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Row = tuple[str, str, Callable[[], str]]
"""What is measured, the bar, and what measures it."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block once it has taken so long."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measured(measure: Callable[[], str], seconds: float) -> str:
    """What came out, or why nothing did."""
    if seconds <= 1:
        return "not measured: out of time"
    try:
        with limit(seconds):
            return measure()
    except TimeoutError:
        return f"not measured: no answer in {seconds:.0f} s"
    except Exception as fault:
        return f"failed: {type(fault).__name__}: {str(fault).splitlines()[0] if str(fault) else ''}"

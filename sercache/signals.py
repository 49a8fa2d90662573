"""Signals that ask a command to stop: Ctrl-C, SIGTERM (what a scheduler sends) and SIGHUP (a terminal that closed).

The first is raised as ``Stopped``, so that what is done is kept; a second one ends the process at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME_SECONDS = 0.5
"""A scheduler's signal may come twice, to the process and through the one that started it."""


class Stopped(KeyboardInterrupt):
    """The user, or the scheduler, asked to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As shells count: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.number


def how(fault: BaseException | None) -> tuple[str, int]:
    """Words and exit code for an interruption; plain KeyboardInterrupt is Ctrl-C."""
    if isinstance(fault, Stopped) and fault.number != signal.SIGINT:
        return f"stopped by {fault}", fault.exit_code
    return "interrupted", 130


def told(fault: BaseException | None) -> str:
    """What was said of the work that an interruption stopped; empty where nothing was."""
    return "; ".join(getattr(fault, "__notes__", ()))


@contextmanager
def handled() -> Iterator[None]:
    """Raise ``Stopped`` in the block at the first signal; a second ends this process and those it started.

    What was ignored before (``nohup``, a job in the background) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if first is None:
            first = time.monotonic()
            if number == signal.SIGHUP:
                _leave_terminal()
            raise Stopped(number)
        if time.monotonic() - first > _SAME_SECONDS:
            _end_at_once(number)

    before = {number: signal.getsignal(number) for number in _ASKED}
    mine = [number for number in _ASKED if before[number] not in (signal.SIG_IGN, None)]
    for number in mine:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


def _leave_terminal() -> None:
    """Say the rest to nobody: what is written to a terminal that is gone is an error."""
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _end_at_once(number: int) -> None:
    from multiprocessing import active_children

    for child in active_children():
        child.kill()
        child.join(1)
    os.write(2, b"ended at once; what was committed is safe\n")
    os._exit(128 + number)


@contextmanager
def not_passed_on() -> Iterator[None]:
    """Have threads that are started in the block, and processes that these start, never hear a terminal's signals.

    A terminal sends them to all processes of a command. SIGTERM ends these all the same.
    """
    resource_tracker.ensure_running()  # which lets the thread that starts it hear them again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def held() -> Iterator[None]:
    """Keep signals waiting while a process is started, which ``leave_to_parent`` is the first thing to do."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)


def leave_to_parent() -> None:
    """Ignore these signals in a process that was started by another, which tells it what to do.

    A terminal and a scheduler send them to all processes: only the parent knows what to keep.
    """
    for number in _ASKED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)

"""What a C library writes to standard error while a file is decoded, as lines that belong to that file.

libmpg123, inside libsndfile, writes there and gives no other way to hear of damage. Its ``stderr`` is a variable
of the C library, which points elsewhere while MPEG audio is decoded; Python writes to the descriptor and is not
touched. Where that variable cannot be set (Windows, musl) the lines go where they always went.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

_UNBUFFERED = 2
"""_IONBF of both C libraries."""


class _Ear:
    """The file that C's standard error goes to while anybody listens."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._n_listening = 0
        self._is_taken = False
        self._pid = 0
        self._variable: ctypes.c_void_p | None = None
        self._before: int | None = None
        self._into: int | None = None
        self._descriptor = -1

    def prepare(self) -> bool:
        """Open the file once a process. Whether C's standard error can be led there."""
        with self._turn:
            if self._pid == os.getpid():
                return self._variable is not None
            self._pid = os.getpid()
            self._n_listening, self._is_taken = 0, False
            self._variable = None
            name = "__stderrp" if sys.platform == "darwin" else "stderr"
            if sys.platform != "darwin" and platform.libc_ver()[0] != "glibc":
                return False
            with contextlib.suppress(OSError, ValueError, AttributeError):
                libc = ctypes.CDLL(None)
                libc.fdopen.restype = ctypes.c_void_p
                libc.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
                variable = ctypes.c_void_p.in_dll(libc, name)
                with tempfile.TemporaryFile() as file:
                    self._descriptor = os.dup(file.fileno())
                self._into = libc.fdopen(self._descriptor, b"w+")
                if self._into:
                    libc.setvbuf(self._into, None, _UNBUFFERED, 0)
                    self._variable = variable
            return self._variable is not None

    @contextmanager
    def listening(self, *, alone: bool) -> Iterator[None]:
        """C's standard error goes to the file; ``alone``: nobody else listens meanwhile."""
        with self._turn:
            while self._is_taken or (alone and self._n_listening):
                self._turn.wait()
            self._is_taken = alone
            self._n_listening += 1
            if self._n_listening == 1 and self._variable is not None:
                self._before, self._variable.value = self._variable.value, self._into
        try:
            yield
        finally:
            with self._turn:
                self._n_listening -= 1
                self._is_taken = False
                if self._n_listening == 0 and self._variable is not None:
                    self._variable.value = self._before
                self._turn.notify_all()

    def n_heard(self) -> int:
        """Bytes so far."""
        return os.fstat(self._descriptor).st_size

    def since(self, n: int) -> str:
        """What was written after ``n`` bytes."""
        return os.pread(self._descriptor, self.n_heard() - n, n).decode(errors="replace")


_EAR = _Ear()


def heard(work: Callable[[], Result]) -> tuple[Result, list[str]]:
    """What ``work`` gives, and the lines that C wrote to standard error meanwhile.

    Threads work side by side; where anything was written, the work is done once more with nobody beside it, which
    tells whose lines these are. Raises what ``work`` raises.
    """
    if not _EAR.prepare():
        return work(), []
    with _EAR.listening(alone=False):
        before = _EAR.n_heard()
        result = work()
        if _EAR.n_heard() == before:
            return result, []
    with _EAR.listening(alone=True):
        before = _EAR.n_heard()
        return work(), [line.strip() for line in _EAR.since(before).splitlines() if line.strip()]

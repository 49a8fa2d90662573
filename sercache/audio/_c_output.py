"""What a C library writes to the standard streams while a file is decoded, as lines that belong to that file.

libmpg123, inside libsndfile, writes there and reports damage in no other way; so does libsndfile of SDS.
``stderr`` and ``stdout`` are variables of the C library, which point to a file of ours meanwhile; Python
writes to the descriptors and is not touched. Where they cannot be set (Windows, musl) the lines go where they
always went.
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


class _Capture:
    """The file that C's standard streams go to while anybody captures them."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._n_users = 0
        self._is_taken = False
        self._pid = 0
        self._streams: list[ctypes.c_void_p] = []
        self._before: list[int | None] = []
        self._into: int | None = None
        self._descriptor = -1

    def prepare(self) -> bool:
        """Open the file once a process. Whether C's standard streams can be led there."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._n_users, self._is_taken, self._streams = 0, False, []
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    self._open()
            return bool(self._streams)

    def _open(self) -> None:
        is_mac = sys.platform == "darwin"
        if not is_mac and platform.libc_ver()[0] != "glibc":
            return
        libc = ctypes.CDLL(None)
        libc.fdopen.restype = ctypes.c_void_p
        libc.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        names = ("__stderrp", "__stdoutp") if is_mac else ("stderr", "stdout")
        streams = [ctypes.c_void_p.in_dll(libc, name) for name in names]
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())
        self._into = libc.fdopen(self._descriptor, b"w+")
        if self._into:
            libc.setvbuf(self._into, None, _UNBUFFERED, 0)
            self._streams = streams

    @contextmanager
    def capturing(self, *, alone: bool) -> Iterator[None]:
        """C's standard streams go to the file; ``alone``: nobody else captures meanwhile."""
        with self._lock:
            while self._is_taken or (alone and self._n_users):
                self._lock.wait()
            self._is_taken = alone
            self._n_users += 1
            if self._n_users == 1:
                self._before = [stream.value for stream in self._streams]
                for stream in self._streams:
                    stream.value = self._into
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                self._is_taken = False
                if self._n_users == 0:
                    for stream, before in zip(self._streams, self._before, strict=True):
                        stream.value = before
                self._lock.notify_all()

    def n_bytes(self) -> int:
        """Bytes so far."""
        return os.fstat(self._descriptor).st_size

    def since(self, n: int) -> str:
        """What was written after ``n`` bytes."""
        return os.pread(self._descriptor, self.n_bytes() - n, n).decode(errors="replace")


_CAPTURE = _Capture()


def captured(work: Callable[[], Result], *, again: bool = True) -> tuple[Result, list[str]]:
    """What ``work`` gives, and the lines that C wrote to the standard streams meanwhile.

    Threads work side by side; where anything was written, the work is done once more with nobody beside it, which
    tells whose lines these are. Not ``again``: the lines may be those of another thread. Raises what ``work`` raises.
    """
    if not _CAPTURE.prepare():
        return work(), []
    with _CAPTURE.capturing(alone=False):
        before = _CAPTURE.n_bytes()
        result = work()
        if _CAPTURE.n_bytes() == before:
            return result, []
        if not again:
            return result, [line.strip() for line in _CAPTURE.since(before).splitlines() if line.strip()]
    with _CAPTURE.capturing(alone=True):
        before = _CAPTURE.n_bytes()
        return work(), [line.strip() for line in _CAPTURE.since(before).splitlines() if line.strip()]

"""Files that a reader keeps open: what the page cache holds is copied out of a memory map, the rest is read.

A memory map gives warm bytes at the rate of memory, where ``preadv`` and opening the file take a third of the time
of a state of an utterance. But a page that a failing disk cannot give ends a process that reads it through a map,
where ``preadv`` gives an error. So the map is used for pages that the kernel had at hand of late (``mincore``).
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from sercache.stores.durable import Opened, Stamp
from sercache.system import c_function

_BLOCK_BITS = 16
"""What the kernel said is remembered for blocks of 64 KiB: asking each time costs as much as copying a part."""
_BLOCK = 1 << _BLOCK_BITS
_BELIEVED_SECONDS = 60.0
"""So long a block counts as in the page cache once it was seen there."""

_ASKED_AT_ONCE = 2**19
"""Bytes: the kernel reads no more of a range than the disk takes in one request, 512 KiB and up."""
_LARGE = 2**20
"""Bytes from which on finding out where a new array begins costs less than copying to another place of a line."""
_LEAST = 2**12
"""Bytes from which on it pays where the source does not begin where ``malloc`` may."""
_LINE = 64
"""Bytes of a line of the processor's cache."""
_GRAIN = 16
"""Bytes: ``malloc`` gives multiples of it."""


def _find_mincore() -> Callable[..., int] | None:
    found = c_function("mincore")
    if found is not None:
        found.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p]  # type: ignore[attr-defined]
    return found


_mincore = _find_mincore()


def empty(shape: tuple[int, ...], dtype: np.dtype, offset: int) -> np.ndarray:
    """A new array for what is copied from byte ``offset`` of a file; it begins where it is copied fast.

    That is where it lies in a line of the cache as its source does. Elsewhere copying takes up to a fifth longer, and
    some processors ten times as long where it lies some bytes behind its source's place in a page (AMD Zen 4 up to 15
    bytes, Zen 3 up to 40, https://sourceware.org/bugzilla/show_bug.cgi?id=30994). What ``malloc`` gives will do for
    small arrays whose source begins at a multiple of 16 bytes.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < (_LEAST if offset % _GRAIN else _LARGE):
        return np.empty(shape, dtype)
    return _laid_out(shape, dtype, offset, np.empty(n_bytes + _LINE, np.uint8))


def _laid_out(shape: tuple[int, ...], dtype: np.dtype, offset: int, memory: np.ndarray) -> np.ndarray:
    # memory.ctypes.data takes four times as long.
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))  # type: ignore[arg-type]
    return np.ndarray(shape, dtype, memory, (offset - offset % dtype.itemsize - address) % _LINE)


Room = Callable[[tuple[int, ...], np.dtype, int], np.ndarray]
"""Gives an array of a shape and type for what is copied from a byte of a file, as ``empty`` does."""


class OneRoom:
    """``empty`` in the same memory each time: what it gave before is gone. Fresh pages cost as much as the copy."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype, offset: int) -> np.ndarray:
        """An array that begins where it is copied fast."""
        n_bytes = math.prod(shape) * dtype.itemsize + _LINE
        if n_bytes > len(self._memory):
            self._memory = np.empty(n_bytes, np.uint8)
        return _laid_out(shape, dtype, offset, self._memory)


class Stretch:
    """States of an utterance that were read and found right, all in one range of one file, and that file as it was."""

    __slots__ = ("file", "first", "shape", "stamp", "step", "warm_until")

    def __init__(
        self, file: KeptOpen, stamp: Stamp, first: int, step: int, shape: tuple[int, int, int]
    ) -> None:
        self.file = weakref.ref(file)
        """Weak: few files stay open."""
        self.stamp = stamp
        self.first = first
        """Byte where the first state begins."""
        self.step = step
        """Bytes from one state to the next."""
        self.shape = shape
        """(L', T, D)."""
        self.warm_until = 0.0
        """Until then it counts as in the page cache, in seconds of ``time.monotonic``."""


class KeptOpen(Opened):
    """A committed file that stays open, for any number of threads and forks, until nobody uses it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._stamp = super().stamp()
        self._n_mapped = 0
        self._map: mmap.mmap | None = None
        self._believed_until = [0.0] * ((self._stamp.size >> _BLOCK_BITS) + 1)
        if self._stamp.size and _mincore is not None:
            with suppress(OSError, ValueError):  # a disk without maps, or no descriptor left: it is read
                self._map = mmap.mmap(self._descriptor, self._stamp.size, prot=mmap.PROT_READ)
                self._address = np.frombuffer(self._map, np.uint8).ctypes.data
                self._n_mapped = self._stamp.size

    def __enter__(self) -> KeptOpen:
        return self

    def __exit__(self, *fault: object) -> None:
        """Stay open."""

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "_descriptor"):
            close(self._descriptor)  # given by then: at the end of the process `os` may be gone

    def stamp(self) -> Stamp:
        """What tells whether its bytes were changed; the same object as long as they were not."""
        found, known = os.fstat(self._descriptor), self._stamp
        if found.st_mtime_ns != known.changed_ns or found.st_size != known.size:
            known = self._stamp = Stamp(found.st_size, found.st_mtime_ns, found.st_ino)
        return known

    def copy(self, stretch: Stretch, dtype: np.dtype) -> np.ndarray | None:
        """Rows (L', T, D); None where the file was changed or is not in the page cache: they are to be read instead."""
        rows = self.rows(stretch, dtype)
        if rows is None:
            return None
        out = empty(stretch.shape, dtype, stretch.first)
        out[...] = rows
        return out

    def rows(self, stretch: Stretch, dtype: np.dtype) -> np.ndarray | None:
        """``copy`` without copying: read-only, where they lie in the map. They are for use at once."""
        found, stamp = os.fstat(self._descriptor), stretch.stamp
        if found.st_mtime_ns != stamp.changed_ns or found.st_size != stamp.size:
            return None
        first, step, shape = stretch.first, stretch.step, stretch.shape
        row_bytes = shape[2] * dtype.itemsize
        if stretch.warm_until < time.monotonic():
            stretch.warm_until = self._warm_until(first, step, shape[0], shape[1] * row_bytes)
            if not stretch.warm_until:
                return None
        return np.ndarray(shape, dtype, self._map, first, (step, row_bytes, dtype.itemsize))

    def read_states(self, out: np.ndarray, first: int, step: int) -> None:
        """Rows of each state, (L', T, D): those of state k lie at ``first + k * step``. Raises as ``read_into``.

        They must lie within the size that ``stamp`` has just given: what was cut off a file is mapped no more.
        """
        if len(out) and self._warm_until(first, step, len(out), out.nbytes // len(out)):
            out[...] = np.ndarray(out.shape, out.dtype, self._map, first, (step, *out.strides[1:]))
        else:
            for k, rows in enumerate(out):
                super().read_into(rows, first + k * step)

    def lent(self, shape: tuple[int, int, int], dtype: np.dtype, first: int, step: int) -> np.ndarray | None:
        """``read_states`` without a copy of what was fetched ahead: nothing was, ``rows`` gives what lies in memory."""
        return None

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the C-contiguous ``out`` from the bytes at ``offset``. Raises DamagedStoreError, StoreError."""
        is_whole = os.lseek(self._descriptor, 0, os.SEEK_END) >= self._n_mapped
        if is_whole and out.nbytes and self._warm_until(offset, 0, 1, out.nbytes):
            out[...] = np.ndarray(out.shape, out.dtype, self._map, offset)
        else:
            super().read_into(out, offset)

    def expect(self, begin: int, end: int) -> None:
        """Have the kernel begin to read these bytes into its cache, where it takes such advice; nobody waits for it."""
        if hasattr(os, "posix_fadvise"):
            for at in range(begin, end, _ASKED_AT_ONCE):
                with suppress(OSError):  # nothing depends on it
                    os.posix_fadvise(
                        self._descriptor, at, min(_ASKED_AT_ONCE, end - at), os.POSIX_FADV_WILLNEED
                    )

    def release(self, begin: int, end: int) -> None:
        """Count these bytes no more as memory of this process; the page cache keeps them."""
        if end <= self._n_mapped and hasattr(mmap, "MADV_DONTNEED") and self._map is not None:
            start = begin - begin % mmap.PAGESIZE
            with suppress(OSError):  # nothing depends on it
                self._map.madvise(mmap.MADV_DONTNEED, start, end - start)

    def _warm_until(self, first: int, step: int, count: int, n_bytes: int) -> float:
        """How long the ``n_bytes`` at each of ``count`` bytes, from ``first`` on in steps, count as in the page cache.

        In seconds of ``time.monotonic``; 0 where they are not there now.
        """
        believed, now = self._believed_until, time.monotonic()
        until = math.inf
        for k in range(count):
            begin = first + k * step
            end = begin + n_bytes
            if end > self._n_mapped:
                return 0.0
            own = min(believed[begin >> _BLOCK_BITS : (end - 1 >> _BLOCK_BITS) + 1])
            if own < now:
                if not self._is_resident(begin, end):
                    return 0.0
                own = now
            until = min(until, own)
        return until

    def _is_resident(self, begin: int, end: int) -> bool:
        """Whether the kernel has these bytes in its cache; of their blocks, those that it has whole are believed."""
        start, stop = begin & -_BLOCK, min((end - 1 | _BLOCK - 1) + 1, self._n_mapped)
        pages = ctypes.create_string_buffer(-(-(stop - start) // mmap.PAGESIZE))
        if _mincore(self._address + start, stop - start, pages):  # type: ignore[misc]
            return False
        found, until = pages.raw, time.monotonic() + _BELIEVED_SECONDS
        for at in range(0, stop - start, _BLOCK):
            if b"\0" not in found[at // mmap.PAGESIZE : (at + _BLOCK) // mmap.PAGESIZE]:
                self._believed_until[start + at >> _BLOCK_BITS] = until
        return b"\0" not in found[(begin - start) // mmap.PAGESIZE : (end - 1 - start) // mmap.PAGESIZE + 1]

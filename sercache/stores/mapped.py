"""Files that a reader keeps open: what the page cache holds is copied out of a memory map, the rest is read.

A memory map gives warm bytes at the rate of memory, where ``preadv`` and opening the file take a third of the time
of a state of an utterance. But a page that a failing disk cannot give ends a process that reads it through a map,
where ``preadv`` gives an error. So the map is used for pages that the kernel had at hand of late (``mincore``).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from sercache.stores.durable import Opened

_MOST_OPEN = 128
"""Files that a reader keeps open at once; each takes two descriptors, one of them its map's."""
_BLOCK_BITS = 20
"""The kernel is asked for blocks of 1 MiB: asking for each state of an utterance costs as much as copying a part."""
_BLOCK = 1 << _BLOCK_BITS
_BELIEVED_SECONDS = 60.0
"""So long a block counts as in the page cache once it was seen there."""


def _find_mincore() -> Callable[..., int] | None:
    try:
        found = ctypes.CDLL(None).mincore
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p]
    return found


_mincore = _find_mincore()


class KeptOpen(Opened):
    """A committed file that stays open, for any number of threads and forks, until nobody uses it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._size = self.size()
        self._map: mmap.mmap | None = None
        self._believed_until = [0.0] * ((self._size >> _BLOCK_BITS) + 1)
        if self._size and _mincore is not None:
            with suppress(OSError, ValueError):  # a disk without maps, or no descriptor left: it is read
                self._map = mmap.mmap(self._descriptor, self._size, prot=mmap.PROT_READ)
                self._address = np.frombuffer(self._map, np.uint8).ctypes.data

    def __enter__(self) -> KeptOpen:
        return self

    def __exit__(self, *fault: object) -> None:
        """Stay open."""

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read_states(self, out: np.ndarray, first: int, step: int, states: Sequence[int]) -> None:
        """Rows of each state, (L', T, D): those of state s lie at ``first + s * step``. Raises as ``read_into``."""
        n_bytes = out.nbytes // len(states) if len(states) else 0
        if not n_bytes or not self._is_warm(first, step, states, n_bytes):
            for rows, state in zip(out, states, strict=True):
                super().read_into(rows, first + state * step)
            return
        strides = (step, *out.strides[1:])
        for k, run in [(0, states)] if isinstance(states, range) else enumerate([state] for state in states):
            shape = (len(run), *out.shape[1:])
            out[k : k + len(run)] = np.ndarray(shape, out.dtype, self._map, first + run[0] * step, strides)

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the C-contiguous ``out`` from the bytes at ``offset``. Raises DamagedStoreError, StoreError."""
        if not out.nbytes or not self._is_warm(offset, 0, (0,), out.nbytes):
            super().read_into(out, offset)
            return
        out[...] = np.ndarray(out.shape, out.dtype, self._map, offset)

    def _is_warm(self, first: int, step: int, states: Sequence[int], n_bytes: int) -> bool:
        """Whether all of it lies in the page cache, and in the file: one that was cut short is not mapped there."""
        if self._map is None or os.lseek(self._descriptor, 0, os.SEEK_END) < self._size:
            return False
        believed, now = self._believed_until, time.monotonic()
        for state in states:
            begin = first + state * step
            end = begin + n_bytes
            if end > self._size:
                return False
            for block in range(begin >> _BLOCK_BITS, (end - 1 >> _BLOCK_BITS) + 1):
                if believed[block] < now:
                    if not self._is_resident(block):
                        return False
                    believed[block] = now + _BELIEVED_SECONDS
        return True

    def _is_resident(self, block: int) -> bool:
        """Whether the kernel has all pages of a block in its cache."""
        begin = block << _BLOCK_BITS
        length = min(_BLOCK, self._size - begin)
        n_pages = -(-length // mmap.PAGESIZE)
        pages = ctypes.create_string_buffer(n_pages)
        failed = _mincore(self._address + begin, length, pages)  # type: ignore[misc]
        return not failed and b"\0" not in pages.raw


class Files:
    """The files that a reader keeps open, those that were used last. Pickled, it is empty."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, KeptOpen] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Files], tuple[()]]:
        return Files, ()

    def __call__(self, path: str) -> KeptOpen:
        """The file at ``path``. Raises DamagedStoreError where it is missing."""
        with self._lock:
            found = self._open.get(path)
            if found is None:
                found = self._open[path] = KeptOpen(path)
                if len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)  # closed once no thread reads from it any more
            else:
                self._open.move_to_end(path)
            return found

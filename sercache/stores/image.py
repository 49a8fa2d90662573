"""Image: a file in memory, of which only what was written takes room."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

_PAGE = 4096
"""Bytes."""


class Image:
    """What h5py takes for a file. Room that HDF5 allocates for features, and never writes to, takes no memory."""

    def __init__(self) -> None:
        self.size = 0
        self._at = 0
        self._pages: dict[int, bytearray] = {}

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """What was written, as (offset in bytes, bytes) in ascending order."""
        for page, data in sorted(self._pages.items()):
            yield page * _PAGE, bytes(data[: self.size - page * _PAGE])

    def write(self, data: Any) -> int:
        """Put bytes at the current place."""
        view, begin = memoryview(data).cast("B"), self._at
        while self._at < begin + len(view):
            page, start = divmod(self._at, _PAGE)
            count = min(_PAGE - start, begin + len(view) - self._at)
            own = self._pages.setdefault(page, bytearray(_PAGE))
            own[start : start + count] = view[self._at - begin : self._at - begin + count]
            self._at += count
        self.size = max(self.size, self._at)
        return len(view)

    def readinto(self, out: Any) -> int:
        """Fill ``out`` from the current place on; gives how many bytes there were."""
        view, begin = memoryview(out).cast("B"), self._at
        stop = min(begin + len(view), self.size)
        while self._at < stop:
            page, start = divmod(self._at, _PAGE)
            count = min(_PAGE - start, stop - self._at)
            own = self._pages.get(page, bytes(_PAGE))
            view[self._at - begin : self._at - begin + count] = own[start : start + count]
            self._at += count
        return max(stop - begin, 0)

    def read(self, n_bytes: int = -1) -> bytes:
        """Bytes from the current place on."""
        out = bytearray(max(self.size - self._at, 0) if n_bytes < 0 else n_bytes)
        return bytes(out[: self.readinto(out)])

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """The current place."""
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """Make it so many bytes long; without a size it ends at the current place."""
        self.size = self._at if size is None else size
        for page in [page for page in self._pages if page * _PAGE >= self.size]:
            del self._pages[page]
        return self.size

    def flush(self) -> None:
        """Nothing: it lies in memory."""

"""Committed files in an object store, read by byte ranges; what is known to be wanted is fetched ahead.

They look as files that are kept open look (``mapped.KeptOpen``). Nothing of them stays on this machine.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np

from sercache.errors import DamagedStoreError
from sercache.objects import ObjectAddress, bucket
from sercache.stores.durable import Stamp, repair_command
from sercache.stores.mapped import KeptOpen, Stretch

_REQUEST = 8 * 2**20
"""Bytes that one request asks for, at most."""
_GAP = 128 * 2**10
"""Bytes between two ranges for which it pays to ask for both at once."""
_BELIEVED_SECONDS = 60.0
"""So long an object counts as unchanged."""
Range = tuple[int, int]
"""First byte and the byte after the last."""
_Piece = tuple[int, int, Future[memoryview]]
"""A range, and its bytes once they are there."""


class ObjectFile(KeptOpen):
    """A committed file in an object store, for any number of threads. Raises as ``Opened``."""

    def __init__(
        self, path: str, place: ObjectAddress
    ) -> None:  # nothing is opened, so nothing of KeptOpen's is needed
        self._path, self._place = path, place
        self._bucket = bucket.bucket_of(place)
        self._ahead: list[_Piece] = []
        self._lock, self._stamp_lock = threading.Lock(), threading.Lock()
        self._known: Stamp | None = None
        self._known_until = 0.0

    def __enter__(self) -> ObjectFile:
        return self

    def stamp(self) -> Stamp:
        """What tells whether its bytes were changed, as it was within the last minute."""
        with self._stamp_lock:
            if self._known is None or self._known_until < time.monotonic():
                mark = self._bucket.mark(self._place.key)
                if mark is None:
                    raise DamagedStoreError(
                        f"{self._path} is committed and missing; {repair_command(self._store)}"
                    )
                found = Stamp(mark.size, int(mark.changed * 1e9), zlib.crc32(mark.tag.encode()))
                self._known = self._known if found == self._known else found
                self._known_until = time.monotonic() + _BELIEVED_SECONDS
            assert self._known is not None
            return self._known

    def size(self) -> int:
        """Bytes of the file."""
        return self.stamp().size

    def rows(self, stretch: Stretch, dtype: np.dtype) -> np.ndarray | None:
        """None: they are not in the page cache."""
        return None

    def release(self, begin: int, end: int) -> None:
        """Nothing: no bytes are mapped."""

    def read_states(self, out: np.ndarray, first: int, step: int) -> None:
        """Rows of each state, (L', T, D): those of state k lie at ``first + k * step``. Raises as ``read_into``."""
        ranges = [(first + k * step, first + k * step + rows.nbytes) for k, rows in enumerate(out)]
        ahead = self.fetch([each for each in ranges if not self._covering(*each)])
        try:
            for rows, (begin, _) in zip(out, ranges, strict=True):
                own = rows if rows.flags.c_contiguous else np.empty(rows.shape, rows.dtype)
                self.read_into(own, begin)
                if own is not rows:
                    rows[...] = own
        finally:
            self.forget(ahead)

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the C-contiguous ``out`` from the bytes at ``offset``. Raises DamagedStoreError, StoreError."""
        into = out.reshape(-1).view(np.uint8)
        stop = offset + len(into)
        pieces = self._covering(offset, stop) if len(into) else []
        ahead = self.fetch([(offset, stop)]) if len(into) and not pieces else []
        try:
            for begin, end, future in pieces or ahead:
                low, high, data = max(begin, offset), min(end, stop), future.result()
                into[low - offset : high - offset] = data[low - begin : high - begin]
        finally:
            self.forget(ahead)

    def fetch(self, ranges: Sequence[Range]) -> list[_Piece]:
        """Begin to fetch these ranges, neighbours together; reads find them until they are given to ``forget``."""
        if ranges and self._known is None:
            _pool().submit(self.stamp)  # which is asked for next
        found = [
            (begin, end, _pool().submit(self._get, begin, end)) for begin, end in _requests(sorted(ranges))
        ]
        with self._lock:
            self._ahead += found
        return found

    def forget(self, fetched: Sequence[_Piece]) -> None:
        """Let go of what ``fetch`` gave."""
        gone = {id(future) for _, _, future in fetched}
        for _, _, future in fetched:
            future.cancel()
        if gone:
            with self._lock:
                self._ahead = [each for each in self._ahead if id(each[2]) not in gone]

    def _covering(self, start: int, stop: int) -> list[_Piece]:
        """Pieces that were fetched ahead and hold these bytes between them; empty where some are missing."""
        with self._lock:
            fitting = sorted(
                (each for each in self._ahead if each[0] < stop and start < each[1]),
                key=lambda each: each[:2],
            )
        at = start
        for begin, end, _ in fitting:
            if begin > at:
                return []
            at = max(at, end)
        return fitting if at >= stop else []

    def _get(self, start: int, stop: int) -> memoryview:
        try:
            return self._whole(self._bucket.get_range(self._place.key, start, stop - start), start, stop)
        except FileNotFoundError as fault:
            raise DamagedStoreError(
                f"{self._path} is committed and missing; {repair_command(self._store)}"
            ) from fault

    def _whole(self, data: memoryview, start: int, stop: int) -> memoryview:
        if len(data) != stop - start:
            raise DamagedStoreError(
                f"{self._path} ends at byte {start + len(data)}, expected {stop}; {repair_command(self._store)}"
            )
        return data


def _requests(ranges: Sequence[Range]) -> list[Range]:
    """What to ask for: ranges that ascend, neighbours joined and long ones cut."""
    joined: list[Range] = []
    for begin, end in ranges:
        if joined and begin - joined[-1][1] <= _GAP and end - joined[-1][0] <= _REQUEST:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif end - begin <= _REQUEST:
            joined.append((begin, end))
        else:
            joined += [(at, min(at + _REQUEST, end)) for at in range(begin, end, _REQUEST)]
    return joined


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(bucket.IN_FLIGHT, "ranges")

"""Committed files in an object store, read by byte ranges; what is known to be wanted is fetched ahead.

They look as files that are kept open look (``mapped.KeptOpen``). Nothing of them stays on this machine.
"""

from __future__ import annotations

import itertools
import threading
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Ranges of equal length at equal distances, such as those of states, that lie one behind another in memory."""

    step: int
    """Bytes from one to the next in the file."""
    memory: np.ndarray
    """(N, bytes of each)."""
    futures: list[Future[memoryview]]


@dataclass(frozen=True, eq=False, slots=True)
class _Piece:
    """A range that was fetched ahead, and its bytes once they are there."""

    begin: int
    end: int
    future: Future[memoryview]
    rows: _Rows | None = None
    """Where it is one of them,"""
    number: int = 0
    """this one."""


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

    def lent(self, shape: tuple[int, int, int], dtype: np.dtype, first: int, step: int) -> np.ndarray | None:
        """``read_states`` of what was fetched ahead, where it lies, if it lies so; it stays until it is let go of."""
        n_bytes = shape[1] * shape[2] * dtype.itemsize
        found = self._covering(first, first + n_bytes)
        rows = found[0].rows if len(found) == 1 else None
        if rows is None or rows.step != step or found[0].number + shape[0] > len(rows.futures):
            return None
        number, width = found[0].number, rows.memory.shape[1]
        try:
            for future in rows.futures[number : number + shape[0]]:
                future.result()
        except CancelledError:  # whoever had begun to fetch it has let go of it
            return None
        strides = (width, shape[2] * dtype.itemsize, dtype.itemsize)
        got = np.ndarray(shape, dtype, rows.memory, number * width + first - found[0].begin, strides)
        return got if got.flags.aligned else None

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the C-contiguous ``out`` from the bytes at ``offset``. Raises DamagedStoreError, StoreError."""
        into = out.reshape(-1).view(np.uint8)
        stop = offset + len(into)
        pieces = self._covering(offset, stop) if len(into) else []
        ahead = self.fetch([(offset, stop)]) if len(into) and not pieces else []
        try:
            for each in pieces or ahead:
                low, high, data = max(each.begin, offset), min(each.end, stop), self._data(each)
                into[low - offset : high - offset] = data[low - each.begin : high - each.begin]
        finally:
            self.forget(ahead)

    def fetch(self, ranges: Sequence[Range]) -> list[_Piece]:
        """Begin to fetch these ranges, neighbours together; reads find them until they are given to ``forget``."""
        if ranges and self._known is None:
            _pool().submit(self.stamp)  # which is asked for next
        found = self._begun(_requests(sorted(ranges)))
        with self._lock:
            self._ahead += found
        return found

    def _begun(self, requests: Sequence[Range]) -> list[_Piece]:
        """Requests under way. Those of states are received side by side, so that they need not be copied together."""
        lengths = {end - begin for begin, end in requests}
        steps = {after[0] - before[0] for before, after in itertools.pairwise(requests)}
        if len(lengths) != 1 or len(steps) != 1:
            return [_Piece(*each, _pool().submit(self._get, *each)) for each in requests]
        memory = np.empty((len(requests), lengths.pop()), np.uint8)
        futures = [
            _pool().submit(self._get, *each, row.data) for each, row in zip(requests, memory, strict=True)
        ]
        rows = _Rows(steps.pop(), memory, futures)
        return [
            _Piece(*each, future, rows, number)
            for number, (each, future) in enumerate(zip(requests, futures, strict=True))
        ]

    def forget(self, fetched: Sequence[_Piece]) -> None:
        """Let go of what ``fetch`` gave."""
        gone = set(fetched)
        if gone:
            with self._lock:
                self._ahead = [each for each in self._ahead if each not in gone]
        for each in fetched:
            each.future.cancel()

    def _covering(self, start: int, stop: int) -> list[_Piece]:
        """Pieces that were fetched ahead and hold these bytes between them; empty where some are missing."""
        with self._lock:
            fitting = sorted(
                (each for each in self._ahead if each.begin < stop and start < each.end),
                key=lambda each: (each.begin, each.end),
            )
        at = start
        for each in fitting:
            if each.begin > at:
                return []
            at = max(at, each.end)
        return fitting if at >= stop else []

    def _data(self, piece: _Piece) -> memoryview:
        """Bytes of a piece; asked for anew where another thread, which had begun to fetch it, has let go of it."""
        try:
            return piece.future.result()
        except CancelledError:
            return self._get(piece.begin, piece.end)

    def _get(self, start: int, stop: int, into: memoryview | None = None) -> memoryview:
        """Bytes of the file, in ``into`` where it is given."""
        try:
            found = self._bucket.get_range(self._place.key, start, stop - start, into)
            return self._whole(found, start, stop)
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

"""Committed files that a reader keeps open, wherever they lie; what it will read of those far away comes ahead."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from sercache import objects
from sercache.objects import bucket, mirror
from sercache.stores.durable import Opened
from sercache.stores.mapped import KeptOpen
from sercache.stores.remote import ObjectFile, Range

_MOST_OPEN = 128
"""Files that a reader keeps open at once; each takes two descriptors, one of them its map's."""
_AHEAD = 64 * 2**20
"""Bytes that are asked for together: of a dozen states some megabytes each. A request costs what a megabyte costs."""
_GROUPS = 2
"""So many times that are on their way at once."""
Wanted = tuple[str, Range]
"""Name of a file, and a range of it."""
T = TypeVar("T")


def opened(path: str | Path) -> Opened:
    """A committed file, wherever it lies, for one look. Raises as ``Opened``."""
    place = objects.place_of(Path(path))
    return Opened(str(path)) if place is None else ObjectFile(str(path), place)


def is_there(path: Path) -> bool:
    """Whether there is a file, or a link in its place. Raises StoreError."""
    return os.path.lexists(path) if objects.place_of(path) is None else mirror.mark_of(path) is not None


def listed(folder: Path) -> list[Path]:
    """Files of a folder of features; none where the place lists nothing. Raises StoreError."""
    place = objects.place_of(folder)
    if place is None:
        return list(folder.glob("*"))
    names = bucket.bucket_of(place).names(place.key) if place.writes else {}
    return [folder / name[len(place.key) + 1 :] for name in names]


def _kept(path: str) -> KeptOpen:
    place = objects.place_of(Path(path))
    return KeptOpen(path) if place is None else ObjectFile(path, place)


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
                found = self._open[path] = _kept(path)
                if len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)  # closed once no thread reads from it any more
            else:
                self._open.move_to_end(path)
            return found


def fetched(
    items: Iterable[T], wanted: Callable[[T], Sequence[Wanted]], file: Callable[[str], KeptOpen]
) -> Iterator[T]:
    """The items, each when what it wants of files in an object store is on its way, some items ahead of their turn."""
    under_way: deque[tuple[list[T], list[Callable[[], None]]]] = deque()
    groups = _grouped(items, wanted)
    more = True
    try:
        while more or under_way:
            while more and len(under_way) < _GROUPS:
                group = next(groups, None)
                more = group is not None
                if group is not None:
                    under_way.append((group[0], _begun(group[1], file)))
            if under_way:
                yield from under_way[0][0]
                for over in under_way.popleft()[1]:
                    over()
    finally:
        for _, left in under_way:
            for over in left:
                over()


def _begun(wanted: dict[str, list[Range]], file: Callable[[str], KeptOpen]) -> list[Callable[[], None]]:
    """Begin to fetch ranges by file; gives what lets go of them."""
    over: list[Callable[[], None]] = []
    for name, ranges in wanted.items():
        found = file(name)
        if isinstance(found, ObjectFile):
            pieces = found.fetch(ranges)
            over.append(lambda found=found, pieces=pieces: found.forget(pieces))  # type: ignore[misc]
    return over


def _grouped(
    items: Iterable[T], wanted: Callable[[T], Sequence[Wanted]]
) -> Iterator[tuple[list[T], dict[str, list[Range]]]]:
    group: list[T] = []
    ranges: dict[str, list[Range]] = {}
    n_bytes = 0
    for item in items:
        group.append(item)
        for name, (begin, end) in wanted(item):
            ranges.setdefault(name, []).append((begin, end))
            n_bytes += end - begin
        if n_bytes >= _AHEAD:
            yield group, ranges
            group, ranges, n_bytes = [], {}, 0
    if group:
        yield group, ranges

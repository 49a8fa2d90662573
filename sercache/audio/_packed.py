"""Recordings inside other files: members of a tar, values of a column of a Parquet file.

Their paths go through that file, ``shard-000.tar/0001.wav`` and ``train.parquet/audio/17/a.wav`` (column, row, a name),
so that they travel, are told and are compared as any other path; nothing is unpacked to a disk.
"""

from __future__ import annotations

import io
import tarfile
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sercache.errors import AudioError
from sercache.tables import arrow

TAR, PARQUET = ".tar", ".parquet"
_HELD = 4
"""Row groups of Parquet files whose recordings are in memory at once."""

_BLOCK = 512
"""Bytes of a tar of which one is never less; it ends by two of zeros."""

Stamp = tuple[int, int]


def container(path: Path) -> Path | None:
    """The file that the recording at ``path`` is packed in; None for a file of its own."""
    for above in path.parents:
        if above.name.endswith((TAR, PARQUET)) and above.is_file():
            return above
    return None


def is_file(path: Path) -> bool:
    """Whether there is a recording at ``path``: a file, or what a container holds under this name."""
    if path.is_file():
        return True
    box = container(path)
    if box is None:
        return False
    inside = path.relative_to(box).as_posix()
    if box.name.endswith(TAR):
        return inside in members(box)
    return _place(box, inside) is not None


def stamp(path: Path) -> Stamp:
    """What changes where a recording does: size and time of its file, or of that which it is packed in."""
    state = (container(path) or path).stat()
    return state.st_size, state.st_mtime_ns


def size(path: Path) -> int:
    """Bytes of a recording."""
    box = container(path)
    if box is None:
        return path.stat().st_size
    inside = path.relative_to(box).as_posix()
    if box.name.endswith(TAR):
        return members(box)[inside][1]
    return len(_value(box, inside))


def opened(path: Path) -> io.BufferedReader | io.BytesIO:
    """A recording to be read. Raises OSError as opening does, AudioError where a container does not hold it."""
    box = container(path)
    if box is None:
        return path.open("rb")
    inside = path.relative_to(box).as_posix()
    if box.name.endswith(TAR):
        start, length = members(box)[inside]
        return io.BufferedReader(Spliced(box.open("rb"), start, start + length))
    return io.BytesIO(_value(box, inside))


def members(box: Path) -> dict[str, tuple[int, int]]:
    """Name of each file in a tar -> where its bytes begin, and how many they are.

    Raises AudioError where it is no whole tar.
    """
    return _members(box, stamp(box))


@lru_cache(256)
def _members(box: Path, stamp: Stamp) -> dict[str, tuple[int, int]]:
    try:
        with tarfile.open(box, "r:") as tar:
            found = {
                _plain(each.name): (each.offset_data, each.size)
                for each in tar
                if each.isreg() and not each.sparse
            }
    except (tarfile.TarError, EOFError, ValueError) as fault:
        raise AudioError(
            f"{box}: is no plain tar ({fault}); get a whole copy, not compressed", "unreadable"
        ) from fault
    end = max((start + -(-length // _BLOCK) * _BLOCK for start, length in found.values()), default=0)
    if end + _BLOCK > stamp[0]:
        raise AudioError(f"{box}: is cut short, it has no end mark; get a whole copy", "truncated")
    return found


def _plain(name: str) -> str:
    """A name as it stands in a path: of ``./a.wav`` and ``/a.wav`` this is ``a.wav``."""
    return PurePosixPath(name.lstrip("/")).as_posix()


class Spliced(io.RawIOBase):
    """Bytes ``start`` to ``stop`` - 1 of a file, after ``head``, as a file of their own; closes that file."""

    def __init__(self, file: BinaryIO, start: int, stop: int, head: bytes = b"") -> None:
        self._file = file
        self._head, self._start, self._stop = head, start, stop
        self._size = len(head) + stop - start
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte; gives where that is."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def tell(self) -> int:
        """The byte that is read next."""
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Fill the buffer as far as there are bytes; gives how many."""
        view = memoryview(buffer).cast("B")
        head = self._head[self._at : self._at + len(view)]
        view[: len(head)] = head
        n = len(head)
        if n < len(view):
            begin = self._start + self._at + n - len(self._head)
            self._file.seek(begin)
            rest = self._file.read(max(0, min(len(view) - n, self._stop - begin)))
            view[n : n + len(rest)] = rest
            n += len(rest)
        self._at += n
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _place(box: Path, inside: str) -> tuple[str, int] | None:
    """Column and row of a recording in a Parquet file; None where it has no such row."""
    column, _, rest = inside.partition("/")
    row = rest.partition("/")[0]
    n_rows = sum(_row_groups(box, stamp(box)))
    return (column, int(row)) if row.isdecimal() and int(row) < n_rows else None


def _value(box: Path, inside: str) -> bytes:
    """Bytes of a recording in a Parquet file. Raises AudioError."""
    place = _place(box, inside)
    if place is None:
        raise AudioError(f"{box}: has no row {inside.partition('/')[2][:40]!r}", "unreadable")
    column, row = place
    for group, n_rows in enumerate(_row_groups(box, stamp(box))):
        if row < n_rows:
            value = _column(box, stamp(box), group, column)[row].as_py()
            break
        row -= n_rows
    if not isinstance(value, bytes):
        raise AudioError(f"{box}: row {place[1]} of {column} holds no bytes", "unreadable")
    return value


@lru_cache(256)
def _row_groups(box: Path, stamp: Stamp) -> tuple[int, ...]:
    """Rows of each row group."""
    with arrow()[1].ParquetFile(box) as file:
        return tuple(file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups))


@lru_cache(_HELD)
def _column(box: Path, stamp: Stamp, group: int, column: str) -> Any:
    """Bytes of the recordings of a row group, as an array of Arrow."""
    pa, parquet = arrow()
    with parquet.ParquetFile(box) as file:
        name = f"{column}.bytes" if pa.types.is_struct(file.schema_arrow.field(column).type) else column
        table = file.read_row_group(group, columns=[name])
    found = table.column(0)
    return pa.chunked_array([part.field("bytes") for part in found.chunks]) if name != column else found

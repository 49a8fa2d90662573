"""Files that are whole or absent: write a temporary, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from sercache.errors import DamagedStoreError, DiskSpaceError, StoreError

Piece = bytes | np.ndarray
"""Bytes, or a C-contiguous array that is written as it lies in memory."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def crc32c(data: Piece, start: int = 0) -> int:
    """CRC-32C of ``data``, going on from the checksum ``start`` of what came before it."""
    return google_crc32c.extend(start, data)


def write_file(path: Path, pieces: Iterable[Piece]) -> None:
    """Write a new file and fsync it. It is gone again if anything fails."""
    with _whole(path), path.open("wb") as file:
        _write(file, pieces)
        _flush(file)


def fill_file(path: Path, placed: Iterable[tuple[int, Iterable[Piece]]]) -> None:
    """Overwrite parts of an existing file, each (offset in bytes, pieces), and fsync it."""
    with _whole(path), path.open("r+b") as file:
        for offset, pieces in placed:
            file.seek(offset)
            _write(file, pieces)
        _flush(file)


def _write(file: BinaryIO, pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        file.write(piece.data if isinstance(piece, np.ndarray) else piece)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` (new files, renames) survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create ``folder`` where it is missing, so that its name survives a power cut."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)


def replace_file(target: Path, temporary: Path, *pieces: Piece) -> None:
    """Put ``pieces`` at ``target`` in one step: readers see the old file or the new one, nothing between."""
    write_file(temporary, pieces)
    temporary.replace(target)
    sync_folder(target.parent)


@contextmanager
def write_faults_named(folder: Path) -> Iterator[None]:
    """Turn a full disk or quota into DiskSpaceError, a folder that is not ours to write into StoreError."""
    try:
        yield
    except OSError as fault:
        # h5py reports the system's error in words only.
        if fault.errno in _FULL or os.strerror(errno.ENOSPC) in str(fault):
            raise DiskSpaceError(
                f"the disk of {folder} is full; what was committed before is safe: free some space and run the "
                "same command to go on"
            ) from fault
        if fault.errno in _FORBIDDEN:
            raise StoreError(
                f"{folder} cannot be written: {fault.strerror}; choose another --cache"
            ) from fault
        raise


class Opened:
    """A committed file, open for reading by byte ranges; a context manager.

    A failing disk is an OSError, where a memory map would end the process. Raises DamagedStoreError where the
    file is missing.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError as fault:
            raise DamagedStoreError(
                f"{path} is committed and missing; run sercache verify --repair"
            ) from fault

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *fault: object) -> None:
        os.close(self._descriptor)

    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def read_states(self, out: np.ndarray, first: int, step: int, states: Sequence[int]) -> None:
        """Rows of each state, (L', T, D): those of state s lie at ``first + s * step``. Raises as ``read_into``."""
        for rows, state in zip(out, states, strict=True):
            self.read_into(rows, first + state * step)

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the C-contiguous ``out`` from the bytes at ``offset``.

        Raises DamagedStoreError where the file ends before that.
        """
        view = out.reshape(-1).view(np.uint8).data
        done = 0
        while done < len(view):  # one call gives at most 2 GiB
            got = os.preadv(self._descriptor, [view[done:]], offset + done)
            if got == 0:
                raise DamagedStoreError(
                    f"{self._path} ends at byte {offset + done}, expected {offset + len(view)}; "
                    "run sercache verify --repair"
                )
            done += got

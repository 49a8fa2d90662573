"""Files that are whole or absent: write a temporary, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c
import numpy as np

from sercache import advice
from sercache.errors import DamagedStoreError, DiskSpaceError, StoreError
from sercache.system import read_at, sync, sync_path

Piece = bytes | np.ndarray
"""Bytes, or a C-contiguous array that is written as it lies in memory."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def crc32c(data: Piece, start: int = 0) -> int:
    """CRC-32C of ``data``, going on from the checksum ``start`` of what came before it."""
    return google_crc32c.extend(start, data)


def write_file(path: Path, pieces: Iterable[Piece]) -> None:
    """Write a new file and fsync it. It is gone again if anything fails."""
    with _whole(path), path.open("wb") as file:
        _write(file, pieces)
        _flush(file)


def write_parts(path: Path, size: int, parts: Iterable[tuple[int, Iterable[Piece]]]) -> None:
    """Write a new file of ``size`` bytes, each part at its offset in bytes, zeros elsewhere, and fsync it.

    It is gone again if anything fails.
    """
    with _whole(path), path.open("wb") as file:
        for offset, pieces in parts:
            file.seek(offset)
            _write(file, pieces)
        file.truncate(size)  # which flushes first, and makes it longer where nothing is written at its end
        _flush(file)


def _write(file: BinaryIO, pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        file.write(piece.data if isinstance(piece, np.ndarray) else piece)


def _flush(file: BinaryIO) -> None:
    file.flush()
    sync(file.fileno())


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Create ``folder`` where it is missing, so that its name survives a power cut."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_path(folder.parent)


def replace_file(target: Path, temporary: Path, *pieces: Piece) -> None:
    """Put ``pieces`` at ``target`` in one step: readers see the old file or the new one, nothing between."""
    write_file(temporary, pieces)
    temporary.replace(target)
    sync_path(target.parent)


@contextmanager
def write_faults_named(folder: Path) -> Iterator[None]:
    """Turn a full disk or quota into DiskSpaceError, any other fault of the system or of h5py into StoreError."""
    try:
        yield
    except (OSError, RuntimeError) as fault:
        # h5py reports the system's error in words only, and some of them as RuntimeError.
        number = getattr(fault, "errno", None)
        if number in _FULL or os.strerror(errno.ENOSPC) in str(fault):
            raise DiskSpaceError(
                f"the disk of {folder} is full; what was committed before is safe: free some space and run the "
                "same command to resume"
            ) from fault
        if number in _NO_LOCKS:
            raise StoreError(
                f"{folder} cannot be written: its disk grants no file locks ({os.strerror(number)}), by which writers "
                "tell the living from the dead; choose another --cache, or have it mounted with locks"
            ) from fault
        if number in _FORBIDDEN and isinstance(fault, OSError):
            raise StoreError(
                f"{folder} cannot be written: {fault.strerror}; choose another --cache"
            ) from fault
        if isinstance(fault, RuntimeError) and "h5py" not in "".join(_modules(fault)):
            raise
        few = "allow more open files (ulimit -n), then " if number in (errno.EMFILE, errno.ENFILE) else ""
        what = " ".join((getattr(fault, "strerror", None) or str(fault)).split())
        raise StoreError(
            f"{folder} cannot be written: {what}; what was committed before is safe: {few}run the same command to "
            "resume"
        ) from fault


def _modules(fault: BaseException) -> Iterator[str]:
    """Names of the modules through which a fault came."""
    trace = fault.__traceback__
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", "")) + trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


def _store_of(path: Path) -> Path:
    """The folder of the store that a small file lies in."""
    return next((each.parent for each in path.parents if each.name == "ledger"), path.parent)


def open_plain(path: Path) -> BinaryIO:
    """A small file of a store, open for reading.

    Raises FileNotFoundError or NotADirectoryError where it is not there, DamagedStoreError where it is a link or no
    file that holds bytes, StoreError where the system does not give it.
    """
    store = _store_of(path)
    try:
        # A pipe in its place would wait for ever, a link may lead anywhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as fault:
        if fault.errno in (errno.ELOOP, errno.ENXIO):
            raise DamagedStoreError(
                f"{path} is a link or no plain file, expected the file itself; {repair_command(store)}"
            ) from fault
        raise read_fault(path, fault, store) from fault
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamagedStoreError(f"{path} is no plain file; {repair_command(store)}")
    return os.fdopen(descriptor, "rb")


def read_whole(path: Path) -> bytes:
    """All of a small file of a store. Raises as ``open_plain``."""
    with open_plain(path) as file:
        try:
            return file.read()
        except OSError as fault:
            raise read_fault(path, fault, _store_of(path)) from fault


@contextmanager
def read_faults_named(path: Path, store: Path) -> Iterator[None]:
    """Turn a fault of the system while ``path`` is listed or read into a StoreError, as ``read_fault`` words it."""
    try:
        yield
    except OSError as fault:
        raise read_fault(path, fault, store) from fault


class Stamp(NamedTuple):
    """What changes with a file's bytes."""

    size: int
    changed_ns: int
    inode: int


class Opened:
    """A committed file, open for reading by byte ranges; a context manager.

    Files are opened for each read: nothing is shared between threads or forked processes, and a failing
    disk is an error, where a memory map would end the process. Raises DamagedStoreError where the file
    is missing, a link, or none that holds bytes; StoreError where the system does not give it.
    """

    def __init__(self, path: str) -> None:
        """``path``: ``<store>/<folder>/<name>``."""
        self._path = path
        try:
            # A pipe in its place would wait for ever, a link may lead anywhere.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as fault:
            raise self._named(fault) from fault
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            del self._descriptor
            raise DamagedStoreError(f"{path} is no plain file; {repair_command(self._store)}")

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *fault: object) -> None:
        os.close(self._descriptor)

    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def stamp(self) -> Stamp:
        """What tells whether its bytes were changed."""
        found = os.fstat(self._descriptor)
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the C-contiguous ``out`` from the bytes at ``offset``.

        Raises DamagedStoreError where the file ends before that or the disk cannot read it, StoreError.
        """
        view = out.reshape(-1).view(np.uint8).data
        done = 0
        while done < len(view):  # one call gives at most 2 GiB
            try:
                got = read_at(self._descriptor, view[done:], offset + done)
            except OSError as fault:
                raise self._named(fault) from fault
            if got == 0:
                raise DamagedStoreError(
                    f"{self._path} ends at byte {offset + done}, expected {offset + len(view)}; "
                    f"{repair_command(self._store)}"
                )
            done += got

    @property
    def _store(self) -> str:
        return str(Path(self._path).parents[1])

    def _named(self, fault: OSError) -> StoreError:
        if fault.errno in (errno.ENOENT, errno.ENOTDIR):
            return DamagedStoreError(f"{self._path} is committed and missing; {repair_command(self._store)}")
        if fault.errno in (errno.ELOOP, errno.ENXIO):
            return DamagedStoreError(
                f"{self._path} is a link or no plain file, expected the file itself; {repair_command(self._store)}"
            )
        return read_fault(Path(self._path), fault, self._store)


def repair_command(store: Path | str) -> str:
    """What to do about damage in a store."""
    return f"run {advice.command('verify', store, repair=True)}"


def read_fault(path: Path, fault: OSError, store: Path | str) -> StoreError:
    """What the system says of a file that cannot be read, and what to do; only a failing disk is damage."""
    about = f"{path} cannot be read: {fault.strerror or fault}"
    if fault.errno == errno.EIO:
        return DamagedStoreError(f"{about}; see whether the disk is sound, then {repair_command(store)}")
    remedies = {
        errno.EMFILE: "allow more open files (ulimit -n), or use fewer processes",
        errno.ENFILE: "allow more open files (ulimit -n), or use fewer processes",
        errno.EACCES: "see who may read it (ls -l)",
        errno.EPERM: "see who may read it (ls -l)",
        errno.ESTALE: "the file server lost it for a moment: run the same command again",
    }
    return StoreError(f"{about}; {remedies.get(fault.errno or 0, 'run the same command again')}")

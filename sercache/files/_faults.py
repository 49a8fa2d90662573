"""What the system refuses, in one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sercache.errors import DiskSpaceError, FileError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_REMEDIES = {
    errno.EACCES: "see who may read it (ls -l)",
    errno.EPERM: "see who may read it (ls -l)",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file in it",
    errno.ELOOP: "mend the link",
    errno.ENAMETOOLONG: "check the path",
}


@contextmanager
def write_faults_named(path: Path, remedy: str = "") -> Iterator[None]:
    """Turn a fault of the system while ``path`` is written into one line; ``remedy`` says what to do.

    Raises DiskSpaceError for a full disk or quota, else FileError.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise DiskSpaceError(
                f"the disk of {path} is full: free some space{remedy and f', {remedy}'}"
            ) from fault
        raise FileError(
            f"{path} cannot be written: {in_words(fault)}; {remedy or 'choose another place'}"
        ) from fault


def read_fault(path: Path, fault: OSError) -> FileError:
    """What is said of a file, or a file of a folder, that the system does not give."""
    remedy = _READ_REMEDIES.get(fault.errno or 0, "see whether the disk is sound, and run the same again")
    where = f" ({fault.filename})" if fault.filename and str(fault.filename) != str(path) else ""
    return FileError(f"{path} cannot be read: {fault.strerror or fault}{where}; {remedy}")


def in_words(fault: OSError) -> str:
    """What the system says, with the file it says it of where that is known."""
    return (fault.strerror or str(fault)) + (f" ({fault.filename})" if fault.filename else "")

"""Faults that are no checkpoint's: a disk that does not give a file, memory that ran out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from sercache import files, memory
from sercache.errors import EncoderError

_OF_THE_CHECKPOINT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL)
"""A file that is missing, or another kind of thing, is the checkpoint's own fault; so is one that is cut short, in
which torch seeks before the beginning."""


def pass_on(fault: BaseException, path: Path) -> None:
    """Raise what no fresh copy of ``path`` would mend; first of all where a loader's error is put in words.

    Memory that ran out goes on as it is; what the system does not give is an EncoderError that says so. Libraries
    wrap both.
    """
    for each in _chain(fault):
        if memory.ran_out(each):
            raise each
        if isinstance(each, OSError) and each.errno is not None and each.errno not in _OF_THE_CHECKPOINT:
            where = Path(each.filename) if isinstance(each.filename, str) else path
            raise EncoderError(str(files.read_fault(where, each))) from fault


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while fault is not None and fault not in seen:
        seen.append(fault)
        yield fault
        fault = fault.__cause__ or fault.__context__

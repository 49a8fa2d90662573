"""A table beside the features, as JSON lines that know whether a byte of them was changed.

The first line, ``{"crc32c": "0a1b2c3d"}``, checks all that follows; each further line is one JSON value.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from sercache import files
from sercache.errors import DamagedStoreError
from sercache.stores.durable import crc32c, open_plain, read_whole

CORPUS = "corpus.jsonl"
"""The table of the corpus that a store was made from."""
_PIECE_BYTES = 2**20
_HEAD_BYTES = len(b'{"crc32c": "00000000"}\n')


def write(path: Path, values: Callable[[], Iterable[Any]]) -> bool:
    """Put ``values`` at ``path`` in one step, unless they are there; whether anything was written.

    ``values`` is asked twice, and never held whole. Raises DiskSpaceError, FileError; ValueError for a number that is
    not finite.
    """
    crc = 0
    for line in _lines(values()):
        crc = crc32c(line, crc)
    head = _head(crc)
    if _head_of(path) == head:
        with suppress(DamagedStoreError, FileNotFoundError):
            check(path, "")
            return False
    files.write_pieces(path, chain((head,), _lines(values())))
    return True


def read(path: Path, remedy: str) -> Iterator[Any]:
    """The values that ``write`` wrote, one after another.

    Raises FileNotFoundError, DamagedStoreError (with ``remedy``) where a byte differs or a line is no JSON.
    """
    whole = io.BytesIO(_checked(path, remedy))
    whole.seek(_HEAD_BYTES)
    for number, line in enumerate(whole, start=2):
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line, parse_constant=_refused)
        except (ValueError, RecursionError) as fault:  # crafted: its checksum fits
            raise DamagedStoreError(
                f"{path}, line {number}, is no JSON that sercache writes; {remedy}"
            ) from fault


def check(path: Path, remedy: str) -> None:
    """Raises as ``read`` where a byte was changed."""
    _checked(path, remedy)


def _checked(path: Path, remedy: str) -> bytes:
    data = read_whole(path)
    crc = 0
    for start in range(_HEAD_BYTES, len(data), _PIECE_BYTES):  # no second copy of all of it
        crc = crc32c(data[start : start + _PIECE_BYTES], crc)
    if data[:_HEAD_BYTES] != _head(crc):
        raise DamagedStoreError(f"{path} is damaged: its checksum does not fit; {remedy}")
    return data


def _refused(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _lines(values: Iterable[Any]) -> Iterator[bytes]:
    for value in values:
        yield json.dumps(value, allow_nan=False).encode() + b"\n"


def _head(crc: int) -> bytes:
    return b'{"crc32c": "%08x"}\n' % crc


def _head_of(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read(_HEAD_BYTES)
    except (OSError, DamagedStoreError):
        return b""

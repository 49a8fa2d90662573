"""Where the recordings in a file begin and end: most files are one, joined streams are several.

libsndfile reads the first of several streams that were joined, and believes the length that a header states.
What is found here is read whole instead, or refused by name.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sercache.audio import _packed
from sercache.audio._records import Remark


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes ``start`` to ``stop`` - 1 of a file, with ``head`` before them where a header had to be mended."""

    start: int
    stop: int
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The recordings of a file; no parts: libsndfile reads the file as it is."""

    parts: tuple[FilePart, ...] = ()
    remarks: tuple[Remark, ...] = ()
    has_messages: bool = False
    """Its decoder writes to the standard streams of C: libmpg123 does, and libsndfile of SDS."""
    is_counted: bool = False
    """Its frames of MPEG audio were counted."""


def layout(path: Path) -> FileLayout:
    """What a file consists of. Raises AudioError where it is cut short or damaged, OSError as reading does."""
    from sercache.audio import _chunks, _flac, _mpeg, _ogg

    with _packed.opened(path) as file:
        size = file.seek(0, io.SEEK_END)
        at = _behind_id3(file, size)
        file.seek(at)
        magic = file.read(12)
        if at == 0 and (kind := _chunks.KINDS.get(magic[:4])) is not None:
            return _chunks.layout(path, file, size, kind)
        if magic[:4] == b"OggS":
            return _ogg.layout(path, file, at, size)
        if magic[:4] == b"fLaC":
            return _flac.layout(path, file, at, size)
        if _mpeg.begins(magic) or path.suffix.lower() in _mpeg.SUFFIXES:
            return _mpeg.layout(path, file, at, size)
        return FileLayout(has_messages=True)  # libsndfile may take it for MPEG audio all the same


def _behind_id3(file: BinaryIO, size: int) -> int:
    """Where the tags before a stream end."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
            return at
        at += id3_bytes(head)
    return at


def id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag that begins with these ten bytes (id3.org, ID3v2.4 section 3.1)."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | (byte & 127)
    return length + (20 if head[5] & 16 else 10)

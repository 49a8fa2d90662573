"""Files made of chunks (WAV, AIFF, CAF): a header that was never finished, and samples that it does not count.

Recorders write the length of the samples when they end; one that was interrupted leaves 0 there, or what
was true some time before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sercache.audio._layout import FileLayout, FilePart
from sercache.audio._records import Remark
from sercache.errors import AudioError

_MPEG = (0x50, 0x55)
"""Format tags of MPEG audio in WAV."""
_MOST = 0x7FFEFFFF
"""Bytes that a mended header states at most: as many as every reader takes."""
_FOREIGN = 256
"""Bytes behind the last chunk that are no samples: tags, padding to a sector's end."""
_WINDOW = 2**20


@dataclass(frozen=True, slots=True)
class Kind:
    """How the chunks of a kind of file are written."""

    header: struct.Struct
    """Of a chunk: name and length."""
    first: int
    """Byte at which the first chunk begins."""
    samples: tuple[bytes, ...]
    """Names of the chunk that holds them."""
    beginning: bytes
    """What every file of this kind has in its first bytes."""
    is_padded: bool = True
    """Whether chunks begin at even bytes."""
    is_wav: bool = False


KINDS = {
    b"RIFF": Kind(struct.Struct("<4sI"), 12, (b"data",), b"WAVEfmt ", is_wav=True),
    b"RIFX": Kind(struct.Struct(">4sI"), 12, (b"data",), b"WAVEfmt ", is_wav=True),
    b"FORM": Kind(struct.Struct(">4sI"), 12, (b"SSND", b"BODY"), b"FORM"),
    b"caff": Kind(struct.Struct(">4sQ"), 8, (b"data",), b"caff\x00\x01", is_padded=False),
}
"""By the first four bytes of a file."""


def layout(path: Path, file: BinaryIO, size: int, kind: Kind) -> FileLayout:
    """The file as it is, or with a mended header where that counts no samples though there are some.

    Raises AudioError where another recording begins behind the samples that the header counts.
    """
    is_mpeg = False
    data: tuple[int, int] | None = None
    end = kind.first
    for name, at, length in _chunks(file, kind, size):
        if kind.is_wav and name == b"fmt ":
            file.seek(at)
            is_mpeg = int.from_bytes(file.read(2), "little" if kind is KINDS[b"RIFF"] else "big") in _MPEG
        if name in kind.samples and data is None:
            data = at, length
        end = at + length + (length % 2 if kind.is_padded else 0)
    rest = size - end
    if data is None or rest <= 0:
        return FileLayout(has_messages=is_mpeg)
    at, length = data
    if kind.is_wav and not length:
        text = f"its header was never finished (0 bytes of samples); all {size - at} bytes behind it are read"
        part = FilePart(at, size, _mended(file, kind, at, size))
        return FileLayout((part,), (Remark("unfinished", text),), is_mpeg)
    if rest <= _FOREIGN or not length:
        return FileLayout(has_messages=is_mpeg)
    again = _again(file, kind, kind.first + 1)
    if again is not None:
        raise AudioError(f"{path}: another recording begins at byte {again}; split them", "unreadable")
    text = (
        f"its header counts {length} bytes of samples; {rest} bytes behind them are not read (if they are sound, "
        "the recording was interrupted: `sox --ignore-length` writes it anew)"
    )
    return FileLayout(remarks=(Remark("trailing", text),), has_messages=is_mpeg)


def _mended(file: BinaryIO, kind: Kind, at: int, size: int) -> bytes:
    """The header before the samples at byte ``at``, with the lengths that the file's size gives."""
    file.seek(0)
    head = bytearray(file.read(at))
    name = kind.samples[0]
    kind.header.pack_into(head, at - kind.header.size, name, min(size - at, _MOST))
    kind.header.pack_into(head, 0, bytes(head[:4]), min(size - kind.header.size, _MOST))
    return bytes(head)


def _chunks(file: BinaryIO, kind: Kind, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk, up to what is none; samples may reach to the file's end."""
    at = kind.first
    while at + kind.header.size <= size:
        file.seek(at)
        name, length = kind.header.unpack(file.read(kind.header.size))
        at += kind.header.size
        if not all(32 <= byte < 127 for byte in name) or (name not in kind.samples and at + length > size):
            return
        yield name, at, min(length, size - at)
        at += length + (length % 2 if kind.is_padded else 0)


def _again(file: BinaryIO, kind: Kind, at: int) -> int | None:
    """Where, from byte ``at`` on, what every file of the kind begins with comes again."""
    overlap = len(kind.beginning) - 1
    while True:
        file.seek(at)
        window = file.read(_WINDOW)
        k = window.find(kind.beginning)
        if k >= 0:
            return at + k
        if len(window) < _WINDOW:
            return None
        at += _WINDOW - overlap

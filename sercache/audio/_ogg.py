"""Ogg: pages with checksums and numbers, streams with end marks, and several streams one after another.

RFC 3533. libsndfile takes the length from the last whole page of the first stream and passes over pages whose
checksum fails.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from sercache.audio._layout import FileLayout, FilePart
from sercache.audio._records import Remark
from sercache.errors import AudioError

_HEAD = struct.Struct("<4sBBqIIIB")
_CONTINUES, _BEGINS, _ENDS = 1, 2, 4
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_WINDOW = 2**16


def layout(path: Path, file: BinaryIO, start: int, size: int) -> FileLayout:
    """The streams of a file, one after another.

    Raises AudioError where a page is cut short, missing, or fails its checksum.
    """
    at = start
    links = [start]
    next_page: dict[int, int] = {}
    open_streams: set[int] = set()
    left_open = False
    only_beginnings = True
    while at < size:
        page = _page(path, file, at, size)
        if page is None:
            break
        flags, serial, number, length = page
        if flags & _BEGINS:
            if not only_beginnings:
                links.append(at)
                left_open |= bool(open_streams)
                next_page, open_streams = {}, set()
            open_streams.add(serial)
        elif number != next_page.get(serial, number):
            raise AudioError(
                f"{path}: lacks pages of its stream before byte {at}; get a whole copy", "damaged"
            )
        only_beginnings = bool(flags & _BEGINS)
        next_page[serial] = (number + 1) & 0xFFFFFFFF
        if flags & _ENDS:
            open_streams.discard(serial)
        at += length
    remarks = []
    if open_streams or left_open:
        remarks.append(Remark("unfinished", "its stream has no end mark; what came last may be missing"))
    if len(links) > 1:
        remarks.append(Remark("joined", f"{len(links)} Ogg streams in one file, read one after another"))
    elif start == 0 and at == size:
        return FileLayout(remarks=tuple(remarks))
    parts = [FilePart(a, b) for a, b in zip(links, [*links[1:], at], strict=True)]
    return FileLayout(tuple(parts), tuple(remarks))


def _page(path: Path, file: BinaryIO, at: int, size: int) -> tuple[int, int, int, int] | None:
    """Flags, serial number, page number and bytes of the page at ``at``; None where no page follows."""
    file.seek(at)
    head = file.read(_HEAD.size)
    if head[:4] != b"OggS":
        if _follows(file, at):
            raise AudioError(
                f"{path}: is damaged at byte {at}, where a page should begin; get a whole copy", "damaged"
            )
        return None
    if len(head) < _HEAD.size:
        raise _cut(path, at, size)
    _, _, flags, _, serial, number, crc, n_segments = _HEAD.unpack(head)
    table = file.read(n_segments)
    body = file.read(sum(table))
    if len(table) < n_segments or len(body) < sum(table):
        raise _cut(path, at, size)
    if checksum(head[:22] + bytes(4) + head[26:] + table + body) != crc:
        raise AudioError(
            f"{path}: is damaged, the page at byte {at} fails its checksum; get a whole copy", "damaged"
        )
    return flags, serial, number, len(head) + len(table) + len(body)


def _cut(path: Path, at: int, size: int) -> AudioError:
    return AudioError(
        f"{path}: is cut short, it ends at byte {size} within the page that begins at byte {at}; get a whole copy",
        "truncated",
    )


def _follows(file: BinaryIO, at: int) -> bool:
    """Whether a page begins anywhere behind ``at``."""
    file.seek(at)
    last = b""
    while window := file.read(_WINDOW):
        if b"OggS" in last + window:
            return True
        last = window[-3:]
    return False


def checksum(page: bytes) -> int:
    """CRC-32 of a page whose own field is zero: the polynomial of zlib, highest bit first, from 0."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)

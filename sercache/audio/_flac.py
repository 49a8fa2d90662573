"""FLAC: streams that were joined, and a number of samples that is not the one its frames count.

RFC 9639. libsndfile stops at the number of samples in the header, whatever follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from sercache.audio._layout import FileLayout, FilePart
from sercache.audio._records import Remark
from sercache.errors import AudioError

_BEGIN = b"fLaC\x00\x00\x00\x22"
_LAST_BEGIN = b"fLaC\x80\x00\x00\x22"
_HEADER = 42
_WINDOW = 2**20
_TAIL = 2**17
"""Bytes at a stream's end in which its last frame begins; larger than any but extreme frames."""


def layout(path: Path, file: BinaryIO, start: int, size: int) -> FileLayout:
    """The streams of a file, one after another, with the number of samples that their frames count.

    Raises AudioError where the last frame that is there lies before the end that the header states.
    """
    starts = _starts(file, start, size)
    parts, remarks = [], []
    for begin, stop in zip(starts, [*starts[1:], size], strict=True):
        part, remark = _stream(path, file, begin, stop)
        parts.append(part)
        remarks += [remark] if remark else []
    if len(parts) > 1:
        remarks.append(Remark("joined", f"{len(parts)} FLAC streams in one file, read one after another"))
    elif not parts[0].head and start == 0:
        return FileLayout(remarks=tuple(remarks))
    return FileLayout(tuple(parts), tuple(remarks))


def _starts(file: BinaryIO, start: int, size: int) -> list[int]:
    """Where streams begin."""
    found = [start]
    overlap = len(_BEGIN) - 1
    at = start + 1
    while at < size:
        file.seek(at)
        window = file.read(_WINDOW)
        for mark in (_BEGIN, _LAST_BEGIN):
            k = window.find(mark)
            while k >= 0:
                found.append(at + k)
                k = window.find(mark, k + 1)
        if len(window) < _WINDOW:
            break
        at += _WINDOW - overlap
    return sorted(set(found))


def _stream(path: Path, file: BinaryIO, begin: int, stop: int) -> tuple[FilePart, Remark | None]:
    """The stream as it is, or with the right number of samples in its header."""
    part = FilePart(begin, stop)
    file.seek(begin)
    head = bytearray(file.read(_HEADER))
    if len(head) < _HEADER or head[4] & 127:
        return part, None
    block = int.from_bytes(head[10:12], "big")
    rate = int.from_bytes(head[18:21], "big") >> 4 or 1
    declared = int.from_bytes(head[21:26], "big") & 0xFFFFFFFFF
    file.seek(max(begin + _HEADER, stop - _TAIL))
    held = _last_sample(file.read(stop - file.tell()), block, declared)
    if not held or held == declared:
        return part, None
    if held < declared:
        raise AudioError(
            f"{path}: holds {held / rate:.2f} s where its header says {declared / rate:.2f} s; get a whole copy",
            "truncated",
        )
    head[21] = head[21] & 0xF0 | held >> 32
    head[22:26] = (held & 0xFFFFFFFF).to_bytes(4, "big")
    text = f"its header says {declared / rate:.2f} s, its frames hold {held / rate:.2f} s, which are read"
    # 0 is what a writer to a pipe leaves: unknown, and no fault.
    return FilePart(begin + _HEADER, stop, bytes(head)), Remark("header", text) if declared else None


def _last_sample(tail: bytes, block: int, declared: int) -> int:
    """The sample behind the last frame; 0: no frame ends where the bytes end."""
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        if tail[at + 1 : at + 2] not in (b"\xf8", b"\xf9"):
            continue
        end = _frame_end(tail[at : at + 16], block)
        # Random bytes look like a header once in a while; the length that is expected, or the checksum, tells.
        if end and (end == declared or _crc16(tail[at:-2]) == int.from_bytes(tail[-2:], "big")):
            return end
    return 0


def _frame_end(head: bytes, block: int) -> int:
    """The sample behind the frame with this header, 0 where it is none: its checksum tells."""
    if len(head) < 6 or head[3] & 1:
        return 0
    size_code, rate_code = head[2] >> 4, head[2] & 15
    at, number = 5, head[4]
    if number >= 0x80:  # coded as UTF-8, of up to seven bytes
        n_more = f"{number:08b}".find("0") - 1
        if not 1 <= n_more <= 6 or len(head) < 5 + n_more:
            return 0
        number &= (1 << (6 - n_more)) - 1
        for byte in head[5 : 5 + n_more]:
            number = number << 6 | byte & 63
        at += n_more
    n_size = {6: 1, 7: 2}.get(size_code, 0)
    n_rate = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    last = at + n_size + n_rate
    if size_code == 0 or rate_code == 15 or len(head) <= last or _crc8(head[:last]) != head[last]:
        return 0
    if n_size:
        length = int.from_bytes(head[at : at + n_size], "big") + 1
    else:
        length = {1: 192}.get(size_code) or (576 << size_code - 2 if size_code < 6 else 256 << size_code - 8)
    return (number if head[1] & 1 else number * block) + length


def _crc8(data: bytes) -> int:
    """Polynomial 0x07, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _crc16(data: bytes) -> int:
    """Polynomial 0x8005, from 0."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _crc16_of(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


_CRC16 = [_crc16_of(byte) for byte in range(256)]

"""MPEG audio (MP3): its frames counted one by one, as no header can be believed.

ISO/IEC 11172-3 and 13818-3. libmpg123 takes the length from the Xing or Info frame of LAME, which ends where the
first of several joined files ended, or guesses it from the first bit rate, which is wrong where that varies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from sercache.audio._layout import FileLayout, FilePart, id3_bytes
from sercache.audio._records import Remark
from sercache.errors import AudioError

SUFFIXES = (".mp3", ".mp2", ".mp1", ".mpga")

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz, by version (3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5)."""
_KBITS = {
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by (MPEG-1?, layer bits), from index 1 on. Layer bits: 3 for layer I, 2 for II, 1 for III."""
_SEARCHED = 2**16
"""Bytes in which the first frame begins, as libmpg123 searches them."""
_MARKS = (b"Xing", b"Info")


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a frame's header says."""

    kind: tuple[int, int, int]
    """Version, layer and sample-rate bits: equal in all frames of a stream."""
    n_bytes: int
    n_samples: int
    rate: int
    side: int
    """Bytes between the header and a Xing or Info mark."""


@dataclass(frozen=True, slots=True)
class _Info:
    """A frame that states how many follow."""

    mark: int
    """Byte in the frame at which Xing or Info stands."""
    n_frames: int | None
    """None: it does not say."""


@dataclass
class _Link:
    """Frames of one recording, one after another."""

    start: int
    first: _Frame
    info: _Info | None
    """Of the first frame, where that states the length and holds no sound."""
    n_frames: int = 0
    stop: int = 0


def begins(magic: bytes) -> bool:
    """Whether a file with these first bytes begins with a frame."""
    return frame(magic[:4]) is not None


@lru_cache(4096)
def frame(head: bytes) -> _Frame | None:
    """What the four bytes of a header say; None: they are none, or of a free bit rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate_bits, pad = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 0 or bits in (0, 15) or rate_bits == 3:
        return None
    is_one = version == 3
    rate = _RATES[version][rate_bits]
    speed = _KBITS[is_one, layer][bits - 1] * 1000
    if layer == 3:
        n_samples, n_bytes = 384, (12 * speed // rate + pad) * 4
    else:
        n_samples = 1152 if is_one or layer == 2 else 576
        n_bytes = n_samples // 8 * speed // rate + pad
    is_mono = head[3] >> 6 == 3
    side = (17 if is_mono else 32) if is_one else (9 if is_mono else 17)
    return _Frame((version, layer, rate_bits), n_bytes, n_samples, rate, side)


def layout(path: Path, file: BinaryIO, start: int, size: int) -> FileLayout:
    """The recordings of a file, each with a header that states how many frames it has.

    Raises AudioError where frames are missing or bytes between them are none.
    """
    file.seek(start)
    data = file.read(size - start)
    at = _first(data)
    if at is None:
        return FileLayout(has_messages=True)
    links = _links(path, data, at)
    remarks = []
    if at:
        remarks.append(Remark("header", f"its first {at} bytes are no frame and are passed over"))
    if links[-1].stop < 0:
        links[-1].stop = -links[-1].stop
        remarks.append(Remark("unfinished", "it ends within a frame; what came last may be missing"))
    parts = []
    for link in links:
        part, remark = _mended(path, data, link, start)
        parts.append(part)
        remarks += [remark] if remark else []
    if len(parts) > 1:
        remarks.append(Remark("joined", f"{len(parts)} MPEG streams in one file, read one after another"))
    elif not parts[0].head:
        return FileLayout(remarks=tuple(remarks), has_messages=True, is_counted=True)
    return FileLayout(tuple(parts), tuple(remarks), has_messages=True, is_counted=True)


def _first(data: bytes) -> int | None:
    """Where the first frame begins: a header that another one of its kind, or the end, follows."""
    at = data.find(b"\xff", 0, _SEARCHED)
    while at >= 0:
        found = frame(data[at : at + 4])
        if found is not None:
            behind = frame(data[at + found.n_bytes : at + found.n_bytes + 4])
            if at + found.n_bytes == len(data) or (behind is not None and behind.kind == found.kind):
                return at
        at = data.find(b"\xff", at + 1, _SEARCHED)
    return None


def _links(path: Path, data: bytes, at: int) -> list[_Link]:
    """Each recording with its frames counted; the last one's ``stop`` is negative where it ends within one."""
    links: list[_Link] = []
    kind = None
    while at < len(data):
        found = frame(data[at : at + 4])
        if found is None or (kind is not None and found.kind != kind):
            at, is_end = _behind_tags(path, data, at)
            if is_end:
                break
            kind = None
            continue
        if at + found.n_bytes > len(data):
            links[-1].stop = -links[-1].stop
            break
        info = _info(data, at, found)
        if kind is None or info is not None:
            links.append(_Link(at, found, info))
            kind = found.kind
        links[-1].n_frames += info is None
        at += found.n_bytes
        links[-1].stop = at
    return links


def _info(data: bytes, at: int, found: _Frame) -> _Info | None:
    """What a Xing, Info or VBRI frame states; None: it is a frame of sound."""
    for mark in (4 + found.side, 6 + found.side):  # behind a checksum of two bytes, where there is one
        # libmpg123 knows the frame by the zeros before the mark.
        if data[at + mark : at + mark + 4] in _MARKS and not any(data[at + 6 : at + mark]):
            has_count = len(data) >= at + mark + 12 and data[at + mark + 7] & 1
            return _Info(
                mark, int.from_bytes(data[at + mark + 8 : at + mark + 12], "big") if has_count else None
            )
    return _Info(36, None) if data[at + 36 : at + 40] == b"VBRI" else None


def _behind_tags(path: Path, data: bytes, at: int) -> tuple[int, bool]:
    """Where the next recording begins behind tags, and whether nothing but tags follows.

    Raises AudioError where frames follow behind what is neither frame nor tag.
    """
    begin = at
    while True:
        if data[at : at + 3] == b"ID3":
            at += id3_bytes(data[at : at + 10].ljust(10, b"\0"))
        elif data[at : at + 3] == b"TAG":
            at += 128
        elif data[at : at + 8] == b"APETAGEX":
            size = int.from_bytes(data[at + 12 : at + 16], "little")
            at += 32 + (size if data[at + 23 : at + 24] >= b"\x80" else 0)
        else:
            break
    if at >= len(data):
        return at, True
    if at > begin and frame(data[at : at + 4]) is not None:
        return at, False
    behind = _first(data[at:])
    if not behind:
        return at, behind is None
    raise AudioError(
        f"{path}: is damaged, {behind} bytes among its frames are none; get a whole copy", "damaged"
    )


def _mended(path: Path, data: bytes, link: _Link, start: int) -> tuple[FilePart, Remark | None]:
    """The recording as a part, with a head that states its frames where its own does not."""
    first = link.first
    held = link.n_frames * first.n_samples / first.rate
    part = FilePart(start + link.start, start + link.stop)
    declared = link.info.n_frames if link.info else None
    if link.info is None or declared is None:
        behind = link.start + (first.n_bytes if link.info else 0)
        return FilePart(start + behind, part.stop, _own_info(data[behind : behind + 4], link.n_frames)), None
    stated = declared * first.n_samples / first.rate
    if declared == link.n_frames:
        return part, None
    if link.n_frames < declared - 1:  # some writers count the frame that states the number
        raise AudioError(
            f"{path}: holds {held:.2f} s where its header says {stated:.2f} s; get a whole copy", "truncated"
        )
    head = bytearray(data[link.start : link.start + first.n_bytes])
    head[link.info.mark + 8 : link.info.mark + 12] = link.n_frames.to_bytes(4, "big")
    text = f"its header says {stated:.2f} s, its frames hold {held:.2f} s, which are read"
    return FilePart(part.start + len(head), part.stop, bytes(head)), Remark("header", text)


def _own_info(header: bytes, n_frames: int) -> bytes:
    """An Info frame of the kind of a frame with this header, that states a number of frames and nothing else."""
    head = bytes((header[0], header[1] | 1, header[2] & 0x0C | 0x90, header[3]))
    made = frame(head)
    assert made is not None
    body = head + bytes(made.side) + b"Info" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return body.ljust(made.n_bytes, b"\0")

"""Samples from libsndfile in blocks, to the end: no length that a header states is ever allocated."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from sercache.audio import _stated
from sercache.audio._layout import Layout, Part, Spliced
from sercache.audio._records import Remark
from sercache.errors import AudioError

BLOCK = 2**18
"""Samples of all channels that are decoded at a time."""
_LEAST_ROOM = 4096
LOWEST, HIGHEST = 1_000, 768_000
"""Hz; what lies outside is no rate of recorded sound."""
MOST_CHANNELS = 64

_UNKNOWN = 2**48
"""Samples from which a stated length means that there is none."""
_PLAUSIBLE = 16
"""Samples a byte up to which a stated length is believed before it is decoded: more than ADPCM and less than what
lossless and packet codecs make of silence."""
_DENSEST = 2**16
"""Samples a byte that no format exceeds: FLAC holds 65,535 equal ones in eleven bytes."""
_MOST_COUNTED = 2**31
"""Samples of all channels after which counting is given up: 37 hours of mono at 16 kHz."""


class _Decoder(soundfile.SoundFile):
    """A SoundFile that is read from front to back: soundfile seeks after every read of one that can seek, which
    some formats cannot do and others pay for."""

    def seekable(self) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Opened:
    """What the headers of a file say."""

    path: Path
    parts: tuple[Part | None, ...]
    """None: the file as it is."""
    rate: int
    channels: int
    stated: tuple[int | None, ...]
    """Samples per channel of each part; None: the header does not say."""
    remarks: tuple[Remark, ...]

    @property
    def n_stated(self) -> int | None:
        """Samples per channel of all parts; None: not all say."""
        return None if None in self.stated else sum(n or 0 for n in self.stated)


def opened(path: Path, found: Layout) -> Opened:
    """The headers of a file. Raises AudioError where they cannot be used, and as soundfile does."""
    size = path.stat().st_size
    # SoundFile guesses from this name, whatever the file holds, that it has no header.
    as_it_is = Part(0, size) if path.suffix.lower() == ".raw" else None
    parts: tuple[Part | None, ...] = found.parts or (as_it_is,)
    shapes, stated = set(), []
    remarks = list(found.remarks)
    for part in parts:
        with _decoder(path, part) as file:
            shapes.add((file.samplerate, file.channels))
            stated.append(file.frames if file.frames < _UNKNOWN else None)
            if not found.parts:
                remarks += _stated.checked(path, file, size)
    if len(shapes) > 1:
        kinds = " and ".join(f"{rate} Hz with {n} channels" for rate, n in sorted(shapes))
        raise AudioError(f"{path}: joins streams of {kinds}; split it into files", "unreadable")
    rate, channels = shapes.pop()
    if not LOWEST <= rate <= HIGHEST:
        raise AudioError(
            f"{path}: its header says {rate} Hz, expected {LOWEST} to {HIGHEST}; get a whole copy",
            "unreadable",
        )
    if channels > MOST_CHANNELS:
        raise AudioError(
            f"{path}: its header says {channels} channels, expected at most {MOST_CHANNELS}; get a whole copy",
            "unreadable",
        )
    if not any(n is None or n > 0 for n in stated):
        raise AudioError(f"{path}: holds no samples{_stated.behind(size)}", "unreadable")
    return Opened(path, parts, rate, channels, tuple(stated), tuple(remarks))


def length(file: Opened) -> int:
    """Samples per channel: as stated where the bytes can hold them, else counted by decoding.

    Raises AudioError where there are fewer than stated, and where there are too many to count.
    """
    stated = file.n_stated
    if stated is not None and stated <= _PLAUSIBLE * file.path.stat().st_size:
        return stated
    held = 0
    for block in blocks(file, 0, None):
        held += len(block)
        if held * file.channels > _MOST_COUNTED:
            hours = held / file.rate / 3600
            raise AudioError(f"{file.path}: holds more than {hours:.0f} h; cut it into files", "too-long")
    refuse_fewer(file, held)
    return held


def refuse_fewer(file: Opened, held: int) -> None:
    """Raise AudioError where the whole file gave fewer samples than its header states, or none."""
    stated = file.n_stated
    if stated is not None and held < stated:
        raise AudioError(short(file, held, stated), "truncated")
    if not held:
        raise AudioError(f"{file.path}: holds no samples", "unreadable")


def short(file: Opened, held: int, expected: int) -> str:
    """What to say of a file that gave ``held`` of ``expected`` samples."""
    has, says = held / file.rate, expected / file.rate
    return f"{file.path}: holds {has:.2f} s where its header says {says:.2f} s; get a whole copy"


def blocks(file: Opened, first: int, last: int | None) -> Iterator[np.ndarray]:
    """Samples ``first`` to ``last`` - 1 (None: to the end) as (n, channels) float32, a block at a time.

    A block is overwritten by the next. Fewer come where the file ends before.
    """
    left = None if last is None else last - first
    size = max(1, BLOCK // file.channels)
    room = size if left is None else max(_LEAST_ROOM, min(size, left))
    buffer = np.empty((room, file.channels), np.float32)
    limit = _DENSEST * max(64, file.path.stat().st_size)
    for part, stated in zip(file.parts, file.stated, strict=True):
        if stated is not None and first >= stated:
            first -= stated
            continue
        for block in _part(file.path, part, (first if stated is not None else 0, stated), buffer):
            skipped = min(first, len(block)) if stated is None else 0
            first -= skipped
            block = block[skipped : None if left is None else skipped + left]
            limit -= len(block) + skipped
            if limit < 0:
                raise AudioError(f"{file.path}: goes on without an end; get a whole copy", "unreadable")
            if left is not None:
                left -= len(block)
            if len(block):
                yield block
            if left == 0:
                return
        first = 0 if stated is not None else first


def _part(
    path: Path, part: Part | None, within: tuple[int, int | None], buffer: np.ndarray
) -> Iterator[np.ndarray]:
    """Blocks of one part, from a sample on and up to the one that its header states."""
    first, last = within
    with _decoder(path, part) as file:
        if not first or _is_at(file, first):
            yield from _rest(file, buffer, None if last is None else last - first)
            return
    with _decoder(path, part) as file:
        for block in _rest(file, buffer, last):
            skipped = min(first, len(block))
            first -= skipped
            if skipped < len(block):
                yield block[skipped:]


def _is_at(file: _Decoder, first: int) -> bool:
    """Go to a sample; False for kinds that are read from the front only."""
    try:
        return file.seek(first) == first
    except soundfile.SoundFileError:
        return False


def _rest(file: _Decoder, buffer: np.ndarray, left: int | None) -> Iterator[np.ndarray]:
    """Blocks until there are no more, or ``left`` samples were read: what lies behind them may be a tag."""
    while left != 0:
        room = len(buffer) if left is None else min(left, len(buffer))
        block = file.read(room, dtype="float32", always_2d=True, out=buffer[:room])
        if not len(block):
            return
        left = None if left is None else left - len(block)
        yield block


@contextmanager
def _decoder(path: Path, part: Part | None) -> Iterator[_Decoder]:
    """A file, or a part of it, open in libsndfile."""
    if part is not None:
        with Spliced(path, part) as spliced, _Decoder(spliced) as file:
            yield file
        return
    name: str | bytes = str(path)
    try:
        str(path).encode(sys.getfilesystemencoding())
    except UnicodeEncodeError:
        name = os.fsencode(path)
    with _Decoder(name) as file:
        yield file

"""Samples from libsndfile in blocks, to the end: no length that a header states is ever allocated."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from sercache.audio import _packed, _stated
from sercache.audio._layout import FileLayout, FilePart
from sercache.audio._records import Remark
from sercache.errors import AudioError

BLOCK = 2**20
"""Samples of all channels that are decoded at a time."""
_LEAST_ROOM = 4096
LOWEST, HIGHEST = 1_000, 768_000
"""Hz; what lies outside is no rate of recorded sound."""
MOST_CHANNELS = 64

_REMEMBERING = ("MP3", "OGG")
_WARM_UP = 2**15
"""Samples that are decoded and dropped before a stretch of what these decode from what came before: after a seek,
libmpg123 gives up to some frames of other sound."""
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
class StreamHeaders:
    """What the headers of a file say."""

    path: Path
    parts: tuple[FilePart | None, ...]
    """None: the file as it is."""
    rate: int
    channels: int
    stated: tuple[int | None, ...]
    """Samples per channel of each part; None: the header does not say."""
    remarks: tuple[Remark, ...]
    decoder: _Decoder | None = None
    """The open file of a single part, before its first sample; None: it is opened again."""

    @property
    def n_stated(self) -> int | None:
        """Samples per channel of all parts; None: not all say."""
        return None if None in self.stated else sum(n or 0 for n in self.stated)


@contextmanager
def opened(path: Path, found: FileLayout) -> Iterator[StreamHeaders]:
    """The headers of a file, which is held open where it is a single recording.

    Raises AudioError where they cannot be used, and as soundfile does.
    """
    with ExitStack() as held:
        yield _headers(path, found, held)


def headers(path: Path, found: FileLayout) -> StreamHeaders:
    """The headers of a file, as a record that outlives it. Raises as ``opened``."""
    with opened(path, found) as file:
        return replace(file, decoder=None)


def _headers(path: Path, found: FileLayout, held: ExitStack) -> StreamHeaders:
    size = _packed.size(path)
    # SoundFile guesses from this name, whatever the file holds, that it has no header; it opens no container.
    in_python = path.suffix.lower() == ".raw" or _packed.container(path) is not None
    as_it_is = FilePart(0, size) if in_python else None
    parts: tuple[FilePart | None, ...] = found.parts or (as_it_is,)
    shapes, stated = set(), []
    remarks = list(found.remarks)
    decoder = None
    for part in parts:
        with ExitStack() as while_reading:
            decoder = (held if len(parts) == 1 else while_reading).enter_context(_decoder(path, part))
            shapes.add((decoder.samplerate, decoder.channels))
            stated.append(decoder.frames if decoder.frames < _UNKNOWN else None)
            if not found.parts:
                remarks += _stated.checked(path, decoder, size)
            if decoder.format == "MP3" and not found.is_counted:
                remarks.append(Remark("unverified", "its frames cannot be counted"))
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
    first = decoder if len(parts) == 1 else None
    return StreamHeaders(path, parts, rate, channels, tuple(stated), tuple(remarks), first)


def length(file: StreamHeaders) -> int:
    """Samples per channel: as stated where the bytes can hold them, else counted by decoding.

    Raises AudioError where there are fewer than stated, and where there are too many to count.
    """
    stated = file.n_stated
    if stated is not None and stated <= _PLAUSIBLE * _packed.size(file.path):
        return stated
    held = 0
    for block in blocks(file, 0, None):
        held += len(block)
        if held * file.channels > _MOST_COUNTED:
            hours = held / file.rate / 3600
            raise AudioError(f"{file.path}: holds more than {hours:.0f} h; cut it into files", "too-long")
    refuse_fewer(file, held)
    return held


def refuse_fewer(file: StreamHeaders, held: int) -> None:
    """Raise AudioError where the whole file gave fewer samples than its header states, or none."""
    stated = file.n_stated
    if stated is not None and held < stated:
        raise AudioError(short(file, held, stated), "truncated")
    if not held:
        raise AudioError(f"{file.path}: holds no samples", "unreadable")


def short(file: StreamHeaders, held: int, expected: int) -> str:
    """What to say of a file that gave ``held`` of ``expected`` samples."""
    has, says = held / file.rate, expected / file.rate
    return f"{file.path}: holds {has:.2f} s where its header says {says:.2f} s; get a whole copy"


def blocks(file: StreamHeaders, first: int, last: int | None) -> Iterator[np.ndarray]:
    """Samples ``first`` to ``last`` - 1 (None: to the end) as (n, channels) float32, a block at a time.

    Fewer come where the file ends before.
    """
    left = None if last is None else last - first
    size = max(1, BLOCK // file.channels)
    # Memory is taken as it is filled, so a stated length bounds what is asked for and decides nothing.
    wanted = file.n_stated if left is None else left
    room = size if wanted is None else max(_LEAST_ROOM, min(size, wanted))
    limit = _DENSEST * max(64, _packed.size(file.path))
    for part, stated in zip(file.parts, file.stated, strict=True):
        if stated is not None and first >= stated:
            first -= stated
            continue
        for block in _part(file, part, (first if stated is not None else 0, stated), room):
            skipped = min(first, len(block)) if stated is None else 0
            first -= skipped
            block = block[skipped : None if left is None else skipped + left]
            limit -= len(block) + skipped
            if limit < 0:
                raise AudioError(f"{file.path}: has no end; get a complete copy", "unreadable")
            if left is not None:
                left -= len(block)
            if len(block):
                yield block
            if left == 0:
                return
        first = 0 if stated is not None else first


def _part(
    source: StreamHeaders, part: FilePart | None, within: tuple[int, int | None], room: int
) -> Iterator[np.ndarray]:
    """Blocks of one part, from a sample on and up to the one that its header states."""
    first, last = within
    with nullcontext(source.decoder) if source.decoder else _decoder(source.path, part) as file:
        begin = max(0, first - _WARM_UP) if file.format in _REMEMBERING else first
        if not begin or _is_at(file, begin):
            yield from _without(first - begin, _rest(file, room, None if last is None else last - begin))
            return
    with _decoder(source.path, part) as file:
        yield from _without(first, _rest(file, room, last))


def _without(n: int, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks but for the first ``n`` samples."""
    for block in blocks:
        skipped = min(n, len(block))
        n -= skipped
        if skipped < len(block):
            yield block[skipped:]


def _is_at(file: _Decoder, first: int) -> bool:
    """Go to a sample; False for kinds that are read from the front only."""
    try:
        return file.seek(first) == first
    except soundfile.SoundFileError:
        return False


def _rest(file: _Decoder, room: int, left: int | None) -> Iterator[np.ndarray]:
    """Blocks until there are no more, or ``left`` samples were read: what lies behind them may be a tag."""
    while left != 0:
        asked = room if left is None else min(left, room)
        block = file.read(asked, dtype="float32", always_2d=True)
        if not len(block):
            return
        left = None if left is None else left - len(block)
        yield block


@contextmanager
def _decoder(path: Path, part: FilePart | None) -> Iterator[_Decoder]:
    """A file, or a part of it, open in libsndfile."""
    if part is not None:
        spliced = _packed.Spliced(_packed.opened(path), part.start, part.stop, part.head)
        with spliced, _Decoder(spliced) as file:
            yield file
        return
    name: str | bytes = str(path)
    try:
        str(path).encode(sys.getfilesystemencoding())
    except UnicodeEncodeError:
        name = os.fsencode(path)
    with _Decoder(name) as file:
        yield file

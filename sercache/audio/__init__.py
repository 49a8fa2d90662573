"""Recordings as mono float32 waves at a chosen rate; every format that libsndfile reads.

Decoding goes in blocks from front to back, so that memory holds what a file holds and never what its header
states. A file that cannot be read whole is refused by name; what is to be known of one that was read is a remark.
See docs/decisions/0019-sound.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sercache.audio import _packed
from sercache.audio._layout import FileLayout, layout
from sercache.audio._mix import LOUDEST, QUIET, Mix
from sercache.audio._opus import OPUS_RATE, opus
from sercache.audio._packed import container as packed_in
from sercache.audio._packed import is_file, opened
from sercache.audio._packed import members as packed_members
from sercache.audio._packed import size as n_bytes
from sercache.audio._records import REMARKS, AudioInfo, Remark, Tell, counted
from sercache.errors import AudioError

if TYPE_CHECKING:
    from sercache.audio._stream import StreamHeaders
from sercache.audio._faults import explained

Result = TypeVar("Result")

__all__ = [
    "LONGEST",
    "LOUDEST",
    "OPUS_RATE",
    "OVERSHOOT",
    "QUIET",
    "REMARKS",
    "RESAMPLER",
    "AudioInfo",
    "Remark",
    "Tell",
    "counted",
    "digest",
    "is_file",
    "n_bytes",
    "opened",
    "opus",
    "packed_in",
    "packed_members",
    "probe",
    "read",
    "span",
    "too_long",
]

RESAMPLER = "soxr VHQ"
"""How waves are brought to another rate: part of an encoder's identity, because it decides the samples."""
OVERSHOOT = 0.1
"""Seconds that a segment may reach past the end of its file: it is cut there, and that is said."""
LONGEST = 6 * 3600.0
"""Seconds that are held in memory at once."""

_QUALITY = RESAMPLER.rpartition(" ")[2]
_SLACK = 0.01
"""Seconds of overshoot that go without saying: segment lists are rounded to hundredths."""
_DAMAGE = re.compile(r"\] error: (.*)|^Error [A1] : (.*)")
"""Lines of libmpg123 and of libsndfile's SDS, which fails the checksum of a block."""
_IDLE = re.compile(r"Xing|id3\.c|^Note: Trying to resync")
"""Lines of libmpg123 on lengths, which are counted here, and on tags."""


def probe(path: Path) -> AudioInfo:
    """Rate, channels and length, from the header where it can be believed, else from a count.

    Raises AudioError where the file is missing, unreadable, cut short or empty.
    """
    with explained(path):
        found = _layout(path, _stamp(path))
        (file, n_samples), said = _with_messages(path, found, lambda: _measured(path, found, _stamp(path)))
        return AudioInfo(file.rate, file.channels, n_samples, (*file.remarks, *said))


def read(
    path: Path,
    rate: int,
    start: float | None = None,
    end: float | None = None,
    tell: Tell = lambda remark: None,
) -> np.ndarray:
    """Samples (N,) float32 of the stretch from ``start`` to ``end`` (s), channels averaged, at ``rate`` Hz.

    The stretch is cut at the file's own rate before it is resampled, so that it does not depend on what
    lies around it. ``tell`` is called with what is to be known of it. Raises AudioError where the file is missing,
    unreadable, empty, cut short, damaged, silent, not finite or far too loud, or where the stretch lies outside it.
    """
    with explained(path):
        found = _layout(path, _stamp(path))
        (wave, remarks), said = _with_messages(
            path,
            found,
            lambda: _decoded(path, found, rate, start, end),
            is_cut=start is not None or end is not None,
        )
    for remark in (*remarks, *said):
        tell(remark)
    return wave


def span(
    path: Path, rate: int, n_samples: int, start: float | None, end: float | None
) -> tuple[int, int, Remark | None]:
    """First sample of a stretch and the one after its last, and a remark where its end was cut.

    A NaN or an infinite bound fails the comparisons. Raises AudioError where the stretch lies outside.
    """
    length = n_samples / rate
    begin = 0.0 if start is None else start
    stop = length if end is None else end
    if not 0 <= begin < stop <= length + OVERSHOOT or round(begin * rate) >= n_samples:
        raise AudioError(
            f"{path}: {begin:g}-{stop:g} s lies outside the recording of {length:.3f} s", "outside"
        )
    first, last = round(begin * rate), min(round(stop * rate), n_samples)
    if first == last:
        raise AudioError(f"{path}: {begin:g}-{stop:g} s is shorter than one sample", "too-short")
    if stop <= length + _SLACK:
        return first, last, None
    return (
        first,
        last,
        Remark("overshoot", f"{begin:g}-{stop:g} s ends {stop - length:.3f} s behind {length:.3f} s"),
    )


def too_long(path: Path) -> AudioError:
    """What to raise for a stretch longer than LONGEST."""
    return AudioError(
        f"{path}: lasts more than {LONGEST / 3600:g} h, which would be in memory at once; use --clip split:30",
        "too-long",
    )


def digest(wave: np.ndarray) -> str:
    """blake3 (hex) of the samples as little-endian float32: equal for equal audio, whatever the file."""
    from blake3 import blake3

    return blake3(np.ascontiguousarray(wave, dtype="<f4").tobytes()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    """What changes where a file does."""
    return _packed.stamp(path)


@lru_cache(1024)
def _layout(path: Path, stamp: tuple[int, int]) -> FileLayout:
    """The layout of a file, which many segments may lie in."""
    return layout(path)


@lru_cache(1024)
def _measured(path: Path, found: FileLayout, stamp: tuple[int, int]) -> tuple[StreamHeaders, int]:
    """Headers and length of a file, which many segments may lie in."""
    from sercache.audio import _stream

    file = _stream.headers(path, found)
    return file, _stream.length(file)


def _decoded(
    path: Path, found: FileLayout, rate: int, start: float | None, end: float | None
) -> tuple[np.ndarray, list[Remark]]:
    """The wave, and what is to be known of it."""
    from sercache.audio import _stream

    if start is None and end is None:
        with _stream.opened(path, found) as file:
            wave, held, remarks = _mixed(file, 0, None, rate)
        _stream.refuse_fewer(file, held)
    else:
        file, n_samples = _measured(path, found, _stamp(path))
        first, last, cut = span(path, file.rate, n_samples, start, end)
        wave, held, remarks = _mixed(file, first, last, rate)
        if held < last - first:
            raise AudioError(_stream.short(file, first + held, last), "truncated")
        remarks += [cut] if cut else []
    if not len(wave):
        raise AudioError(f"{path}: is too short to give a sample at the encoder's rate", "too-short")
    return wave, [*file.remarks, *remarks]


def _mixed(
    file: StreamHeaders, first: int, last: int | None, rate: int
) -> tuple[np.ndarray, int, list[Remark]]:
    """A stretch at ``rate`` Hz, its samples at its own rate, and remarks on them. Raises AudioError."""
    from sercache.audio import _stream

    mix = Mix(file.path, file.channels)

    def waves() -> Iterator[np.ndarray]:
        for block in _stream.blocks(file, first, last):
            yield mix.mono(block)
            if mix.n_samples > LONGEST * file.rate:
                raise too_long(file.path)

    wave = _resampled(waves(), file.rate, rate)
    return wave, mix.n_samples, list(mix.finish()) if mix.n_samples else []


def _resampled(waves: Iterator[np.ndarray], own_rate: int, rate: int) -> np.ndarray:
    """Waves one after another as one at ``rate`` Hz; the same bits, however they are cut."""
    first = next(waves, None)
    if first is None:
        return np.empty(0, np.float32)
    second = next(waves, None)
    if own_rate == rate:
        return first if second is None else np.concatenate([first, second, *waves])
    import soxr

    if second is None:
        return np.ascontiguousarray(soxr.resample(first, own_rate, rate, quality=_QUALITY), np.float32)
    stream = soxr.ResampleStream(own_rate, rate, 1, dtype="float32", quality=_QUALITY)
    found = [stream.resample_chunk(first), stream.resample_chunk(second)]
    found += [stream.resample_chunk(wave) for wave in waves]
    return np.concatenate([*found, stream.resample_chunk(np.empty(0, np.float32), last=True)])


@lru_cache(1024)
def _said(path: Path, found: FileLayout, stamp: tuple[int, int]) -> tuple[str, ...]:
    """What the decoder says of a file that is read from front to back."""
    from sercache.audio import _c_output, _stream

    def work() -> None:
        for _ in _stream.blocks(_stream.headers(path, found), 0, None):
            pass

    return tuple(_c_output.captured(work)[1])


def _with_messages(
    path: Path, found: FileLayout, work: Callable[[], Result], *, is_cut: bool = False
) -> tuple[Result, list[Remark]]:
    """What ``work`` gives on a file, and what its decoder said of it. Raises AudioError where that is damage.

    ``is_cut``: a stretch is read. A decoder that begins in the middle complains of what it lacks, so that what
    counts is what it says of the whole file.
    """
    if not found.has_messages:
        return work(), []
    from sercache.audio import _c_output

    result, lines = _c_output.captured(work, again=not is_cut)
    if is_cut and lines:
        lines = list(_said(path, found, _stamp(path)))
    lines = [line for line in lines if not _IDLE.search(line)]
    for line in lines:
        if (damage := _DAMAGE.search(line)) is not None:
            what = (damage[1] or f"checksum {damage[2]} of a block").rstrip("!.")
            raise AudioError(f"{path}: is damaged ({what}); get a whole copy", "damaged")
    more = f" (and {len(lines) - 1} more lines)" if len(lines) > 1 else ""
    return result, [Remark("decoder", f"{lines[0]}{more}")] if lines else []

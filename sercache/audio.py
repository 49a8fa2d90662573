"""Recordings as mono float32 waves at a chosen rate; every format that libsndfile reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sercache.errors import AudioError

RESAMPLER = "soxr VHQ"
"""How waves are brought to another rate: part of an encoder's identity, because it decides the samples."""

_QUALITY = RESAMPLER.rpartition(" ")[2]
_LFS = b"version https://git-lfs"
_SLACK = 0.01
"""Seconds that a segment may reach past the end of its file: segment lists are rounded to hundredths."""
_SHORT_DATA = re.compile(r"^\s*(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0x7FFF0000
"""Bytes from which a declared length means "unknown": writers to a pipe put 2^31 or 2^32 less a little."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says."""

    rate: int
    """Hz."""
    channels: int
    n_samples: int
    """Per channel, at ``rate``."""


def probe(path: Path) -> AudioInfo:
    """Rate, channels and length, from the header alone.

    Raises AudioError where the file is missing, unreadable or empty.
    """
    with _opened(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames)


def read(path: Path, rate: int, start: float | None = None, end: float | None = None) -> np.ndarray:
    """Samples (N,) float32 of the stretch from ``start`` to ``end`` (s), channels averaged, at ``rate`` Hz.

    The stretch is cut at the file's own rate before it is resampled, so that it does not depend on what
    lies around it. Raises AudioError where the file is missing, unreadable, empty, cut short, silent or
    not finite, or where the stretch lies outside it.
    """
    with _opened(path) as file:
        first, last = _span(path, file.samplerate, file.frames, start, end)
        file.seek(first)
        samples = file.read(last - first, dtype="float32", always_2d=True)  # (N, channels)
        own_rate = file.samplerate
    if len(samples) < last - first:
        got, expected = (n / own_rate for n in (len(samples), last - first))
        raise AudioError(
            f"{path}: holds {got:.2f} s where its header says {expected:.2f} s; get a whole copy",
            "truncated",
        )
    wave = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    return _checked(path, _resampled(wave, own_rate, rate))


def digest(wave: np.ndarray) -> str:
    """blake3 (hex) of the samples as little-endian float32: equal for equal audio, whatever the file."""
    from blake3 import blake3

    return blake3(np.ascontiguousarray(wave, dtype="<f4").tobytes()).hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator:
    """An open soundfile.SoundFile that holds samples."""
    import soundfile

    if not path.is_file():
        raise AudioError(f"{path}: there is no such file" if not path.exists() else f"{path}: is not a file")
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames <= 0:
                raise AudioError(f"{path}: holds no samples")
            _refuse_cut_short(path, file.extra_info)
            yield file
    except (soundfile.SoundFileError, OSError) as fault:
        reason, kind = _why_unreadable(path, fault)
        raise AudioError(f"{path}: {reason}", kind) from fault


def _refuse_cut_short(path: Path, log: str) -> None:
    """Raise AudioError where libsndfile's log says that more than 1 % of the declared bytes are missing."""
    found = _SHORT_DATA.search(log)
    if found is None:
        return
    declared, held = int(found[1]), int(found[2])
    if held < 0.99 * declared and declared < _STREAMED:
        raise AudioError(
            f"{path}: is cut short, {held} of {declared} bytes of samples are there; get a whole copy",
            "truncated",
        )


def _why_unreadable(path: Path, fault: Exception) -> tuple[str, str]:
    """What is wrong with a file that libsndfile refuses, in words and as a kind of AudioError."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS))
    except OSError as denied:
        return f"cannot be read ({denied.strerror})", "unreadable"
    if head == _LFS:
        return "is a git-LFS pointer, not audio; run `git lfs pull` in its repository", "lfs-pointer"
    if not head:
        return "is an empty file", "unreadable"
    return f"cannot be read as audio ({str(fault).rpartition(': ')[2].rstrip('.')})", "unreadable"


def _span(path: Path, rate: int, n_samples: int, start: float | None, end: float | None) -> tuple[int, int]:
    """First sample and the one after the last. A NaN or an infinite bound fails the comparisons."""
    length = n_samples / rate
    begin = 0.0 if start is None else start
    stop = length if end is None else end
    if not 0 <= begin < stop <= length + _SLACK or round(begin * rate) >= n_samples:
        raise AudioError(
            f"{path}: {begin:g}-{stop:g} s lies outside the recording of {length:.3f} s", "outside"
        )
    first, last = round(begin * rate), min(round(stop * rate), n_samples)
    if first == last:
        raise AudioError(f"{path}: {begin:g}-{stop:g} s is shorter than one sample", "too-short")
    return first, last


def _resampled(wave: np.ndarray, own_rate: int, rate: int) -> np.ndarray:
    if own_rate == rate:
        return wave
    import soxr

    return soxr.resample(wave, own_rate, rate, quality=_QUALITY)


def _checked(path: Path, wave: np.ndarray) -> np.ndarray:
    if not len(wave):
        raise AudioError(f"{path}: is too short to give a sample at the encoder's rate", "too-short")
    if not np.isfinite(wave).all():
        raise AudioError(f"{path}: holds values that are not finite (NaN or infinity)", "not-finite")
    if not wave.any():
        raise AudioError(f"{path}: is silent (every sample is zero)", "silent")
    return np.ascontiguousarray(wave, dtype=np.float32)

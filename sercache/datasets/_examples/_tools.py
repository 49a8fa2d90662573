"""Recordings and files that trees are made of."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@cache
def _noise(n_samples: int) -> np.ndarray:
    import numpy as np

    return np.random.default_rng(0).normal(0.0, 0.05, n_samples)


def write_wav(path: Path, seconds: float = 0.3, rate: int = 16_000) -> Path:
    """A tone with noise whose pitch depends on the file name, 16-bit mono; gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pcm(path, _tone(path.name, seconds, rate), rate)
    return path


def _tone(name: str, seconds: float, rate: int) -> np.ndarray:
    """A tone with noise (N,) whose pitch depends on ``name``."""
    import numpy as np

    times = np.arange(round(seconds * rate)) / rate
    pitch = 100 + zlib.crc32(name.encode()) % 300
    return 0.3 * np.sin(2 * np.pi * pitch * times) + _noise(len(times))


def write_pcm(path: Path, wave: np.ndarray, rate: int) -> None:
    """A wave (N,) as 16-bit mono WAV. Raises OSError: what stops libsndfile itself it tells in words of its own."""
    import soundfile

    whole = BytesIO()
    soundfile.write(whole, wave, rate, subtype="PCM_16", format="WAV")
    path.write_bytes(whole.getbuffer())


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """A file with this text; gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def touch(path: Path, content: bytes = b"") -> Path:
    """A file with these bytes; gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def flat(folder: Path, stems: Iterable[str], suffix: str = ".wav", rate: int = 16_000) -> Path:
    """Recordings with these stems, and an AppleDouble file for the first."""
    names = [f"{stem}{suffix}" for stem in stems]
    for name in names:
        write_wav(folder / name, rate=rate)
    touch((folder / names[0]).with_name("._" + Path(names[0]).name), APPLE_DOUBLE)
    return folder


def write_flac(path: Path, seconds: float, rate: int = 16_000) -> Path:
    """A tone with noise whose pitch depends on the file name, 16-bit mono FLAC; gives the path."""
    import soundfile

    whole = BytesIO()
    soundfile.write(whole, _tone(path.name, seconds, rate), rate, subtype="PCM_16", format="FLAC")
    return touch(path, whole.getvalue())

"""Recordings of every kind that libsndfile writes, and damaged ones made of them; the same on every machine."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
_RATES = (RATE, 8_000, 48_000)


def voice(seconds: float, rate: int = RATE) -> np.ndarray:
    """Something like a voice: a gliding tone that swells, over noise (N,) float32."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.01, len(t))
    return (0.3 * np.sin(2 * np.pi * (150 + 60 * t) * t) * (1 + np.sin(20 * t)) / 2 + noise).astype(
        np.float32
    )


class _Front(soundfile.SoundFile):
    """soundfile seeks after every write, which some kinds cannot do."""

    def seekable(self) -> bool:
        return False


def every_kind(folder: Path, seconds: float) -> list[Path]:
    """A recording of each container and coding that can be written here."""
    found = []
    for container in soundfile.available_formats():
        for coding in soundfile.available_subtypes(container):
            path = folder / f"{container}-{coding}.{container.lower()}"
            if container != "RAW" and _written(path, container, coding, seconds):
                found.append(path)
    return found


def _written(path: Path, container: str, coding: str, seconds: float) -> bool:
    for rate in _RATES:
        try:
            with _Front(path, "w", rate, 1, coding, format=container) as file:
                file.write(voice(seconds, rate))
            with _Front(path) as file:
                if len(file.read(10**7)) >= seconds * rate:
                    return True
        except (soundfile.SoundFileError, ValueError):
            continue
    return False


HOW = ("flips", "header flips", "cut", "header field", "joined", "deleted", "inserted", "zeroed")


def mutated(whole: bytes, seed: int) -> tuple[str, bytes]:
    """How a file was damaged, and its bytes."""
    chance = random.Random(seed)
    how = HOW[seed % len(HOW)]
    data = bytearray(whole)
    if how in ("flips", "header flips"):
        end = len(data) if how == "flips" else min(128, len(data))
        for _ in range(chance.choice([1, 2, 8, 64] if how == "flips" else [1, 2, 4])):
            data[chance.randrange(end)] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del data[chance.randrange(len(data)) :]
    elif how == "header field":
        width = chance.choice([1, 2, 4, 8])
        at = chance.randrange(min(96, len(data) - 8))
        bits = 8 * width
        value = chance.choice([0, 1, 2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1])
        data[at : at + width] = value.to_bytes(width, chance.choice(["little", "big"]))
    elif how == "joined":
        data += whole
    else:
        at, n = chance.randrange(len(data)), chance.choice([1, 16, 512, 4096])
        if how == "deleted":
            del data[at : at + n]
        elif how == "inserted":
            data[at:at] = chance.randbytes(n)
        else:
            data[at : at + n] = bytes(len(data[at : at + n]))
    return how, bytes(data)


def flac_stating(data: bytes, n_samples: int) -> bytes:
    """A FLAC file with another number of samples in its header; 0: unknown."""
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | n_samples >> 32
    changed[22:26] = struct.pack(">I", n_samples & 0xFFFFFFFF)
    return bytes(changed)


def mp3_stating(data: bytes, n_frames: int) -> bytes:
    """An MP3 file of LAME with another number of frames in its first one."""
    at = max(data.find(b"Info"), data.find(b"Xing"))
    return data[: at + 8] + struct.pack(">I", n_frames) + data[at + 12 :]


def mp3_without_info(data: bytes) -> bytes:
    """An MP3 file of LAME without the frame that states its length."""
    from sercache.audio._mpeg import frame

    first = frame(data[:4])
    assert first is not None
    return data[first.n_bytes :]

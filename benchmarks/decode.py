"""What it costs to decode in blocks and to check what headers state: sercache.audio.read beside one read by soundfile.

Both give the mean of the channels at 16 kHz as float32, from the page cache, in one thread. They take turns on every
file, and the best of some rounds counts for each, so that a busy machine does not decide.

    python benchmarks/decode.py [--files 40] [--seconds 4] [--rounds 7]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sercache import audio

RATE = 16_000
KINDS = (
    ("16 kHz WAV", "wav", "PCM_16", 16_000, 1),
    ("48 kHz WAV, stereo", "wav", "PCM_16", 48_000, 2),
    ("16 kHz FLAC", "flac", "PCM_16", 16_000, 1),
    ("48 kHz MP3", "mp3", "MPEG_LAYER_III", 48_000, 1),
    ("16 kHz Ogg Vorbis", "ogg", "VORBIS", 16_000, 1),
)


def one_read(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    wave = wave if rate == RATE else soxr.resample(wave, rate, RATE, quality="VHQ")
    if not (np.isfinite(wave).all() and wave.any()):
        raise ValueError(path)
    return wave


def in_blocks(path: Path) -> np.ndarray:
    return audio.read(path, RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, suffix, subtype, rate, channels in KINDS:
            paths = [Path(folder) / f"{rate}-{channels}-{k}.{suffix}" for k in range(asked.files)]
            for k, path in enumerate(paths):
                noise = np.random.default_rng(k).normal(0, 0.1, (int(asked.seconds * rate), channels))
                soundfile.write(path, noise, rate, subtype)
            plain, blocks = (
                sum(best) for best in zip(*(_best(path, asked.rounds) for path in paths), strict=True)
            )
            speed = asked.files * asked.seconds / blocks
            print(
                f"{name}: in blocks {speed:,.0f} x real time, rate {plain / blocks:.2f} of that of one read"
            )


def _best(path: Path, rounds: int) -> tuple[float, float]:
    """Least seconds of each way on one file; they take turns."""
    ways: tuple[Callable[[Path], np.ndarray], ...] = (one_read, in_blocks)
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for k, way in enumerate(ways):
            began = time.perf_counter()
            way(path)
            best[k] = min(best[k], time.perf_counter() - began)
    return best[0], best[1]


if __name__ == "__main__":
    main()

"""What it costs to decode in blocks and to check what headers state: sercache.audio.read beside one read by soundfile.

Both give the mean of the channels at 16 kHz as float32, from the page cache, in one thread. They take turns on every
file, and the best of some rounds counts for each, so that a busy machine does not decide.

    python benchmarks/decode.py [--files 40] [--seconds 4] [--rounds 7]
    python benchmarks/decode.py --workers 2

With ``--workers`` as many threads and as many processes decode the same files in turn, as the line does it and as it
might; processes send their waves back. Beside it what a thread needs Python's lock for: the CPU seconds of a file that
are not spent in libsndfile, soxr and blake3.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

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
    parser.add_argument("--workers", type=int, help="threads against processes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, suffix, subtype, rate, channels in KINDS:
            paths = [Path(folder) / f"{rate}-{channels}-{k}.{suffix}" for k in range(asked.files)]
            for k, path in enumerate(paths):
                noise = np.random.default_rng(k).normal(0, 0.1, (int(asked.seconds * rate), channels))
                soundfile.write(path, noise, rate, subtype)
            if asked.workers:
                every = asked.files * asked.seconds
                print(f"{name}: {of_workers(paths, asked.workers, asked.rounds, every)}")
                continue
            plain, blocks = (
                sum(best) for best in zip(*(_best(path, asked.rounds) for path in paths), strict=True)
            )
            speed = asked.files * asked.seconds / blocks
            print(
                f"{name}: in blocks {speed:,.0f} x real time, rate {plain / blocks:.2f} of that of one read"
            )


def _decoded(path: Path) -> tuple[np.ndarray, str]:
    wave = audio.read(path, RATE)
    return wave, audio.digest(wave)


def _seconds(pool: Executor, paths: list[Path]) -> float:
    began = time.perf_counter()
    for _ in pool.map(_decoded, paths):
        pass
    return time.perf_counter() - began


def _in_python(paths: list[Path]) -> float:
    """CPU seconds of a file outside of what works without Python's lock."""
    inside = [0.0]

    def timed(function: Callable) -> Callable:
        def run(*args: object, **named: object) -> object:
            began = time.thread_time()
            try:
                return function(*args, **named)
            finally:
                inside[0] += time.thread_time() - began

        return run

    places = (
        (soundfile.SoundFile, "read"),
        (soxr, "resample"),
        (soxr.ResampleStream, "resample_chunk"),
        (audio, "digest"),
    )
    with ExitStack() as patched:
        for owner, name in places:
            patched.enter_context(mock.patch.object(owner, name, timed(getattr(owner, name))))
        began = time.thread_time()
        for path in paths:
            _decoded(path)
        return (time.thread_time() - began - inside[0]) / len(paths)


def of_workers(paths: list[Path], workers: int, rounds: int, seconds: float) -> str:
    with ThreadPoolExecutor(workers) as threads, ProcessPoolExecutor(workers) as processes:
        pools: list[Executor] = [threads, processes]
        for pool in pools:
            _seconds(pool, paths)  # processes start
        taken = [[_seconds(pool, paths) for pool in pools] for _ in range(rounds)]
    by_threads, by_processes = (seconds / min(each) for each in zip(*taken, strict=True))
    lock = min(_in_python(paths) for _ in range(rounds))
    return (
        f"{workers} threads {by_threads:,.0f} x real time, {workers} processes {by_processes:,.0f} x; "
        f"Python {1e3 * lock:.2f} ms a file, which any number of threads share"
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

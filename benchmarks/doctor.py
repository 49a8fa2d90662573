"""How long `sercache doctor` takes on a tree of IEMOCAP's size, beside a plain loop of soundfile.read.

    python benchmarks/doctor.py [--files 10039] [--cold]

The tree (label files as in the release, sentences of 0.2 to 4 s of noise at 16 kHz) is generated in a
temporary folder. ``--cold`` asks the system to forget the files before each pass.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from sercache import checkup
from sercache.datasets import iemocap

RATE = 16_000
TURNS = 70
WORDS = {"neu": "Neutral", "hap": "Happiness", "exc": "Excited", "sad": "Sadness", "ang": "Anger"}


def build(root: Path, n_files: int) -> list[Path]:
    """Five sessions with ``n_files`` turns in all; the paths of the recordings."""
    draw = random.Random(0)
    noise = np.random.default_rng(0).integers(-3000, 3000, 8 * RATE).astype(np.int16)
    paths: list[Path] = []
    for k in range(0, n_files, TURNS):
        number = k // TURNS
        session = root / f"Session{number % 5 + 1}"
        dialogue = f"Ses{number % 5 + 1:02d}F_impro{number // 5:02d}"
        folder = session / "sentences" / "wav" / dialogue
        folder.mkdir(parents=True)
        text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        for turn in range(min(TURNS, n_files - k)):
            name, code = f"{dialogue}_{'FM'[turn % 2]}{turn:03d}", draw.choice(list(WORDS))
            start, n = draw.randrange(4 * RATE), round(draw.uniform(0.2, 4.0) * RATE)
            paths.append(folder / f"{name}.wav")
            soundfile.write(paths[-1], noise[start : start + n], RATE, subtype="PCM_16")
            text += f"[6.2901 - 8.2357]\t{name}\t{code}\t[2.5000, 3.5000, 1.5000]\n"
            text += "".join(f"C-E{rater}:\t{WORDS[code]};\t()\n" for rater in (2, 3, 4)) + "\n"
        labels = session / "dialog" / "EmoEvaluation"
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"{dialogue}.txt").write_text(text)
    return paths


def forget(paths: list[Path]) -> None:
    """Ask the system to drop the files from its memory."""
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_039)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = build(Path(folder), options.files)
        passes: dict[str, Callable[[], object]] = {
            "plain loop of soundfile.read": lambda: [soundfile.read(path) for path in paths],
            "read the labels": lambda: iemocap.read(Path(folder)),
            "doctor, headers": lambda: checkup.check_up(iemocap.read(Path(folder))),
            "doctor, --deep": lambda: checkup.check_up(iemocap.read(Path(folder)), deep=True),
        }
        times: dict[str, float] = {}
        for name, work in passes.items():
            if options.cold:
                forget(paths)
            times[name] = seconds(work)
        plain = times["plain loop of soundfile.read"]
        print(f"{len(paths)} files, {os.cpu_count()} processors, {'cold' if options.cold else 'warm'}")
        for name, took in times.items():
            print(f"{name:<30}{took:8.2f} s{len(paths) / took:10.0f} files/s{took / plain:8.2f} x plain loop")


if __name__ == "__main__":
    main()

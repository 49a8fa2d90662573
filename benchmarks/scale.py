"""A corpus of a million utterances, a hundred hours of distinct audio: what each step costs, and how it grows.

    python benchmarks/scale.py                           a million, a tenth of it, and 1,000: about an hour on two cores
    python benchmarks/scale.py --utterances 100000       a tenth of both
    python benchmarks/scale.py --frames 8                gigabytes of frames that are streamed, and nothing else

Utterances are segments of long generated recordings, no two equal: 0.36 s each, noise whose level and colour tell the
class. Each step is a process of its own, with its own peak of memory. A step grows no faster than its work where the
processor time and the memory that each further utterance takes are at most those at fewer utterances.

Frames: see streaming.py.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from streaming import stream

_SECONDS = 0.36
_RATE = 16_000
_PER_FILE = 10_000
"""Utterances of a recording: an hour."""
_SPEAKERS = 100
_BASE = 1000
"""Utterances of which nearly all memory is that of Python, torch and what else a step imports; fewer are too few to
train on."""
_ENCODER = '''
"""Mean and deviation of the level in four bands of a frame of 20 ms: eight numbers, no weights."""

from sercache.encoders import Computed, Feature, computed_identity, computed_place

SHORT_NAMES = {"tiny": "levels of four bands, computed, no weights"}
MODEL_TYPES = ()
_FEATURE = Feature(
    family="tiny", name="tiny", state="levels", dim=8, hop=320, min_samples=320,
    n_frames=lambda n_samples: n_samples // 320, parameters={"bands": 4},
)


def load(source, *, revision, device, precision):
    computed_place(_FEATURE, device, precision)
    return Computed(_FEATURE, computed_identity(_FEATURE, revision), _levels)


def identify(source, *, revision):
    return computed_identity(_FEATURE, revision)


def _levels(wave):
    import torch

    parts = torch.from_numpy(wave)[: len(wave) // 320 * 320].reshape(-1, 4, 80)
    return torch.cat([parts.mean(2), parts.std(2)], 1)
'''


class Cost(NamedTuple):
    """Of one step."""

    seconds: float
    cpu: float
    """Seconds of the processor, of all its threads: what else runs on the machine does not matter to them."""
    peak: float
    """MB."""


def write_corpus(folder: Path, n: int) -> None:
    """Recordings of an hour at most, and a table of their segments with parts by speaker."""
    chance = np.random.default_rng(0)
    segment = round(_SECONDS * _RATE)
    with (folder / "manifest.csv").open("w", encoding="utf-8") as table:
        table.write("id,path,start,end,label,speaker,partition\n")
        for first in range(0, n, _PER_FILE):
            name = f"{first // _PER_FILE:04d}.wav"
            with soundfile.SoundFile(folder / name, "w", _RATE, 1, "PCM_U8") as file:
                for number in range(first, min(n, first + _PER_FILE)):
                    wave = chance.standard_normal(segment, np.float32)
                    if number % 2:  # of another colour
                        wave[1:] += wave[:-1]
                    file.write(0.05 * (1 + number % 3) * wave)
                    speaker = number % _SPEAKERS
                    part = "test" if speaker < 10 else "dev" if speaker < 20 else "train"
                    at = (number - first) * segment / _RATE
                    table.write(
                        f"u{number},{name},{at:.2f},{at + _SECONDS:.2f},{'ab'[number % 2]},s{speaker},{part}\n"
                    )


def steps(folder: Path) -> dict[str, list[str]]:
    """Commands by title, in order."""
    where = ["--cache", str(folder / "cache")]
    corpus = ["--encoder", str(folder / "tiny.py"), "--dataset", "manifest:scale"]
    extract = ["extract", *corpus, "--root", str(folder), *where, "--device", "cpu"]
    train = ["train", "--head", "linear", "--runs", str(folder / "runs"), *corpus, *where, "--device", "cpu"]
    one_epoch = ["--set", "max-epochs=1", "--set", "batch-size=1024", "--seeds", "1"]
    return {
        "plan": [*extract, "--dry-run"],
        "extract": extract,
        "extract again": extract,
        "info": ["info", *where],
        "verify": ["verify", *where],
        "train": [
            *train,
            "--protocol",
            "fixed:official",
            "--states",
            "all",
            "--pooled",
            "--clip",
            "none",
            *one_epoch,
        ],
    }


def run(arguments: list[str], log: Path) -> Cost:
    """One command, in a process of its own."""
    began = time.perf_counter()
    with log.open("wb") as said:
        done = subprocess.Popen([sys.executable, "-m", "sercache.cli", *arguments], stdout=said, stderr=said)
        _, status, usage = os_wait(done)
    if status:
        sys.exit(f"{' '.join(arguments)} ended with {status}:\n{log.read_text()[-2000:]}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def os_wait(process: subprocess.Popen) -> tuple[int, int, resource.struct_rusage]:
    """pid, exit status and use of a process that ends."""
    pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return pid, process.returncode, usage


def measure(folder: Path, n: int) -> dict[str, Cost]:
    """Cost of each step at ``n`` utterances."""
    began = time.perf_counter()
    write_corpus(folder, n)
    print(
        f"{n} utterances, {n * _SECONDS / 3600:.1f} h of audio, written in {time.perf_counter() - began:.0f} s"
    )
    (folder / "tiny.py").write_text(_ENCODER)
    costs = {}
    for title, arguments in steps(folder).items():
        costs[title] = run(arguments, folder / "log")
        cost = costs[title]
        print(
            f"  {title:<16}{cost.seconds:10.1f} s{cost.cpu:10.1f} s CPU   peak {cost.peak:7.0f} MB",
            flush=True,
        )
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=1_000_000, help="default: 1,000,000")
    parser.add_argument("--folder", type=Path, help="on the disk to use; default: the temporary folder")
    parser.add_argument("--frames", type=float, metavar="GB", help="stream so many, and measure nothing else")
    given = parser.parse_args()
    if given.frames is not None:
        with tempfile.TemporaryDirectory(dir=given.folder) as place:
            stream(Path(place), given.frames * 1e9)
        return
    if given.utterances < _BASE:
        parser.error(f"--utterances {given.utterances}: expected at least {_BASE}")
    found = {}
    for n in sizes(given.utterances):
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            found[n] = measure(Path(folder), n)
    show(found)


def sizes(n: int) -> list[int]:
    """The sizes to measure, ascending: ``n``, a tenth of it and the base, those of them that are any less."""
    return sorted({_BASE, max(_BASE, n // 10), n})


def show(found: dict[int, dict[str, Cost]]) -> None:
    """Costs of each step by the number of utterances, and what each utterance adds from one number to the next."""
    head, pairs = "".join(f"{n:>12}" for n in found), list(pairwise(found))
    print(f"\n{'s CPU':<16}{head}   ms for each utterance more")
    for title in found[_BASE]:
        cpu = {n: costs[title].cpu for n, costs in found.items()}
        each = ", ".join(f"{1000 * (cpu[many] - cpu[few]) / (many - few):.3f}" for few, many in pairs)
        print(f"{title:<16}{''.join(f'{seconds:>12.1f}' for seconds in cpu.values())}   {each}")
    print(f"\n{'peak, MB':<16}{head}   KB for each utterance more")
    for title in found[_BASE]:
        peak = {n: costs[title].peak for n, costs in found.items()}
        each = ", ".join(f"{1000 * (peak[many] - peak[few]) / (many - few):.2f}" for few, many in pairs)
        print(f"{title:<16}{''.join(f'{size:>12.0f}' for size in peak.values())}   {each}")


if __name__ == "__main__":
    main()

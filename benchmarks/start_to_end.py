"""IEMOCAP's twelve hours from the command line: start-up, twelve hours of files, means of every state, a store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

TOP = Path(__file__).parents[1]
RATE = 16_000
N_TURNS, HOURS = 10_039, 12.4
"""Of IEMOCAP, all classes."""


def recordings(folder: Path, hours: float, n_turns: int) -> tuple[Path, float]:
    """A list of turns of log-normal lengths, none equal another, as 16-bit WAV; and their seconds.

    All are cut from one stretch of noise, each at a place of its own: drawing them would take longer than encoding.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    lengths = np.clip(np.exp(0.6 * random.standard_normal(n_turns)), 0.2, 6)
    lengths = np.maximum((lengths * hours * 3600 / lengths.sum() * RATE).astype(int), RATE // 2)
    noise = (3000 * random.standard_normal(int(lengths.max()) + n_turns)).astype(np.int16)
    rows = ["id,path,label,speaker"]
    for k, length in enumerate(lengths):
        soundfile.write(folder / f"{k}.wav", noise[k : k + length], RATE, subtype="PCM_16")
        rows.append(f"u{k},{k}.wav,{'ab'[k % 2]},s{k % 10}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv", float(lengths.sum() / RATE)


@dataclass(frozen=True)
class Taken:
    """Wall seconds of the same command twice."""

    seconds: float
    """Of everything."""
    start: float
    """Of the second time, where nothing is left to do: start-up, loading, planning."""


def extract(listed: Path, checkpoint: str, cache: Path, device: str, precision: str) -> Taken:
    """A process of `sercache extract`, from its start to its end. Raises RuntimeError with what it says."""
    given = ("extract", "--encoder", checkpoint, "--dataset", "manifest", "--root", listed, "--cache", cache)
    how = ("--pooled-only", "--device", device, "--precision", precision)
    command = [sys.executable, "-m", "sercache.cli", *map(str, (*given, *how))]
    path = os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "SERCACHE_CONFIG": str(cache / "config.toml"),
        "HF_HUB_OFFLINE": "1",
    }

    def once() -> float:
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return time.perf_counter() - began

    return Taken(once(), once())

"""What it costs to begin: seconds and memory before anything is computed, each in a process of its own.

    python benchmarks/startup.py [--repeats 5]

``wall`` is the quickest of the repeats, from the first line that the process runs; ``CPU`` the least time that it had
a core (a busy machine moves it less); ``memory`` the most that was resident, above what the bare interpreter needs;
``loads`` names heavy packages.
The store holds means of 5,000 utterances, 24 states of 768.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from store import make_spec

from sercache import stores

N_UTTERANCES, DIM = 5000, 768
HEAVY = ("torch", "transformers", "scipy", "sklearn", "pandas", "matplotlib", "h5py", "zarr")

MEASURE = f"""
import atexit, contextlib, io, json, sys, time
began, used = time.perf_counter(), time.process_time()
def told():
    with open('/proc/self/status') as lines:
        peak = next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))
    print(json.dumps(dict(wall=time.perf_counter() - began, cpu=time.process_time() - used, peak=peak / 1024,
                          loads=[name for name in {HEAVY} if name in sys.modules])), file=sys.__stdout__)
atexit.register(told)
sys.stdout = io.StringIO()
"""
COMMAND = "from sercache import cli; sys.argv = ['sercache', *{words}]; cli.main()"


def measured(code: str, environment: dict[str, str], repeats: int) -> dict[str, Any]:
    found = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE + code],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    least = {key: min(each[key] for each in found) for key in ("wall", "cpu", "peak")}
    return {**least, "loads": found[-1]["loads"]}


def make_store(folder: Path) -> Path:
    spec = make_spec(frames=False, dim=DIM)
    row = np.ones((len(spec.states), DIM), np.float32)
    with stores.create(folder, spec) as writer:
        for k in range(N_UTTERANCES):
            writer.append(f"u{k}", row, row, None, n_frames=200, n_samples=64000, audio_digest=f"{k:064x}")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as place:
        store = make_store(Path(place) / "cache" / "noise" / "benchmark")
        environment = {
            **os.environ,
            "SERCACHE_CONFIG": str(Path(place) / "config.toml"),
            "SERCACHE_CACHE": str(Path(place) / "cache"),
            "SERCACHE_RUNS": str(Path(place) / "runs"),
        }
        jobs = {"python": "", "import sercache": "import sercache", "import numpy": "import numpy"}
        jobs["open_store(…)"] = f"import sercache; sercache.open_store({str(store)!r})"
        jobs["open_store(…).pooled(states=['1'])"] = jobs["open_store(…)"] + ".pooled(states=['1'])"
        for words in ("--help", "train --help", "info", "datasets", "encoders", "heads"):
            jobs[f"sercache {words}"] = COMMAND.format(words=words.split())
        print(f"{'':36}{'wall s':>8}{'CPU s':>8}{'memory MB':>11}  loads")
        bare = None
        for name, code in jobs.items():
            found = measured(code, environment, repeats)
            bare = bare or found["peak"]
            memory = found["peak"] - (bare if name != "python" else 0)
            print(
                f"{name:36}{found['wall']:8.3f}{found['cpu']:8.3f}{memory:11.1f}  {' '.join(found['loads'])}"
            )


if __name__ == "__main__":
    main()

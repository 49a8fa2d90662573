"""How much sooner a run is done by several processes of one command, on this machine.

Runs the command once alone and once in N processes, each time into a new folder of runs, start-up included, and prints
the seconds of both and their ratio. That both give the same weights is checked. Example:

    python benchmarks/shared.py --processes 2 -- train --head mlp --encoder logmel --dataset emodb --serial
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds_of(command: list[str], n_processes: int, runs: Path) -> float:
    """From the start of the first process to the end of the last."""
    began = time.perf_counter()
    call = [sys.executable, "-m", "sercache.cli", *command, "--runs", str(runs)]
    started = [subprocess.Popen(call, stdout=subprocess.DEVNULL) for _ in range(n_processes)]
    codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit(f"{' '.join(call)} failed")
    return time.perf_counter() - began


def weights_of(runs: Path) -> dict[str, bytes]:
    [run] = [path.parent for path in runs.glob("*/report.json")]
    return {path.name: path.read_bytes() for path in (run / "weights").iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--times", type=int, default=2, help="the fastest of so many counts")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    best: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        kept: list[dict[str, bytes]] = []
        for turn in range(given.times):
            for n in (1, given.processes):
                runs = Path(folder) / f"{turn}-{n}"
                taken = seconds_of(given.command, n, runs)
                best[n] = min(taken, best.get(n, taken))
                kept.append(weights_of(runs))
    if any(each != kept[0] for each in kept):
        raise SystemExit("the weights differ")
    one, several = best[1], best[given.processes]
    print(
        f"1 process {one:.1f} s, {given.processes} processes {several:.1f} s: {one / several:.2f} times as fast; ",
        end="",
    )
    print(f"the same weights; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""What sharing an extraction gives and costs: processes of one command against one, and a claim on a batch.

    OMP_NUM_THREADS=1 python benchmarks/sharing.py [--processes 2] [--utterances 600] [--repeats 3] [--folder FOLDER]

Noise (2 s an utterance) is made in a temporary folder, and the built-in demo-wavlm with one thread a process encodes
it. Processes have everything loaded and planned before they begin together; the time is that of the last to end. Ways
go in turn and the best of each counts. A claim is taken, asked for twice and released, as for each batch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile


def work(table: Path, folder: Path, go: Path) -> None:
    """One process: plan, wait for the word, extract; prints what it encoded and when it began and ended."""
    import torch

    from sercache import encoders, extraction, stores
    from sercache.datasets import manifest

    torch.set_num_threads(1)
    corpus, encoder = manifest.read(table), encoders.load("demo-wavlm", device="cpu")
    spec = extraction.feature_spec(encoder, corpus)
    plan = extraction.make_plan(encoder, corpus.utterances, spec, folder)
    extraction.real_time_factor(encoder, spec.states)
    print("ready", flush=True)
    while not go.exists():
        time.sleep(0.001)
    began = time.time()
    result = extraction.extract(plan, encoder, stores.create(folder, spec), stores.open(folder))
    print(result.n_encoded, began, time.time(), len(plan.batches), flush=True)


def timed(table: Path, folder: Path, n: int) -> tuple[float, list[int], int]:
    """Seconds that ``n`` processes take together, what each encoded, and the batches of the plan."""
    folder.mkdir()
    words = [sys.executable, __file__, "--work", str(table), str(folder / "store"), str(folder / "go")]
    all_of_them = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    for each in all_of_them:
        assert each.stdout is not None
        each.stdout.readline()
    (folder / "go").touch()
    said = [each.communicate()[0].split() for each in all_of_them]
    began, ended = min(float(row[1]) for row in said), max(float(row[2]) for row in said)
    return ended - began, [int(row[0]) for row in said], int(said[0][3])


def claim_seconds(folder: Path, n: int = 1000) -> float:
    """Seconds for the claim on one batch, the least of many."""
    from sercache.claims import Claims

    with Claims(folder) as claims:
        took = []
        for k in range(n):
            began = time.perf_counter()
            claims.take(f"{k:032x}")
            claims.still_held(f"{k:032x}")
            claims.still_held(f"{k:032x}")
            claims.release(f"{k:032x}")
            took.append(time.perf_counter() - began)
        return min(took)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--utterances", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", type=Path, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(*asked.work)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        chance, rows = np.random.default_rng(0), ["id,path,label"]
        for k in range(asked.utterances):
            soundfile.write(f"{place}/{k}.wav", chance.normal(0, 0.1, 32000 + k), 16000)
            rows.append(f"u{k},{k}.wav,a")
        table = Path(place, "list.csv")
        table.write_text("\n".join(rows) + "\n")
        print(f"a claim on a batch: {1e3 * claim_seconds(Path(place, 'claims')):.2f} ms")
        best = {1: float("inf"), asked.processes: float("inf")}
        for k in range(asked.repeats):
            for n in best:
                seconds, encoded, batches = timed(table, Path(place, f"{k}-{n}"), n)
                best[n] = min(best[n], seconds)
                print(
                    f"{n} processes: {seconds:.2f} s, {' + '.join(map(str, encoded))} of {batches} batches' entries"
                )
        print(f"{asked.processes} against 1: {best[1] / best[asked.processes]:.2f} times as fast")


if __name__ == "__main__":
    main()

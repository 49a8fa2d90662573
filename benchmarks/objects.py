"""How fast a store is read by ranges from a static server, beside downloading its files plainly: one ratio a round.

Both go to the same server, a process of its own on this host, in alternating rounds. The store's files are in the page
cache. What is read is compared with its checksums, as `train` does.

    python benchmarks/objects.py [--mb 400] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

from sercache import stores
from sercache.stores import FeatureSpec

STATES, DIM, FRAMES = 12, 768, 250


def make(folder: Path, megabytes: int) -> Path:
    """A store of random features, as large as asked."""
    spec = FeatureSpec(
        encoder="random",
        identity={"family": "random"},
        states=tuple(str(k + 1) for k in range(STATES)),
        dim=DIM,
        sample_rate=16000,
        hop=320,
        corpus="none",
        release="1",
    )
    chance = np.random.default_rng(0)
    values = chance.standard_normal((STATES, FRAMES, DIM)).astype("f2")
    count = max(1, megabytes * 10**6 // values.nbytes)
    with stores.create(folder, spec) as writer:
        for k in range(count):
            values[:, 0, 0] = k % 1000
            frames = values.astype("f4")
            writer.append(
                f"u{k}",
                frames.mean(1),
                frames.std(1),
                values,
                n_frames=FRAMES,
                n_samples=80000,
                audio_digest=f"{k:064x}",
            )
    return folder


def download(address: str, folder: Path) -> float:
    """Bytes a second of plain downloads of the store's frames, one file after another."""
    began, n_bytes, buffer = time.perf_counter(), 0, bytearray(2**20)
    for path in sorted((folder / "frames").glob("c.*")):
        with urllib.request.urlopen(f"{address}/frames/{path.name}") as answer:
            while got := answer.readinto(buffer):
                n_bytes += got
    return n_bytes / (time.perf_counter() - began)


def read(address: str) -> float:
    """Bytes a second of features, as a first epoch reads them: all utterances, some at a time."""
    store, n_bytes = stores.open(address), 0
    ids = store.ids()
    began = time.perf_counter()
    for start in range(0, len(ids), 32):
        n_bytes += sum(each.nbytes for each in store.read_many(ids[start : start + 32]))
    return n_bytes / (time.perf_counter() - began)


def main() -> None:
    """Print the rates of each round, and the median of their ratios."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--mb", type=int, default=400, help="size of the store")
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["SERCACHE_OBJECTS"] = f"{place}/objects"
        folder = make(Path(place) / "served" / "store", asked.mb)
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("static_files.py")), str(folder.parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            address = f"{server.stdout.readline().strip()}/store"
            ratios = []
            for _ in range(asked.rounds):
                plain, ranges = download(address, folder), read(address)
                ratios.append(ranges / plain)
                print(
                    f"plain {plain / 1e6:7.0f} MB/s   by ranges {ranges / 1e6:7.0f} MB/s   {ratios[-1]:.2f}"
                )
            print(f"median {statistics.median(ratios):.2f} of the plain download rate (wanted: 0.70)")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()

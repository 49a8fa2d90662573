"""How fast a store is read by ranges from a static server, beside downloading its files plainly, and what both cost.

Plain is what `curl FILE > /dev/null` does: one file after another over one connection, or over as many connections as
the reader uses, each file in as many parts; bytes are received and dropped. A download that is of use keeps what comes:
"kept" holds each file in memory until the next is there. By ranges is what a training does first:
all utterances are read and compared with their checksums, in memory that stays. All go to the same server, a process of
its own on this host, in alternating rounds; the store's files are in the page cache. Beside each rate stand the seconds
of processor time that a gigabyte takes in this process and in the server: on a host whose cores both share, its rate
is at most the number of cores by their sum, however little else runs.

``--gbit`` and ``--latency`` put a link between: a server that sends so much at most, and answers after so long.

    python benchmarks/objects.py [--mb 400] [--rounds 3] [--gbit 10 --latency 20]
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sercache import stores
from sercache.objects import bucket
from sercache.stores import FeatureSpec
from sercache.training import keep_freed_memory

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


def download(address: str, folder: Path, n_connections: int, *, is_kept: bool = False) -> int:
    """Bytes of plain downloads of the store's frames, one file after another."""
    memory = memoryview(b"")

    def part(name: str, begin: int, end: int) -> int:
        n_bytes, buffer = 0, memory[begin:end] if is_kept else bytearray(2**20)
        request = urllib.request.Request(
            f"{address}/frames/{name}", headers={"Range": f"bytes={begin}-{end - 1}"}
        )
        with urllib.request.urlopen(request) as answer:
            while n_bytes < end - begin:
                n_bytes += (got := answer.readinto(buffer[n_bytes:] if is_kept else buffer))
                assert got
        return n_bytes

    n_bytes = 0
    with ThreadPoolExecutor(n_connections) as pool:
        for path in sorted((folder / "frames").glob("c.*")):
            size = path.stat().st_size
            memory = np.empty(size if is_kept else 0, np.uint8).data
            bounds = [size * k // n_connections for k in range(n_connections + 1)]
            n_bytes += sum(pool.map(part, [path.name] * n_connections, bounds[:-1], bounds[1:]))
    return n_bytes


def read(address: str, *, checked: bool = True) -> int:
    """Bytes of features, as a first epoch reads them."""
    store = stores.open(address)
    if not checked:
        store._watch.check_frames = lambda *arguments: None  # type: ignore[attr-defined]
    return sum(frames.nbytes for _, frames in store.read_each(store.ids()))


def processor(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Found(NamedTuple):
    """Of one job."""

    rate: float
    """Bytes a second."""
    here: float
    """Seconds of processor time for a gigabyte, in this process."""
    there: float
    """In the server."""


def measured(job: Callable[[], int], server: int) -> Found:
    """What a job comes to."""
    before, began = (time.process_time(), processor(server)), time.perf_counter()
    n_bytes = job()
    took = time.perf_counter() - began
    here, there = time.process_time() - before[0], processor(server) - before[1]
    return Found(n_bytes / took, here / n_bytes * 1e9, there / n_bytes * 1e9)


def main() -> None:
    """Print the rates of each round, and the median of their ratios."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--mb", type=int, default=400, help="size of the store")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--gbit", default="0", help="1e9 bits a second, at most")
    options.add_argument("--latency", default="0", help="milliseconds before each answer")
    asked = options.parse_args()
    keep_freed_memory()  # as a training does
    with tempfile.TemporaryDirectory() as place:
        os.environ["SERCACHE_OBJECTS"] = f"{place}/objects"
        folder = make(Path(place) / "served" / "store", asked.mb)
        server = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("static_files.py")), str(folder.parent)),
                *("--gbit", asked.gbit, "--latency", asked.latency),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            address = f"{server.stdout.readline().strip()}/store"
            many = bucket.IN_FLIGHT
            jobs: dict[str, Callable[[], int]] = {
                "plain, 1 connection": lambda: download(address, folder, 1),
                f"plain, {many} connections": lambda: download(address, folder, many),
                f"kept, {many} connections": lambda: download(address, folder, many, is_kept=True),
                "by ranges": lambda: read(address),
                "by ranges, no checksums": lambda: read(address, checked=False),
            }
            found: dict[str, list[Found]] = {name: [] for name in jobs}
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
            for number in range(asked.rounds + 1):
                for name, job in jobs.items():
                    each = measured(job, server.pid)
                    if number:  # the first warms what a training has warm: connections, memory
                        found[name].append(each)
            plain = list(found.values())[:3]
            for name, rounds in found.items():
                rate, here, there = (statistics.median(values) for values in zip(*rounds, strict=True))
                ratios = [
                    statistics.median(a.rate / b.rate for a, b in zip(rounds, other, strict=True))
                    for other in plain
                ]
                beside = f"{ratios[0]:.2f} and {ratios[1]:.2f} of plain by 1 and by {many}, {ratios[2]:.2f} of kept"
                costs = f"{here:.2f} s CPU a GB, the server {there:.2f}"
                print(f"{name:<24}{rate / 1e6:7.0f} MB/s   {beside}   {costs}")
            print(f"load {os.getloadavg()[0]:.1f}; wanted: 0.70 of plain")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()

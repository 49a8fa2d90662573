"""What a store costs as it grows: seconds and memory of appending (CPU time by fifths), opening, one more, verifying.

Used by ``python benchmarks/store.py --means``. Each step runs in a process of its own, so that its peak memory
is its own; the peak of a process that only imports what the steps do is printed beside them.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from sercache import stores
from sercache.stores import FeatureSpec

_N_ROWS = 1024
"""Different rows of means that are written in turn."""


def bench_growth(path: Path, spec: FeatureSpec, n: int, format: str) -> None:
    """Fill a store of means with ``n`` utterances and print what each step cost."""
    size = f"{len(spec.states)} x {spec.dim}"
    print(f"{n} utterances, means and standard deviations of {size}, {format}")
    _, idle, _ = _in_process(lambda: None)
    print(f"  {'imports alone':<22}{'':>10}   peak {idle / 2**20:7.0f} MB")
    fifths = _step("append", lambda: _append(path, spec, n, format))
    print(
        "  fifths of it",  # which other processes change little
        *(f"{spent:8.2f}" for spent in fifths),
        f"s of CPU time   last / first {fifths[-1] / fifths[0]:.2f}",
    )
    _step("open", lambda: stores.open(path))
    _step("open and read one", lambda: stores.open(path).pooled([f"u{n // 2}"]))
    for k in range(3):
        _step("open, append one, close", lambda k=k: _append_one(path, spec, format, f"more{k}"))
    _step("all means", lambda: stores.open(path).pooled())
    _step("ids", lambda: stores.open(path).ids())
    found = _step("verify", lambda: len(stores.verify(path)))
    print(f"  faults found: {found}")


def _append(path: Path, spec: FeatureSpec, n: int, format: str) -> list[float]:
    rows = np.random.default_rng(0).standard_normal((_N_ROWS, len(spec.states), spec.dim), np.float32)
    marks = [time.process_time()]
    with stores.create(path, spec, format) as writer:
        for k in range(n):
            row = rows[k % _N_ROWS]
            writer.append(f"u{k}", row, row, None, n_frames=200, n_samples=64000, audio_digest=f"{k:064x}")
            if (k + 1) % max(n // 5, 1) == 0:
                marks.append(time.process_time())
    return np.diff(marks).tolist()


def _append_one(path: Path, spec: FeatureSpec, format: str, id: str) -> None:
    row = np.zeros((len(spec.states), spec.dim), np.float32)
    with stores.create(path, spec, format) as writer:
        writer.append(id, row, row, None, n_frames=200, n_samples=64000, audio_digest="")


def _step(title: str, job: Callable[[], object]) -> object:
    spent, peak, value = _in_process(job)
    print(f"  {title:<22}{spent:10.2f} s   peak {peak / 2**20:7.0f} MB")
    return value


def _in_process(job: Callable[[], object]) -> tuple[float, int, object]:
    """Seconds, peak resident bytes and value of a job that runs in a fork."""
    sys.stdout.flush()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run, args=(theirs, job))
    child.start()
    theirs.close()
    try:
        spent, peak, value = ours.recv()
    finally:
        child.join()
    return spent, peak, value


def _run(answer: Connection, job: Callable[[], object]) -> None:
    began = time.perf_counter()
    value = job()
    spent = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kB on Linux
    plain = value if isinstance(value, int | float | list) and len(str(value)) < 1000 else None
    answer.send((spent, peak, plain))

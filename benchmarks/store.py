"""How fast the store is, as ratios to raw files measured in the same run.

    python benchmarks/store.py [--folder FOLDER] [--utterances 96] [--repeats 5]
    python benchmarks/store.py --means --dim 4 --utterances 1000000

Writing: against one sequential write and fsync of the same bytes. Reading: against what somebody writes who has
np.memmap alone: one raw file in which every utterance lies by itself, a dict from its id to its first row and its
frames, the states cut out of that and copied, in float16 as the store gives them, and nothing checked. (The store
compares each state with its checksum when it is first read, and on each read looks whether the file has changed.)
And against zarr-python on the very files of the store.

Reading is from the page cache (warm) or from the disk (cold: the kernel is asked to forget the files before each
run). What is warm is measured in CPU time, which other processes on the machine change little; what waits for a disk,
in seconds. Runs of the things compared alternate; a ratio is the median over rounds of that within a round.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from statistics import median

import numpy as np
import zarr
from growth import bench_growth

from sercache import stores
from sercache.stores import FeatureSpec

_MORE_ROUNDS = 16
STATES, DIM, MEAN_FRAMES = 24, 1024, 225  # WavLM-Large over IEMOCAP: 24 blocks, 4.5 s an utterance


def make_spec(dtype: str = "float16", frames: bool = True, dim: int = DIM) -> FeatureSpec:
    return FeatureSpec(
        encoder="benchmark",
        identity={},
        sample_rate=16000,
        hop=320,
        corpus="noise",
        release="",
        states=tuple(str(k + 1) for k in range(STATES)),
        dim=dim,
        dtype=dtype,  # type: ignore[arg-type]
        frames=frames,
    )


def seconds(job: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    job()
    return clock() - began


def forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remove(path: Path) -> None:
    """Remove what was written before, so that its removal is not measured."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def compare(
    title: str,
    n_bytes: int,
    repeats: int,
    jobs: Mapping[str, Callable[[], object]],
    before: Callable[[], object] | None = None,
) -> None:
    """Print the median rate of each job, and the median over rounds of its ratio to the first in that round.

    Without ``before``, which is called before each run, nothing waits for a disk: what is measured is CPU time.
    """
    clock = time.perf_counter if before else time.process_time
    before = before or (lambda: None)
    for job in jobs.values():
        before()
        job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            before()
            taken[name].append(seconds(job, clock))
    first = next(iter(taken.values()))
    print(title)
    for name, each in taken.items():
        ratio = median(a / b for a, b in zip(first, each, strict=True))
        print(f"  {name:<28}{n_bytes / median(each) / 1e9:7.2f} GB/s   {ratio:5.2f} x")


def make_features(n: int) -> dict[str, np.ndarray]:
    """Utterances (L, T, D) float16 of about MEAN_FRAMES frames."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((STATES, 4 * MEAN_FRAMES, DIM), dtype=np.float32).astype(np.float16)
    lengths = rng.gamma(4, MEAN_FRAMES / 4, n).clip(20, 4 * MEAN_FRAMES).astype(int)
    return {f"u{k:04}": np.ascontiguousarray(noise[:, :n_frames]) for k, n_frames in enumerate(lengths)}


def write_store(path: Path, features: dict[str, np.ndarray], format: str) -> None:
    row = np.zeros((STATES, DIM), np.float32)
    with stores.create(path, make_spec(), format) as writer:
        for id, frames in features.items():
            n_frames = frames.shape[1]
            writer.append(id, row, row, frames, n_frames=n_frames, n_samples=n_frames * 320, audio_digest="")


def write_raw(path: Path, features: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        for frames in features.values():
            file.write(frames.data)
        file.flush()
        os.fsync(file.fileno())


def bench_frames(folder: Path, features: dict[str, np.ndarray], repeats: int) -> None:
    n_bytes, scratch = sum(frames.nbytes for frames in features.values()), folder / "scratch"
    compare(
        f"write {n_bytes / 1e9:.2f} GB of frames, float16, durably",
        n_bytes,
        repeats,
        {"raw write + fsync": lambda: write_raw(scratch, features)}
        | {f"sercache {f}": lambda f=f: write_store(scratch, features, f) for f in stores.FORMATS},
        lambda: remove(scratch),
    )
    remove(scratch)
    write_raw(folder / "raw", features)
    for format in stores.FORMATS:
        write_store(folder / format, features, format)

    def mapped() -> np.ndarray:
        return np.memmap(folder / "raw", np.float16, "r").reshape(-1, DIM)

    ids, counts = list(features), [frames.shape[1] for frames in features.values()]
    starts = [*accumulate((n_frames * STATES for n_frames in counts), initial=0)]
    places = dict(zip(ids, zip(starts, counts, strict=False), strict=True))
    in_turn = [ids[k] for k in np.random.default_rng(1).permutation(len(ids))]
    ours = {f"sercache {f}": stores.open(folder / f) for f in stores.FORMATS}
    stock = zarr.open_group(folder / "zarr", mode="r")
    array, slots = stock["frames"], {id: k for k, id in enumerate(stock["utterance"][:]) if id}
    firsts = stock["frame_start"][:]

    def by_memmap(raw: np.ndarray, id: str, states: slice) -> np.ndarray:
        start, n_frames = places[id]
        whole = raw[start : start + STATES * n_frames].reshape(STATES, n_frames, DIM)
        return np.array(whole[states])

    def by_zarr(id: str, states: slice) -> np.ndarray:
        first = firsts[slots[id]]
        return array[states, first : first + places[id][1]]

    memmap = "raw np.memmap"
    for title, states in (("all states", slice(None)), ("one state", slice(11, 12))):
        names = make_spec().states[states]
        np.testing.assert_array_equal(
            by_memmap(mapped(), ids[3], states), ours["sercache zarr"].read(ids[3], names)
        )
        np.testing.assert_array_equal(by_memmap(mapped(), ids[3], states), by_zarr(ids[3], states))
        warm = mapped()  # stays mapped from run to run, as in a training process

        def each(read: Callable[[str], object]) -> None:
            for id in in_turn:
                read(id)

        def all_by_memmap(raw: np.ndarray, states: slice = states) -> None:
            each(lambda id: by_memmap(raw, id, states))

        others: dict[str, Callable[[], object]] = {
            name: lambda store=store, names=names: each(lambda id: store.read(id, names))
            for name, store in ours.items()
        }
        stocks = {"zarr-python": lambda states=states: each(lambda id: by_zarr(id, states))}

        n_read = n_bytes * len(names) // STATES
        warm_memmap = {memmap: lambda raw=warm: all_by_memmap(raw)}
        title = f"read {title} of random utterances"
        # A round of one state takes some milliseconds, but for zarr-python.
        n_rounds = repeats * STATES // len(names) + _MORE_ROUNDS
        compare(f"{title}, warm", n_read, n_rounds, warm_memmap | others)
        compare(f"{title}, warm", n_read, repeats, warm_memmap | stocks)
        del warm  # a page that is mapped is not forgotten
        cold = {memmap: lambda: all_by_memmap(mapped())} | others | stocks
        compare(f"{title}, cold", n_read, repeats, cold, lambda: forget(folder))


def bench_pooled(folder: Path, repeats: int, n: int = 5531, per_commit: int = 0) -> None:
    """IEMOCAP's means, in the commits that a store of means makes of them, or of so many utterances each."""
    path, row = folder / "pooled", np.random.default_rng(0).standard_normal((STATES, DIM), np.float32)
    with stores.create(path, make_spec(frames=False)) as writer:
        for k in range(n):
            writer.append(f"u{k}", row, row, None, n_frames=1, n_samples=320, audio_digest=f"{k:064x}")
            if per_commit and (k + 1) % per_commit == 0:
                writer.seal()
    store = stores.open(path)
    raw = folder / "means.npy"
    np.save(raw, store.pooled())
    compare(
        f"means of {n} utterances ({raw.stat().st_size / 1e9:.2f} GB)"
        + (f" in commits of {per_commit}" if per_commit else ""),
        raw.stat().st_size,
        2 * repeats,
        {"np.load": lambda: np.load(raw), "sercache zarr": store.pooled},
    )
    print(f"open {n} utterances: {seconds(lambda: stores.open(path)) * 1e3:.0f} ms")
    spent = seconds(lambda: stores.verify(path))
    print(f"verify them: {2 * raw.stat().st_size / spent / 1e9:.2f} GB/s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the temporary folder")
    parser.add_argument("--utterances", type=int, default=96, help="default: 96, 1 GB")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--means", action="store_true", help="what a store of means costs as it grows")
    parser.add_argument("--dim", type=int, default=DIM, help="with --means: values of a state")
    parser.add_argument("--states", type=int, default=1, help="with --means: states; default: 1")
    parser.add_argument("--format", choices=stores.FORMATS, default="zarr", help="with --means")
    given = parser.parse_args()
    print("command: python", *sys.argv)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(f"python {platform.python_version()}, numpy {np.__version__}, zarr {zarr.__version__}")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        if given.means:
            spec = make_spec(frames=False, dim=given.dim)
            spec = replace(spec, states=spec.states[: given.states])
            bench_growth(Path(folder) / "store", spec, given.utterances, given.format)
            return
        bench_frames(Path(folder), make_features(given.utterances), given.repeats)
        bench_pooled(Path(folder), given.repeats)
        remove(Path(folder) / "pooled")
        bench_pooled(Path(folder), given.repeats, 1650, 11)


if __name__ == "__main__":
    main()

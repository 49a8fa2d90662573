"""Processes that write to a store and die; driven by test_store_crash.py.

Heavy packages are imported once, every writer is a fork of this process.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NoReturn

from store_helpers import SIZES, append, assert_holds, features, make_spec

import sercache.stores.hdf5
import sercache.stores.reader
import sercache.stores.writer
import sercache.stores.zarr  # noqa: F401
from sercache import stores

SPEC = make_spec()


def lengths(n: int) -> dict[str, int]:
    """Frames of ``n`` utterances, some longer than a shard."""
    return {f"u{k}": 1 + (k * k * 7 + 3 * k) % 37 for k in range(n)}


def work(path: Path, format: str, wanted: dict[str, int]) -> None:
    """Append what the store lacks, as a continued extraction does."""
    done = set(stores.open(path).ids()) if stores.exists(path) else set()
    with stores.create(path, SPEC, format, **SIZES) as writer:
        for id, n_frames in wanted.items():
            if id not in done:
                append(writer, id, features(id, n_frames, SPEC))


def fork(job: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            job()
            code = 0
        finally:
            os._exit(code)
    return child


def skip_sync() -> None:
    """Leave fsync out: what a process wrote outlives its death without, and a busy disk takes its time."""
    os.fsync = lambda descriptor: None


def kill_at_random(path: Path, format: str, n_kills: int, n_utterances: int, sync: bool) -> None:
    """SIGKILL writers until ``n_kills`` died at work, then let one finish."""
    chance, wanted = random.Random(7), lengths(n_utterances)
    records = path / "ledger/commits"
    if not sync:
        skip_sync()
    kills = 0
    while kills < n_kills:
        child = fork(lambda: work(path, format, wanted))
        # So many commits, then a moment: on a slow machine as on a fast one it is killed at work.
        goal = n_records(records) + chance.choice([0, 0, 1, 2, 5])
        while n_records(records) < goal:
            time.sleep(0.0005)
            ended, status = os.waitpid(child, os.WNOHANG)
            assert not ended, f"finished after {kills} kills with status {status}: give it more to do"
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    _, status = os.waitpid(fork(lambda: work(path, format, wanted)), 0)
    assert status == 0
    print(json.dumps({"kills": kills}))


def n_records(folder: Path) -> int:
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def die_at_each_step(path: Path, format: str, stride: int) -> None:
    """Die before each ``stride``-th call that makes something durable, in turn, and check what is left."""
    skip_sync()
    wanted = lengths(8)
    content = {id: features(id, n_frames, SPEC) for id, n_frames in wanted.items()}
    work(path / "begun", format, dict(list(wanted.items())[:4]))
    before = stores.open(path / "begun").ids()
    for n_steps in count(0, stride):
        store = shutil.copytree(path / "begun", path / str(n_steps))

        def job(store: Path = store, n_steps: int = n_steps) -> None:
            die_after(n_steps)
            work(store, format, wanted)

        _, status = os.waitpid(fork(job), 0)
        reader = stores.open(store)
        left = reader.ids()
        assert left[: len(before)] == before
        assert_holds(reader, {id: content[id] for id in left}, order=list(wanted)[: len(left)])
        work(store, format, wanted)
        assert_holds(stores.open(store), content, order=wanted)
        assert list(store.glob("ledger/writers/*")) == []
        if status == 0:
            print(json.dumps({"steps": n_steps}))
            return


def copy_at_each_step(path: Path, format: str) -> None:
    """Die before each step of copying a store in another type and removing it; check what is left, and go on."""
    skip_sync()
    wide, wanted = make_spec(dtype="float32"), lengths(8)
    content = {id: features(id, n_frames, wide) for id, n_frames in wanted.items()}
    with stores.create(path / "begun", wide, format, **SIZES) as writer:
        for id, frames in content.items():
            append(writer, id, frames)
    spec = wide.of_dtype("float16")
    for n_steps in count():
        folder = path / str(n_steps)
        source = Path(shutil.copytree(path / "begun", folder / "wide"))

        def job(folder: Path = folder, source: Path = source) -> None:
            done = stores.copy(folder / "half", spec, format, [source])
            stores.remove(source, done.seen[source])

        def dying(job: Callable[[], None] = job, n_steps: int = n_steps) -> None:
            die_after(n_steps)
            job()

        _, status = os.waitpid(fork(dying), 0)
        left = [each for each in folder.iterdir() if not each.name.startswith(".")]
        for each in left:  # whole: the old one, the new one or both
            assert_holds(stores.open(each), content, order=wanted)
        assert left
        if source.exists():
            job()
        else:
            stores.copy(folder / "half", spec, format, [folder / "half"])
        assert [each.name for each in folder.iterdir()] == ["half"]
        assert_holds(stores.open(folder / "half"), content, order=wanted)
        if status == 0:
            print(json.dumps({"steps": n_steps}))
            return


def die_after(n_steps: int) -> None:
    """Make this process vanish at its step number ``n_steps`` (a sync, a rename, a removal, a new claim)."""
    left = n_steps

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(9)

    def stepping(plain: Callable, applies: Callable[..., bool] = lambda *a, **k: True) -> Callable:
        def call(*arguments: object, **options: object) -> object:
            if applies(*arguments, **options):
                step()
            return plain(*arguments, **options)

        return call

    os.fsync = stepping(os.fsync)
    Path.replace = stepping(Path.replace)  # type: ignore[method-assign]
    Path.rename = stepping(Path.rename)  # type: ignore[method-assign]
    Path.unlink = stepping(Path.unlink)  # type: ignore[method-assign]
    Path.open = stepping(Path.open, lambda path, mode="r", *a, **k: mode != "rb")  # type: ignore[method-assign]


def main() -> NoReturn:
    """Arguments: name of the function and its arguments, as JSON."""
    name, path, *rest = json.loads(sys.argv[1])
    jobs: dict[str, Callable[..., None]] = {
        "kill_at_random": kill_at_random,
        "die_at_each_step": die_at_each_step,
        "copy_at_each_step": copy_at_each_step,
    }
    jobs[name](Path(path), *rest)
    sys.exit()


if __name__ == "__main__":
    main()

"""Each call that reaches the disk fails once: what is committed stays, the error is one line, the next call goes on."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
from failing_disk import FAULTS, Step, failing
from store_helpers import SIZES, append, as_stored, assert_holds, features, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError, DiskSpaceError, SercacheError
from sercache.experiment import plain_files
from sercache.stores import FeatureSpec

BEGUN = {"a": 3, "b": 9}
LENGTHS = {**BEGUN, "long": 40, "d": 5}
KINDS = [(format, frames) for format in stores.FORMATS for frames in (True, False)]
IDS = [f"{format}-{'sequences' if frames else 'means'}" for format, frames in KINDS]


def contents(spec: FeatureSpec) -> dict[str, np.ndarray]:
    return {id: features(id, n_frames, spec) for id, n_frames in LENGTHS.items()}


# --- what is done while the disk fails ---


def write(path: Path, format: str, spec: FeatureSpec) -> None:
    """Go on with a store, or make it: as `extract` does, what is there is left out."""
    with stores.create(path, spec, format, **SIZES) as writer:
        there = stores.open(path).ids()
        for id, frames in contents(spec).items():
            if id not in there:
                append(writer, id, frames)


def read(path: Path, format: str, spec: FeatureSpec) -> None:
    """Everything that is there, compared with what was written."""
    store = stores.open(path)
    written = contents(spec)
    ids = store.ids()
    for id in ids if spec.frames else ():
        np.testing.assert_array_equal(store.read(id), as_stored(written[id], spec.dtype))
    np.testing.assert_array_equal(store.pooled(), _means(written, ids))
    assert set(BEGUN) <= set(ids)


def _means(written: dict[str, np.ndarray], ids: list[str]) -> np.ndarray:
    return np.stack([written[id].mean(axis=1) for id in ids]) if ids else np.empty((0,))


def verify(path: Path, format: str, spec: FeatureSpec) -> None:
    """Look at every byte. A disk that cannot give some of them is damage, said of the right file."""
    for damage in stores.verify(path):
        raise DamagedStoreError(f"{damage.path}: {damage.reason}; run it again")


def repair(path: Path, format: str, spec: FeatureSpec) -> None:
    """Take an utterance out, as `verify --repair` does."""
    if "d" in stores.open(path).ids():
        stores.drop(path, [stores.Damage("d", path, "a test")])


Job = Callable[[Path, str, FeatureSpec], None]
JOBS: dict[str, tuple[Job, dict[str, int] | None]] = {
    "go-on": (write, BEGUN),
    "make": (write, None),
    "read": (read, LENGTHS),
    "verify": (verify, LENGTHS),
    "repair": (repair, LENGTHS),
}
"""What is done, and what the store holds before."""


class Scene:
    """A store in a folder of its own, as it is before each try."""

    def __init__(self, folder: Path, job: str, format: str, frames: bool) -> None:
        self.job, begun = JOBS[job]
        self.format, self.spec, self._folder = format, make_spec(frames=frames), folder
        self.path = folder / "tried" / "store"
        self._begun = begun and folder / "begun"
        self.there = list(begun or ())
        if self._begun:
            fill(self._begun, begun or {}, format, self.spec, **SIZES)

    def reset(self) -> None:
        shutil.rmtree(self._folder / "tried", ignore_errors=True)
        if self._begun:
            shutil.copytree(self._begun, self.path)
        else:
            self.path.parent.mkdir()

    def steps(self) -> list[Step]:
        """The calls that reach the disk where none fails."""
        self.reset()
        with failing(self.path.parent) as disk:
            self.job(self.path, self.format, self.spec)
        return disk.steps

    def check(self, fails_at: int, number: int) -> None:
        """Let one call fail; see that nothing is lost, and that the same once more finishes."""
        self.reset()
        with failing(self.path.parent, fails_at, number), refused():
            self.job(self.path, self.format, self.spec)
        if self._begun and self.job is not repair:
            read(self.path, self.format, self.spec)
        self.job(self.path, self.format, self.spec)
        written = contents(self.spec)
        if self.job is repair:
            del written["d"]
        assert_holds(stores.open(self.path), written)
        assert stores.verify(self.path) == []
        stores.create(self.path, self.spec, self.format).close()  # which clears up
        for name in ("writers", "claims"):
            assert list((self.path / "ledger" / name).iterdir()) == []


_REMEDY = re.compile(r"[;,:] (run|free|choose|allow|see|restore|get|then|the file server|end) ")


@contextmanager
def refused() -> Iterator[None]:
    """Whatever leaves the block is an error of ours: one line that says what to do."""
    said = ""
    try:
        yield
    except SercacheError as fault:
        said = str(fault)
    assert "\n" not in said
    assert not said or _REMEDY.search(said), said


def distinct(steps: list[Step]) -> list[int]:
    """The first of all steps that are the same but for numbers in names."""
    first: dict[tuple[str, str], int] = {}
    for k, step in enumerate(steps):
        first.setdefault((step.kind, re.sub(r"[0-9a-f]{32}|\d+", "0", step.file)), k)
    return list(first.values())


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[2]], ids=[IDS[0], IDS[2]])
@pytest.mark.parametrize("job", JOBS)
def test_each_kind_of_call_fails_once(tmp_path: Path, job: str, kind: tuple[str, bool]) -> None:
    with without_sync():
        scene = Scene(tmp_path, job, *kind)
        kinds: dict[str, int] = {}
        for k, step in enumerate(scene.steps()):
            kinds[step.kind] = k  # the last of its kind: much is done, and something open
        for n, k in enumerate(kinds.values()):
            scene.check(k, FAULTS[n % len(FAULTS)])
    assert {"open", "read", "listdir"} <= set(kinds)
    assert job != "read" or "mmap" in kinds
    assert job in ("read", "verify") or {"write", "short write", "close", "fsync", "rename"} <= set(kinds)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@pytest.mark.parametrize("job", JOBS)
def test_every_call_fails_once(tmp_path: Path, job: str, kind: tuple[str, bool]) -> None:
    """Calls of one sort for each fault; of the further calls of that sort each for one of the faults in turn."""
    with without_sync():
        scene = Scene(tmp_path, job, *kind)
        steps = scene.steps()
        first = distinct(steps)
        for k in range(len(steps)):
            for number in FAULTS if k in first else FAULTS[k % len(FAULTS) : k % len(FAULTS) + 1]:
                scene.check(k, number)


# --- what the kernel itself refuses ---


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: EFBIG, and SIGXFSZ, which Python ignores."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@pytest.mark.parametrize("job", ["go-on", "make"])
def test_files_may_not_grow(tmp_path: Path, job: str, kind: tuple[str, bool]) -> None:
    with without_sync():
        scene = Scene(tmp_path, job, *kind)
        scene.reset()
        for n_bytes in (0, 30, 200, 500, 1000, 2000, 4000, 8000):
            with largest_file(n_bytes), refused():
                write(scene.path, scene.format, scene.spec)
            if scene.there:
                read(scene.path, scene.format, scene.spec)
        write(scene.path, scene.format, scene.spec)
        assert_holds(stores.open(scene.path), contents(scene.spec))
        assert stores.verify(scene.path) == []


class Disk:
    """A small disk of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no `mount` here")
    command = [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a disk of its own may not be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_full_disk_keeps_what_was_committed(small_disk: Disk, kind: tuple[str, bool]) -> None:
    format, frames = kind
    path, spec = small_disk.folder / "store", make_spec(frames=frames)
    content = {f"u{k}": features(f"u{k}", 20 + k % 30, spec) for k in range(1500)}

    def go_on() -> None:
        sizes = {"shard_frames": 400, "chunk_frames": 4, "shard_utterances": 50}
        with stores.create(path, spec, format, **sizes) as writer:
            there = set(stores.open(path).ids())
            for id, frames in content.items():
                if id not in there:
                    append(writer, id, frames)

    n_before = 0
    for _ in range(2):
        with pytest.raises(
            DiskSpaceError, match=r"the disk of .* is full; what was committed before is safe"
        ):
            go_on()
        store = stores.open(path)
        there = store.ids()
        assert len(there) >= n_before
        assert len(there) > 0
        n_before = len(there)
        np.testing.assert_array_equal(store.pooled(), _means(content, there))
        for id in there if frames else ():
            np.testing.assert_array_equal(store.read(id), as_stored(content[id], spec.dtype))
        small_disk.remount("size=300k")
    small_disk.remount("size=40m")
    go_on()
    assert_holds(stores.open(path), content)
    assert stores.verify(path) == []


@pytest.mark.parametrize("form", plain_files.FORMS)
def test_an_export_that_fills_the_disk_leaves_nothing(
    small_disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    """Others may write to the disk too, after it was found to be large enough."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    spec = make_spec()
    sizes = {"shard_frames": 2**15, "chunk_frames": 2**8, "shard_utterances": 200}
    fill(tmp_path / "store", {f"u{k}": 120 for k in range(200)}, "zarr", spec, **sizes)
    monkeypatch.setattr(plain_files.extraction, "free_bytes", lambda folder: 2**40)
    with (
        pytest.warns(UserWarning, match="labels are not"),
        pytest.raises(DiskSpaceError, match=r"the disk of .* is full: free some space"),
    ):
        plain_files.write(
            tmp_path / "store", form, small_disk.folder / "out", states="all", shard_bytes=10**6
        )
    assert list(small_disk.folder.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_read_only_disk(small_disk: Disk, kind: tuple[str, bool]) -> None:
    """What is there is read and verified; what must be written is refused in words."""
    format, frames = kind
    path, spec = small_disk.folder / "store", make_spec(frames=frames)
    small_disk.remount("size=4m")
    fill(path, BEGUN, format, spec, **SIZES)
    small_disk.remount("ro")
    assert_holds(stores.open(path), {id: contents(spec)[id] for id in BEGUN})
    assert stores.verify(path) == []
    with pytest.raises(
        SercacheError, match=r"store cannot be written: Read-only file system; choose another"
    ):
        write(path, format, spec)
    small_disk.remount("rw")
    write(path, format, spec)
    assert_holds(stores.open(path), contents(spec))

"""Reading warm bytes through a memory map and cold ones by system calls gives the same, also when a file changes."""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
from store_helpers import as_stored, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError, MissingFeaturesError
from sercache.stores import kept, mapped
from sercache.stores.mapped import KeptOpen
from sercache.stores.reader import StoreReader

LENGTHS = {"a": 3, "b": 9, "c": 1, "long": 40, "d": 5, "e": 5, "f": 5}


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


@pytest.mark.parametrize("warm", [True, False, None])
@pytest.mark.parametrize("format", stores.FORMATS)
def test_warm_and_cold_bytes_are_the_same(
    tmp_path: Path, format: str, warm: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None: a system without mincore."""
    content = fill(tmp_path, LENGTHS, format)
    if warm is None:
        monkeypatch.setattr(mapped, "_mincore", None)
    else:
        monkeypatch.setattr(KeptOpen, "_is_resident", lambda self, begin, end: warm)
    store = stores.open(tmp_path)
    for states in (None, ["1"], ["2", "projection"], ["1", "1"], ["projection", "1"], []):
        indices = [0, 1, 2] if states is None else [store.spec.states.index(state) for state in states]
        for id in [*LENGTHS, *LENGTHS]:
            np.testing.assert_array_equal(store.read(id, states), as_stored(content[id], "float16")[indices])


def test_a_file_is_asked_for_once_and_few_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fill(tmp_path, LENGTHS, "zarr")
    monkeypatch.setattr(kept, "_MOST_OPEN", 2)
    opened = []
    plain = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: opened.append(path) or plain(path, *rest))
    store = stores.open(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else None
    opened.clear()
    for id in ("a", "b", "a", "b"):
        store.read(id)
    assert len(opened) == 1
    for id in content:
        np.testing.assert_array_equal(store.read(id), as_stored(content[id], "float16"))
    if before is not None:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 4, (
            "a descriptor each and one of its map"
        )


@pytest.mark.parametrize("format", stores.FORMATS)
def test_a_file_that_is_cut_while_it_is_open_is_no_end_of_the_process(tmp_path: Path, format: str) -> None:
    fill(tmp_path, {"a": 3000}, format, shard_frames=4096, chunk_frames=4)
    store = stores.open(tmp_path)
    assert store.read("a").shape == (3, 3000, 5)
    (file,) = [*tmp_path.glob("frames/c.*"), *tmp_path.glob("shards/*")]
    os.truncate(file, 5000)
    with pytest.raises(DamagedStoreError, match=r"ends at byte|has 5000 bytes"):
        store.read("a")


@pytest.mark.skipif(not mapped._mincore, reason="this system has no mincore")
def test_the_kernel_is_asked_what_it_holds(tmp_path: Path) -> None:
    """What was just written is in the page cache; asked of a real file."""
    size = 3 * 2**20 + 5
    (tmp_path / "file").write_bytes(bytes(size))
    file = KeptOpen(str(tmp_path / "file"))
    assert file._is_resident(0, size)
    assert file._is_resident(size - 1, size)


@pytest.mark.skipif(mmap.PAGESIZE > 2**14, reason="a block is a page")
def test_pages_count_as_warm_though_their_neighbours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one state the neighbours may belong to states that nobody reads; of such pages the kernel is asked anew."""
    there, asked = {1, *range(3, 64)}, [0]

    def mincore(address: int, n_bytes: int, pages: ctypes.Array[ctypes.c_char]) -> int:
        asked[0] += 1
        first = (address - file._address) // mmap.PAGESIZE
        for k in range(len(pages)):
            pages[k] = bytes([first + k in there])
        return 0

    monkeypatch.setattr(mapped, "_mincore", mincore)
    data = np.random.default_rng(0).integers(0, 255, 64 * mmap.PAGESIZE, np.uint8)
    (tmp_path / "file").write_bytes(data.tobytes())
    file = KeptOpen(str(tmp_path / "file"))
    for page, is_warm in ((0, False), (1, True), (2, False), (60, True)):
        begin = page * mmap.PAGESIZE
        for _ in range(2):
            before = asked[0]
            assert bool(file._warm_until(begin, 0, 1, mmap.PAGESIZE)) == is_warm
        assert (asked[0] == before) == (page == 60), "the block of page 60 is there whole"
        out = np.empty((1, 1, mmap.PAGESIZE), np.uint8)
        file.read_states(out, begin, 0)
        np.testing.assert_array_equal(out[0, 0], data[begin : begin + mmap.PAGESIZE])


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize(("dim", "n_frames"), [(5, 900), (64, 4200)], ids=["odd", "large"])
def test_frames_lie_in_a_line_of_the_cache_as_in_their_file(
    tmp_path: Path, dtype: str, dim: int, n_frames: int
) -> None:
    """Elsewhere copying takes longer, and right behind the source's place in a page, up to ten times as long."""
    spec = make_spec(dtype=dtype, dim=dim)
    with stores.create(tmp_path, spec, "zarr") as writer:
        for k in range(3):
            frames = np.full((len(spec.states), n_frames + k, dim), k, np.float32)
            writer.append(
                f"u{k}",
                frames[:, 0],
                frames[:, 0],
                frames,
                n_frames=n_frames + k,
                n_samples=9,
                audio_digest="",
            )
    store, n_aligned = StoreReader(tmp_path), 0
    for k in range(3):
        for states in (None, ["1"]):
            for _ in range(2):  # from the disk, then from the map
                found = store.read(f"u{k}", states)
                assert (found == k).all()
            first = store._known[f"u{k}", None if states is None else tuple(states)].first
            needs = found.nbytes >= (2**12 if first % 16 else 2**20)
            if needs and dtype != "bfloat16":  # which is converted
                assert (found.ctypes.data - first) % 64 == 0
                n_aligned += 1
    assert n_aligned or dtype == "bfloat16"


_PEAK = """
import sys
from pathlib import Path
from sercache import stores

def peak():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))

store = stores.open(Path(sys.argv[1]))
before = peak()
assert store.pooled(states=["1"]).shape == (500, 1, 1024)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system tells no peak of memory")
def test_means_of_one_state_take_no_memory_for_the_others(tmp_path: Path) -> None:
    """2 MB of a table of 24 MB: neither a copy of all of it nor its pages stay with the process."""
    spec = make_spec(frames=False, dim=1024, states=tuple(str(k) for k in range(12)))
    row = np.ones((12, 1024), np.float32)
    with stores.create(tmp_path, spec) as writer:
        for k in range(500):
            writer.append(f"u{k}", row, row, None, n_frames=1, n_samples=9, audio_digest="")
    done = subprocess.run([sys.executable, "-c", _PEAK, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 12000, "kB"


@pytest.mark.parametrize("format", stores.FORMATS)
def test_the_kernel_is_told_of_the_bytes_that_will_be_read_and_no_others(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fill(tmp_path, LENGTHS, format)
    store = stores.open(tmp_path)
    told: list[bytes] = []

    def note(descriptor: int, begin: int, n_bytes: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        assert 0 < n_bytes <= 16
        told.append(os.pread(descriptor, n_bytes, begin))

    monkeypatch.setattr(os, "posix_fadvise", note)
    monkeypatch.setattr(mapped, "_ASKED_AT_ONCE", 16)
    for states, indices in ((None, [0, 1, 2]), (["2", "projection"], [2, 0])):
        for id in LENGTHS:
            told.clear()
            store.expect([id], states)
            # Of an utterance that goes over a file's end first what lies in one file, then what lies in the other.
            assert len(b"".join(told)) == as_stored(content[id], "float16")[indices].nbytes
            if id != "long":
                assert b"".join(told) == as_stored(content[id], "float16")[indices].tobytes()
    with pytest.raises(MissingFeaturesError):
        store.expect(["a", "strange"])


def test_a_reader_that_another_process_was_sent_reads_what_was_compared_through_the_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fill(tmp_path, LENGTHS, "zarr")
    monkeypatch.setattr(KeptOpen, "_is_resident", lambda self, begin, end: True)
    store = stores.open(tmp_path)
    fresh = [frames.flags.writeable for _, frames in pickle.loads(pickle.dumps(store)).read_each(["a", "d"])]
    assert fresh == [True, True]  # read, to be compared
    store.read_many(["a", "d"])
    sent = pickle.loads(pickle.dumps(store))
    for place, frames in sent.read_each(["a", "d"]):
        assert not frames.flags.writeable
        np.testing.assert_array_equal(frames, as_stored(content["ad"[place]], "float16"))
    for path in (tmp_path / "frames").glob("c*"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DamagedStoreError):
        list(pickle.loads(pickle.dumps(store)).read_each(["a", "d"]))

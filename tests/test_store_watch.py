"""What is read is what was committed: changed bytes are never trained on without a word."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from store_helpers import SIZES, as_stored, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError

LENGTHS = {"a": 3, "b": 9, "long": 40, "d": 5}
KINDS = [(format, frames) for format in stores.FORMATS for frames in (True, False)]


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


@pytest.fixture(params=KINDS, ids=str)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    format, frames = request.param
    fill(tmp_path / "store", LENGTHS, format, make_spec(frames=frames), **SIZES)
    return tmp_path / "store"


def data_files(path: Path) -> list[Path]:
    return sorted([*path.glob("frames/c.*"), *path.glob("pooled_*/c.*"), *path.glob("shards/*.h5")])


def flip(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 4
    file.write_bytes(data)


def everything(store: stores.FeatureStore) -> dict[str, bytes]:
    """All that the store gives, some states first and then all."""
    found = {
        f"{what} {k}": store.pooled(states=["2"], what=what).tobytes()
        for k, what in enumerate(("mean", "std"))
    }
    found |= {what: store.pooled(what=what).tobytes() for what in ("mean", "std")}
    if store.spec.frames:
        for id in store.ids():
            found[id] = store.read(id, ["1"]).tobytes() + store.read(id).tobytes()
    return found


@pytest.mark.parametrize("n_places", [15, pytest.param(60, marks=pytest.mark.slow)])
def test_no_changed_byte_is_given_out(path: Path, n_places: int) -> None:
    """A byte anywhere in a file of features: an error, or it is none of what is read. HDF5 leaves most bytes unused."""
    whole, n_found = everything(stores.open(path)), 0
    for file in data_files(path):
        size = file.stat().st_size
        for position in range(0, size, max(1, size // (n_places * (7 if file.suffix == ".h5" else 1)))):
            flip(file, position)
            try:
                assert everything(stores.open(path)) == whole, (file, position)
            except DamagedStoreError:
                n_found += 1
            flip(file, position)
    assert n_found > n_places // 4


def test_the_error_names_what_is_damaged(tmp_path: Path) -> None:
    content = fill(tmp_path / "my store", {"a": 3, "b": 9}, "zarr", **SIZES)
    path = tmp_path / "my store"
    flip(path / "frames/c.0.0.0", 0)
    store = stores.open(path)
    np.testing.assert_array_equal(store.read("a", ["2", "1"]), as_stored(content["a"], "float16")[[2, 1]])
    np.testing.assert_array_equal(store.read("b"), as_stored(content["b"], "float16"))
    with pytest.raises(DamagedStoreError) as fault:
        store.read_many(["b", "a"])
    expected = f"{path} is damaged: state projection of a is not what was written"
    assert str(fault.value) == f"{expected}; run sercache verify {shlex.quote(str(path))} --repair"
    flip(path / "pooled_std/c.0.0.0", 1)
    assert store.pooled(["b"], ["1"], "std").shape == (1, 1, 5)
    with pytest.raises(DamagedStoreError, match="the std of a is not what was written"):
        store.pooled(["a"], ["2"], "std")


def test_what_was_read_before_is_compared_again_once_its_file_changed(path: Path) -> None:
    store = stores.open(path)
    everything(store)
    file = data_files(path)[-1]
    data = file.read_bytes()
    for position in range(0, len(data), max(1, len(data) // 150)):
        flip(file, position)
        os.utime(file, ns=(0, position))
        try:
            store.pooled(what="std")
        except DamagedStoreError:
            break
        file.write_bytes(data)
    else:
        pytest.fail("no byte of a file of deviations was missed")


def test_nothing_is_compared_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sercache.stores import watch

    counted, plain = [0], watch.crc32c
    monkeypatch.setattr(watch, "crc32c", lambda data: counted.__setitem__(0, counted[0] + 1) or plain(data))
    store = stores.open(path)
    everything(store)
    n_first = counted[0]
    n_parts = 2 * len(LENGTHS) + (len(LENGTHS) * 3 if store.spec.frames else 0)
    assert n_first == n_parts
    everything(store)
    assert counted[0] == n_first


@pytest.mark.parametrize("head", ["linear", "superb"], ids=["means", "frames"])
def test_nothing_is_trained_on_damaged_bytes(
    cached: Path, sercache: Callable, recordings: Path, head: str
) -> None:
    [(folder, _)] = stores.find(cached.parent / "cache")
    call = [
        "train", "--head", head, "--encoder", "logmel", "--dataset", "manifest", "--root", recordings,
        "--frames" if head == "superb" else "--pooled", "--protocol", "leave-one-speaker-out", "--seeds", 1,
        "--set", "max-epochs=1",
    ]  # fmt: skip
    assert sercache(*call).code == 0
    file = next(folder.glob("frames/c.*" if head == "superb" else "pooled_mean/c.*"))
    flip(file, 1)
    done = sercache(*call)
    assert done.code == 2
    last = done.err.strip().splitlines()[-1]
    assert re.match(
        rf"error: {re.escape(str(folder))} is damaged: (state|the mean) .* is not what was written", last
    )
    repair = shlex.split(last.rpartition("; run ")[2])
    assert repair[0] == "sercache"
    done = sercache(*repair[1:])
    assert done.code == 0, done.err
    assert sercache(*call).code == 0

"""Reading warm bytes through a memory map and cold ones by system calls gives the same, also when a file changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from store_helpers import as_stored, fill, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError
from sercache.stores import mapped
from sercache.stores.mapped import KeptOpen

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
        monkeypatch.setattr(KeptOpen, "_is_resident", lambda self, block: warm)
    store = stores.open(tmp_path)
    for states in (None, ["1"], ["2", "projection"], ["1", "1"], ["projection", "1"], []):
        indices = [0, 1, 2] if states is None else [store.spec.states.index(state) for state in states]
        for id in [*LENGTHS, *LENGTHS]:
            np.testing.assert_array_equal(store.read(id, states), as_stored(content[id], "float16")[indices])


def test_a_file_is_asked_for_once_and_few_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fill(tmp_path, LENGTHS, "zarr")
    monkeypatch.setattr(mapped, "_MOST_OPEN", 2)
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
    (tmp_path / "file").write_bytes(bytes(3 * 2**20 + 5))
    file = KeptOpen(str(tmp_path / "file"))
    assert [file._is_resident(block) for block in range(4)] == [True] * 4

"""Many small commits fill a shard instead of taking one each, and stores of layout 1 are continued."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from store_helpers import SIZES, append, as_stored, assert_holds, features, fill, make_spec, without_sync

from sercache import stores
from sercache.stores import commits

WRITTEN = Path(__file__).parent / "fixtures/a1b0434/cache/manifest"
SPEC = make_spec()


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


@pytest.mark.parametrize("sessions", [True, False])
def test_small_commits_fill_a_shard(tmp_path: Path, sessions: bool) -> None:
    """Of one writer that seals each utterance, and of a writer for each: holes are padding alone."""
    content = {f"u{k}": features(f"u{k}", 1 + k % 4, SPEC) for k in range(40)}
    writer = stores.create(tmp_path, SPEC, **SIZES)
    reader = stores.open(tmp_path)
    for k, (id, frames) in enumerate(content.items()):
        append(writer, id, frames)
        writer.seal()
        reader.refresh()
        for seen in list(content)[: k + 1]:
            np.testing.assert_array_equal(reader.read(seen), as_stored(content[seen], "float16"))
        if sessions:
            writer.close()
            writer = stores.create(tmp_path, SPEC)
    writer.close()
    assert_holds(reader, content, order=content)
    group = zarr.open_group(tmp_path)
    assert group["frames"].shape[1] <= 40 * 4, "a chunk of 4 frames each"
    assert group["pooled_mean"].shape[0] == 40
    assert list(group["utterance"][:]) == list(content)
    assert len(list(tmp_path.glob("frames/c.*"))) == 10


def test_writers_side_by_side_have_a_shard_each(tmp_path: Path) -> None:
    content = {f"u{k}": features(f"u{k}", 4, SPEC) for k in range(12)}
    writers = [stores.create(tmp_path, SPEC, **SIZES) for _ in range(3)]
    for k, (id, frames) in enumerate(content.items()):
        append(writers[k % 3], id, frames)
        writers[k % 3].seal()
    for writer in writers:
        writer.close()
    assert_holds(stores.open(tmp_path), content)
    assert len(list(tmp_path.glob("frames/c.*"))) == 3


def test_a_shard_with_dropped_utterances_is_not_continued(tmp_path: Path) -> None:
    content = fill(tmp_path, {"a": 3}, "zarr")
    (file,) = tmp_path.glob("frames/c.*")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1  # the index of the shard
    file.write_bytes(data)
    damage = stores.verify(tmp_path)
    assert [(fault.path, fault.id) for fault in damage] == [(file, "")]
    assert stores.drop(tmp_path, damage) == ["a"]
    with stores.create(tmp_path, SPEC) as writer:
        append(writer, "a", content["a"])
    assert_holds(stores.open(tmp_path), content)
    assert len(list(tmp_path.glob("frames/c.*"))) == 2


@pytest.mark.parametrize("format", stores.FORMATS)
def test_what_a_dead_writer_put_behind_the_records_is_written_over(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard is in place, its record is not: nobody sees the rest, and the next commit takes its room."""
    content = fill(tmp_path, {"a": 3}, format)
    reader = stores.open(tmp_path)
    writer = stores.create(tmp_path, SPEC, format)
    append(writer, "b", features("b", 5, SPEC))
    with monkeypatch.context() as patch:
        patch.setattr(commits, "publish", lambda *rest: (_ for _ in ()).throw(RuntimeError("dies here")))
        with pytest.raises(RuntimeError, match="dies"):
            writer.seal()
    writer.abandon()
    assert_holds(stores.open(tmp_path), content)
    content |= {"c": features("c", 6, SPEC)}
    fill(tmp_path, {"c": 6}, format)
    reader.refresh()
    assert_holds(reader, content)


@pytest.mark.parametrize("name", sorted(path.name for path in WRITTEN.iterdir()))
def test_a_store_of_layout_1_is_continued(tmp_path: Path, name: str) -> None:
    path = shutil.copytree(WRITTEN / name, tmp_path / name)
    before = stores.open(path)
    spec, ids = before.spec, before.ids()
    old = {id: before.read(id) for id in ids} if spec.frames else {}
    means = before.pooled()
    new = {f"new{k}": features(f"new{k}", 5, spec) for k in range(3)}
    for id, frames in new.items():
        with stores.create(path, spec, "hdf5" if name.endswith("hdf5") else "zarr") as writer:
            append(writer, id, frames)
    store = stores.open(path)
    assert store.ids() == [*ids, *new]
    assert stores.verify(path) == []
    for id, frames in old.items():
        np.testing.assert_array_equal(store.read(id), frames)
    np.testing.assert_array_equal(store.pooled(ids), means)
    np.testing.assert_array_equal(store.pooled(list(new)), [x.mean(axis=1) for x in new.values()])
    assert json.loads((path / "ledger/spec.json").read_bytes())["record"]["layout"] == 2
    if name.endswith("hdf5"):
        with h5py.File(sorted(path.glob("shards/*.h5"))[-1]) as file:
            assert file["utterance"].asstr()[:].tolist() == ["new2"]
        return
    group = zarr.open_group(path, mode="r")
    slots = {id: slot for slot, id in enumerate(group["utterance"][:]) if id}
    assert list(slots) == [*ids, *new]
    for id, frames in (old | new).items() if spec.frames else ():
        start, count = group["frame_start"][slots[id]], group["n_frames"][slots[id]]
        got = group["frames"][:, start : start + count]
        np.testing.assert_array_equal(got, frames.astype(got.dtype))


def test_both_formats_have_the_same_names(tmp_path: Path) -> None:
    for format in stores.FORMATS:
        fill(tmp_path / format, {"a": 3, "b": 9}, format)
    names = {name for name, _ in zarr.open_group(tmp_path / "zarr").arrays()}
    with h5py.File(next((tmp_path / "hdf5").glob("shards/*.h5"))) as file:
        assert set(file) == names
        assert file["frames"].chunks == (1, 4, 5)
        assert file["frames"].shape == (3, 12, 5)

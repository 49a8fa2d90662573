"""Stores made of stores: every byte as extracting would have written it, whole or absent, and nobody hurt."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_helpers import SIZES, append, assert_holds, features, fill, make_spec, without_sync

from sercache import files, stores
from sercache.errors import DamagedStoreError, NumericRangeError, StoreError
from sercache.stores import copying, parcel, roster
from sercache.stores.spec import DType

LENGTHS = {"a": 3, "long": 40, "b": 9, "c": 1}
DTYPES = ("float16", "float32", "bfloat16", "int8")
SCRIPT = Path(__file__).with_name("kill_store.py")


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


def marks(path: Path) -> dict[str, tuple[str, str]]:
    """Checksums of frames and means by id."""
    return {entry.id: (frames, pooled) for entry, frames, pooled in stores.open(path).marks()}  # type: ignore[attr-defined]


@settings(max_examples=6, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    dtype=st.sampled_from(DTYPES),
    formats=st.tuples(st.sampled_from(stores.FORMATS), st.sampled_from(stores.FORMATS)),
)
def test_of_float32_a_copy_is_what_extracting_writes(
    lengths: list[int], dtype: DType, formats: tuple[str, str]
) -> None:
    named = {f"u{k}": n for k, n in enumerate(lengths)}
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        content = fill(top / "wide", named, formats[0], make_spec(dtype="float32"))
        spec = make_spec(dtype="float32").of_dtype(dtype)
        assert spec == make_spec(dtype=dtype)
        done = stores.copy(top / "made", spec, formats[1], [top / "wide"])
        assert (done.n_new, done.n_held) == (len(named), 0)
        assert_holds(stores.open(top / "made"), content, order=named)
        fill(top / "extracted", named, formats[1], spec)
        assert marks(top / "made") == marks(top / "extracted")
        again = stores.copy(top / "made", spec, formats[1], [top / "wide"])
        assert (again.n_new, again.n_held) == (0, len(named))


@settings(max_examples=40, deadline=None)
@given(chain=st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_equal_specs_are_equal_values(chain: list[DType], seed: int) -> None:
    """However often frames change their type, what they went through decides what they are."""
    known: dict[str, np.ndarray] = {}
    values = features(f"u{seed}", 3, make_spec())[0]
    for way in (chain, [dtype for k, dtype in enumerate(chain) if dtype != "float32" or k == len(chain) - 1]):
        spec, frames = make_spec(dtype="float32"), values
        for dtype in way:
            if spec.dtype == "int8":  # from which nothing is made
                break
            spec = spec.of_dtype(dtype)
            stored = stores.encode_frames(frames, dtype, "u", "1")
            frames = stores.decode_frames(stored, dtype).astype(np.float32)
            np.testing.assert_array_equal(known.setdefault(spec.digest, frames), frames)


def test_what_was_rounded_before_is_another_store() -> None:
    plain = make_spec(dtype="float32")
    half = plain.of_dtype("float16")
    assert (half.through, half.of_dtype("float32").through) == ("", "float16")
    assert half.of_dtype("float32").values == "float32 of float16"
    assert half.of_dtype("float32").of_dtype("float16") == half
    assert half.of_dtype("int8") == half.of_dtype("float32").of_dtype("int8") != plain.of_dtype("int8")
    assert (
        len({plain.digest, half.digest, half.of_dtype("float32").digest, half.of_dtype("int8").digest}) == 4
    )
    assert not plain.is_held_by(half.of_dtype("float32"))
    assert stores.FeatureSpec.from_json(half.of_dtype("int8").to_json()) == half.of_dtype("int8")


@pytest.mark.parametrize("format", stores.FORMATS)
def test_fewer_states_or_means_alone(tmp_path: Path, format: str) -> None:
    content = fill(tmp_path / "all", LENGTHS, format)
    fewer, means = make_spec(states=("projection", "2")), make_spec(frames=False)
    stores.copy(tmp_path / "fewer", fewer, format, [tmp_path / "all"])
    assert_holds(stores.open(tmp_path / "fewer"), {id: frames[[0, 2]] for id, frames in content.items()})
    stores.copy(tmp_path / "means", means, format, [tmp_path / "all"])
    assert_holds(stores.open(tmp_path / "means"), content)


def test_a_value_that_does_not_fit_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    spec = make_spec(dtype="float32")
    loud = features("loud", 4, spec)
    loud[2, 3, 1] = 4e4
    with stores.create(tmp_path / "wide", spec, **SIZES) as writer:
        append(writer, "a", features("a", 3, spec))
        append(writer, "loud", loud)
    with pytest.raises(NumericRangeError, match=r"^loud: state 2 reaches 40000.*choose --dtype bfloat16"):
        stores.copy(tmp_path / "half", spec.of_dtype("float16"), "zarr", [tmp_path / "wide"])
    assert [path.name for path in tmp_path.iterdir()] == ["wide"]


def test_a_damaged_source_is_named_and_mended_the_copy_goes_on(tmp_path: Path) -> None:
    fill(tmp_path / "old", LENGTHS, "zarr")
    shard = next((tmp_path / "old/frames").glob("c.*"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:3] + b"x" + whole[4:])
    with pytest.raises(DamagedStoreError, match="old is damaged: state projection of "):
        stores.copy(tmp_path / "new", make_spec(), "hdf5", [tmp_path / "old"])
    assert not (tmp_path / "new").exists()
    shard.write_bytes(whole)
    stores.copy(tmp_path / "new", make_spec(), "hdf5", [tmp_path / "old"])
    assert marks(tmp_path / "new") == marks(tmp_path / "old")


def test_what_grows_is_no_store_yet_and_of_its_sources_alone(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("one", "two"):
        fill(tmp_path / name, {name: 3}, "zarr")
    target = stores.store_path(cache, make_spec())

    def cut_off(folder: Path) -> None:
        assert stores.find(cache) == []
        assert stores.open(folder).ids() == ["one"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stores.copy(target, make_spec(), "zarr", [tmp_path / "one"], finish=cut_off)
    assert (target.parent / f".{target.name}.partial").is_dir()
    assert not target.exists()
    done = stores.copy(target, make_spec(), "zarr", [tmp_path / "two"])
    assert (done.n_new, stores.open(target).ids()) == (1, ["two"])
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not (target / "ledger/sources.json").exists()
    assert stores.verify(target) == []


def test_other_features_under_an_id_are_no_copy(tmp_path: Path) -> None:
    fill(tmp_path / "one", {"a": 3, "b": 2}, "zarr")
    with stores.create(tmp_path / "two", make_spec(), "hdf5") as writer:
        append(writer, "a", features("a", 3, make_spec()) + 1)
    found = stores.conflicts([tmp_path / "one", tmp_path / "two"])
    assert found == {(tmp_path / "one", tmp_path / "two"): ["a"]}
    with pytest.raises(StoreError, match=r"1 of 2 entries of .*one are not those that .*two holds"):
        stores.copy(tmp_path / "two", make_spec(), "hdf5", [tmp_path / "one"])
    assert stores.open(tmp_path / "one").ids() == ["a", "b"]


# --- who else is there ---


def test_a_store_that_somebody_reads_is_not_removed(tmp_path: Path) -> None:
    fill(tmp_path / "store", LENGTHS, "zarr")
    code = f"from sercache import stores; s = stores.open({str(tmp_path / 'store')!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == "1\n"
        with pytest.raises(StoreError, match=r"is not removed: .*process.* has it open"):
            stores.remove(tmp_path / "store")
        reader.stdin.write("\n")
    stores.remove(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_is_gone_or_pickled_holds_on_as_it_lives(tmp_path: Path) -> None:
    import pickle

    fill(tmp_path / "store", LENGTHS, "zarr")
    store = stores.open(tmp_path / "store")
    other = pickle.loads(pickle.dumps(store))
    del store
    with pytest.raises(StoreError, match="this one"):
        stores.remove(tmp_path / "store")
    del other
    stores.remove(tmp_path / "store")


def test_what_is_being_removed_is_not_opened(tmp_path: Path, sercache: Callable) -> None:
    fill(tmp_path / "store", LENGTHS, "zarr")
    held = os.open(tmp_path / "store/ledger", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="is being removed by another process; `sercache info`"):
        stores.open(tmp_path / "store")
    os.close(held)
    assert sercache("info").code == 0


def test_disks_without_locks_are_read_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "store", LENGTHS, "zarr")

    def none(descriptor: int, how: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("fcntl.flock", none)
    store = stores.open(tmp_path / "store")
    assert store.ids() == list(LENGTHS)
    monkeypatch.undo()
    stores.remove(tmp_path / "store")


def test_while_somebody_writes_nothing_is_copied_or_removed(tmp_path: Path) -> None:
    fill(tmp_path / "store", LENGTHS, "zarr")
    with stores.create(tmp_path / "store", make_spec()) as writer:
        with pytest.raises(StoreError, match=f"is being written to by process {os.getpid()} on "):
            stores.copy(tmp_path / "copy", make_spec(), "hdf5", [tmp_path / "store"])
        with pytest.raises(StoreError, match="is being written to"):
            stores.remove(tmp_path / "store")
        append(writer, "late", features("late", 2, make_spec()))
    done = stores.copy(tmp_path / "copy", make_spec(), "hdf5", [tmp_path / "store"])
    fill(tmp_path / "store", {"later": 2}, "zarr", make_spec(), shard_utterances=0)
    with pytest.raises(StoreError, match="was written to meanwhile and is not removed"):
        stores.remove(tmp_path / "store", done.seen[tmp_path / "store"])


@pytest.mark.parametrize("has_locks", [True, False])
def test_of_a_writer_on_another_host_it_is_said_what_to_remove_if_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
) -> None:
    store = tmp_path / "a store"
    fill(store, LENGTHS, "zarr")
    writers = store / "ledger" / "writers"
    owner = writers / "killed.json"

    def kill() -> None:
        writers.mkdir(exist_ok=True)
        owner.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
        owner.with_suffix(".lock").touch()

    def none(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    if not has_locks:
        monkeypatch.setattr("fcntl.flock", none)
    kill()
    with pytest.raises(StoreError, match="by process 1 on elsewhere; wait for its end") as refused:
        stores.remove(store)
    with pytest.raises(StoreError, match="by process 1 on elsewhere; wait for its end"):
        parcel.names(store)
    [command] = re.findall("`(.+?)`", str(refused.value))
    subprocess.run(command, shell=True, check=True)
    parcel.names(store)
    kill()
    os.utime(owner, (0, 0))  # a day ago and more
    assert roster.at_work(store / "ledger") == []
    stores.remove(store)


def test_two_do_not_fill_one(tmp_path: Path) -> None:
    fill(tmp_path / "store", LENGTHS, "zarr")
    place = copying.partial_of(tmp_path / "copy")
    place.mkdir()
    held = os.open(place, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match=r"copy is being filled: .*has it open"):
        stores.copy(tmp_path / "copy", make_spec(), "hdf5", [tmp_path / "store"])
    os.close(held)
    stores.copy(tmp_path / "copy", make_spec(), "hdf5", [tmp_path / "store"])


def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "store", LENGTHS, "zarr")
    fill(tmp_path / "other", LENGTHS, "zarr")
    with monkeypatch.context() as patch:
        patch.setattr("sercache.stores.copying.shutil.rmtree", lambda *a, **k: None)
        stores.remove(tmp_path / "store")
    assert len(files.taken_away(tmp_path)) == 1
    stores.copy(tmp_path / "new", make_spec(), "zarr", [tmp_path / "other"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "other"]


@pytest.mark.slow
@pytest.mark.parametrize("format", stores.FORMATS)
def test_killed_at_each_step_it_is_gone_on_with(tmp_path: Path, format: str) -> None:
    """Copying in another type, checking, taking its place and removing the old store, each step in turn."""
    done = subprocess.run(
        [sys.executable, SCRIPT, json.dumps(["copy_at_each_step", str(tmp_path), format])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] > 40

"""Damage is found, laid at the right door, and can be repaired; leftovers of the dead are cleared up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_helpers import SIZES, append, assert_holds, features, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError, StoreError
from sercache.stores import commits

LENGTHS = {"a": 3, "b": 9, "c": 1, "long": 40, "d": 5, "e": 5, "f": 5}


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


@pytest.fixture(params=stores.FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def path(tmp_path: Path, format: str) -> Path:
    return stores.store_path(tmp_path, make_spec(), format)


def data_files(path: Path) -> list[Path]:
    """Files that hold features."""
    return sorted([*path.glob("frames/c.*"), *path.glob("pooled_*/c.*"), *path.glob("shards/*.h5")])


def flip(file: Path, position: int, bits: int = 1) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= bits
    file.write_bytes(data)


_MOST = 10**7
"""Values of a data set, more than any example has."""


def stock_view(path: Path) -> dict[str, bytes] | None:
    """Bytes of each utterance as zarr-python or h5py see them; None where they cannot read the store."""
    seen: dict[str, bytes] = {}
    try:
        if (path / "shards").is_dir():
            for file in sorted(path.glob("shards/*.h5")):
                with h5py.File(file, "r") as part:
                    if any(part[name].size > _MOST for name in part):
                        return None  # a flipped bit of a shape: reading it would fill memory
                    for row, id in enumerate(part["utterance"].asstr()[:]):
                        start, count = part["frame_start"][row], part["n_frames"][row]
                        frames = part["frames"][:, start : start + count]
                        seen[id] = b"".join(
                            x.tobytes() for x in (frames, part["pooled_mean"][row], part["pooled_std"][row])
                        )
            return seen
        group = zarr.open_group(path, mode="r")
        arrays = {name: group[name][...] for name in ("frames", "pooled_mean", "pooled_std")}
        starts, counts = group["frame_start"][:], group["n_frames"][:]
        for slot, id in enumerate(group["utterance"][:]):
            if id:
                frames = arrays["frames"][:, starts[slot] : starts[slot] + counts[slot]]
                rows = (arrays["pooled_mean"][slot], arrays["pooled_std"][slot])
                seen[id] = b"".join(x.tobytes() for x in (frames, *rows))
    except (ValueError, OSError, LookupError, RuntimeError, TypeError, AttributeError):
        return None  # AttributeError: a flipped bit may turn a data set into something else
    return seen


@pytest.fixture(scope="module", params=stores.FORMATS)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole store that tests damage and mend."""
    path = tmp_path_factory.mktemp("whole") / f"store-{request.param}"
    fill(path, LENGTHS, request.param)
    return path


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_laid_at_the_right_door(example: Path, data: st.DataObject) -> None:
    """Every bit is covered: the utterance is named whose bytes changed for a stock reader, or the file."""
    file = data.draw(st.sampled_from(data_files(example)))
    position = data.draw(st.integers(0, file.stat().st_size - 1))
    before = stock_view(example)
    assert before is not None
    flip(file, position)
    try:
        damage, after = stores.verify(example), stock_view(example)
    finally:
        flip(file, position)
    assert len(damage) == 1, "a single bit lies in one utterance's part, or in none"
    assert damage[0].path == file or damage[0].id == "long"
    if damage[0].id:
        assert after is not None
        assert {id for id in before if after[id] != before[id]} == {damage[0].id}
    elif file.suffix != ".h5" and after is not None:
        assert after == before, "padding and index of a Zarr shard are nobody's bytes"


@pytest.mark.parametrize("how", ["missing", "cut", "longer"])
def test_damaged_files_are_found_and_repaired(path: Path, format: str, how: str) -> None:
    content = fill(path, LENGTHS, format)
    file = data_files(path)[0]
    if how == "missing":
        file.unlink()
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-60])
    else:
        file.write_bytes(file.read_bytes() + b"\0")
    damage = stores.verify(path)
    assert stores.open(path).verify() == damage
    assert any(fault.id == "" and fault.path == file for fault in damage)
    if how == "missing":
        with pytest.raises(DamagedStoreError, match=r"missing; run sercache verify \S+ --repair"):
            stores.open(path).read("a")
    dropped = stores.drop(path, damage)
    assert dropped == ["a", "b", "c"]
    mend(path, format, content)


def mend(path: Path, format: str, content: dict[str, np.ndarray]) -> None:
    """Append what is missing, as extracting again does, and check that all is well."""
    there = stores.open(path)
    assert there.verify() == []
    with stores.create(path, make_spec(), format) as writer:
        for id, frames in content.items():
            if id not in there.ids():
                append(writer, id, frames)
    assert_holds(stores.open(path), content)
    assert stores.verify(path) == []


def test_a_cut_file_is_never_read_as_if_whole(path: Path, format: str) -> None:
    fill(path, {"a": 8}, format)
    for file in data_files(path):
        file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DamagedStoreError, match="has 40 bytes, expected"):
        stores.open(path).read("a")
    with pytest.raises(DamagedStoreError, match="has 40 bytes, expected"):
        stores.open(path).pooled(["a", "a"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_a_record_is_noticed(example: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from([*example.glob("ledger/commits/*.json"), example / "ledger/spec.json"]))
    position = data.draw(st.integers(0, file.stat().st_size - 1))
    bits = data.draw(st.integers(1, 255))
    flip(file, position, bits)
    try:
        with pytest.raises(DamagedStoreError, match=file.name):
            stores.open(example)
    finally:
        flip(file, position, bits)


def test_a_damaged_record_is_set_aside(path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fill(path, LENGTHS, format)
    record = sorted(path.glob("ledger/commits/*.json"))[-1]
    kept = [id for id in LENGTHS if id not in commits.load(record).ids]
    record.write_bytes(b"")
    with pytest.raises(DamagedStoreError, match=r"verify \S+ --repair"):
        stores.create(path, make_spec(), format)
    damage = stores.verify(path)
    assert [(fault.id, fault.path) for fault in damage] == [("", record)]
    monkeypatch.chdir(path.parent)  # the same store by another name
    stores.drop(Path(path.name), damage)
    assert (path / "ledger/damaged" / record.name).exists()
    left = stores.open(path).ids()
    assert left == kept
    mend(path, format, content)
    assert not record.exists(), "a number is never used twice"


def test_dropped_utterances_are_gone_with_all_their_copies(path: Path, format: str) -> None:
    content = {id: features(id, 4, make_spec()) for id in "abc"}
    writers = [stores.create(path, make_spec(), format) for _ in range(2)]
    for writer in writers:
        append(writer, "a", content["a"])
        append(writer, "b", content["b"])
    for writer in writers:
        writer.close()
    reader = stores.open(path)
    assert stores.drop(path, [stores.Damage("a", path, "a test")]) == ["a"]
    assert reader.ids() == ["a", "b"]
    assert reader.refresh()
    assert reader.ids() == ["b"]
    assert stores.drop(path, [stores.Damage("nobody", path, "a test")]) == []
    mend(path, format, content)
    assert stores.open(path).ids() == ["b", "a", "c"]


def test_records_cannot_point_outside_of_the_store(path: Path, format: str) -> None:
    from sercache.stores import checked_json

    fill(path, {"a": 3}, format)
    (record,) = path.glob("ledger/commits/*.json")
    for name in ("/etc/passwd", "../../x"):
        value = json.loads(record.read_bytes())["record"]
        value["tables"]["mean"]["file"] = name
        record.write_bytes(checked_json.dump(value))
        with pytest.raises(DamagedStoreError, match="outside"):
            stores.open(path)


# --- making, finding, continuing ---


def test_a_folder_is_one_store(path: Path, format: str) -> None:
    fill(path, {"a": 3}, format)
    with pytest.raises(StoreError, match=r"another spec \(differs in release, dtype\)"):
        stores.create(path, make_spec(release="2", dtype="float32"), format)
    other = {"zarr": "hdf5", "hdf5": "zarr"}[format]
    with pytest.raises(StoreError, match=f"is a {format} store"):
        stores.create(path, make_spec(), other)
    with pytest.raises(StoreError, match="leave the sizes out"):
        stores.create(path, make_spec(), format, shard_frames=32, chunk_frames=4)
    with pytest.raises(StoreError, match="multiple of chunk_frames"):
        stores.create(path, make_spec(), format, shard_frames=5, chunk_frames=4)
    stores.create(path, make_spec(), format, **SIZES).close()
    stores.create(path, make_spec(), format).close()


def test_what_is_no_store_is_left_alone(tmp_path: Path, format: str) -> None:
    for name in ("file", "folder/file"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    for name in ("file", "folder"):
        assert not stores.exists(tmp_path / name)
        with pytest.raises(StoreError):
            stores.create(tmp_path / name, make_spec(), format)
        with pytest.raises(StoreError, match="is not a feature store"):
            stores.open(tmp_path / name)
        with pytest.raises(StoreError, match="is not a feature store"):
            stores.verify(tmp_path / name)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["file"]


def test_a_cache_folder_that_is_a_file_is_refused(tmp_path: Path, format: str) -> None:
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(StoreError, match=r"cannot be written.*choose another --cache"):
        stores.create(stores.store_path(tmp_path / "cache", make_spec(), format), make_spec(), format)


def test_empty_folders_may_get_lost_in_a_copy(path: Path, format: str) -> None:
    stores.create(path, make_spec(), format, **SIZES).close()
    for name in ("commits", "claims", "writers"):
        (path / "ledger" / name).rmdir()
    assert stores.open(path).ids() == []
    assert stores.verify(path) == []
    content = fill(path, {"a": 3}, format)
    assert_holds(stores.open(path), content)


def test_a_writer_whose_store_was_removed_says_so(path: Path, format: str) -> None:
    writer = stores.create(path, make_spec(), format)
    append(writer, "a", features("a", 3, make_spec()))
    shutil.rmtree(path)
    with pytest.raises(StoreError, match="the store was removed"):
        writer.close()


def test_stores_are_found_among_foreign_folders(tmp_path: Path) -> None:
    specs = [make_spec(), make_spec(corpus="other", encoder="/odd/../name")]
    made = []
    for spec in specs:
        for format in stores.FORMATS:
            path = stores.store_path(tmp_path, spec, format)
            assert path.parent.parent == tmp_path
            stores.create(path, spec, format).close()
            made.append((path, spec))
    broken = tmp_path / "tiny/broken/ledger/spec.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}")
    (tmp_path / "tiny/notes.txt").write_text("mine")
    (tmp_path / "runs/1/2").mkdir(parents=True)
    assert stores.find(tmp_path) == sorted(made, key=lambda each: each[0])
    assert stores.find(tmp_path / "nowhere") == []
    assert [stores.read_spec(path) for path, _ in made] == [spec for _, spec in made]


def test_a_store_may_be_moved(path: Path, format: str) -> None:
    content = fill(path, LENGTHS, format)
    moved = path.with_name("moved")
    shutil.move(path, moved)
    with stores.create(moved, make_spec(), format) as writer:
        content["z"] = features("z", 4, make_spec())
        append(writer, "z", content["z"])
    assert_holds(stores.open(moved), content)


# --- what the dead leave ---

DYING = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from store_helpers import SIZES, append, features, make_spec
from sercache import stores
from sercache.stores import commits
writer = stores.create(Path({path!r}), make_spec(), {format!r}, **SIZES)
append(writer, "lost", features("lost", 4, make_spec()))
writer._registration.temporary().write_bytes(b"half a shard")
if {live!r}:
    print("ready", flush=True)
    sys.stdin.read()
commits.publish = lambda *arguments: os._exit(9)  # dies between the shards and their record
append(writer, "orphan", features("orphan", 40, make_spec()))
"""


def start_writer(path: Path, format: str, live: bool) -> subprocess.Popen[bytes]:
    code = DYING.format(tests=str(Path(__file__).parent), path=str(path), format=format, live=live)
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_leftovers_of_the_dead_are_cleared_and_the_living_left(path: Path, format: str) -> None:
    content = fill(path, {"a": 3}, format)
    whole = data_files(path)
    with start_writer(path, format, live=True) as living:
        assert living.stdout is not None
        living.stdout.readline()
        with start_writer(path, format, live=False) as dead:
            pass
        assert dead.returncode == 9
        orphans = set(data_files(path)) - set(whole)
        assert orphans, "the dead writer left shards without a record"
        assert len(list(path.glob("ledger/writers/*.tmp"))) == 2
        assert_holds(stores.open(path), content)

        stores.create(path, make_spec(), format).abandon()
        assert data_files(path) == whole
        assert len(list(path.glob("ledger/writers/*.tmp"))) == 1, "the living writer's temporary stays"

    with stores.create(path, make_spec(), format) as writer:
        content["orphan"] = features("orphan", 40, make_spec())
        append(writer, "orphan", content["orphan"])
    assert list(path.glob("ledger/writers/*")) == []
    assert_holds(stores.open(path), content)
    if format == "hdf5":
        assert not orphans & set(data_files(path)), "numbers of the dead are not used again"


def test_a_writer_on_another_host_is_dead_after_a_day(path: Path, format: str) -> None:
    fill(path, {"a": 3}, format)
    owner = path / "ledger/writers/elsewhere.json"
    owner.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": 0}))
    owner.with_suffix(".lock").touch()
    owner.with_suffix(".1.tmp").touch()
    stores.create(path, make_spec(), format).close()
    assert owner.with_suffix(".1.tmp").exists()
    yesterday = time.time() - 25 * 3600
    os.utime(owner, (yesterday, yesterday))
    stores.create(path, make_spec(), format).close()
    assert list(owner.parent.iterdir()) == []

"""A store's costs grow with what is new: checkpoints, index chunks, and any order of doing things."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from store_helpers import SIZES, append, assert_holds, features, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import StoreError
from sercache.stores import checkpoints, commits, durable, hdf5, ledger, zarr_metadata
from sercache.stores.columns import Checksums, Texts, hash_ids
from sercache.stores.runs import HashRun, merge

SPEC = make_spec()


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


@contextmanager
def small_checkpoints(n_rows: int = 4) -> Iterator[None]:
    """Checkpoints of few utterances and index chunks of few rows, so that small stores have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "_ROWS", n_rows)
        patch.setattr(zarr_metadata, "_INDEX_ROWS", 4)
        patch.setattr(hdf5, "_TABLE_COMMITS", 4)
        yield


def names(n: int, start: int = 0) -> dict[str, int]:
    return {f"u{k}": 1 + k % 5 for k in range(start, start + n)}


# --- any order of doing things ---

STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 12), st.integers(1, 40)),
    st.tuples(st.sampled_from(["seal", "close", "abandon", "rival"]), st.integers(0, 12), st.integers(1, 9)),
    st.tuples(st.just("drop"), st.integers(0, 12), st.just(0)),
)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    format=st.sampled_from(stores.FORMATS),
    frames=st.booleans(),
    n_rows=st.sampled_from([2, 8192]),
)
def test_a_store_is_a_dict(steps: list[tuple[str, int, int]], format: str, frames: bool, n_rows: int) -> None:
    """Appending, sealing, closing, reopening and dropping in any order, against a dict of what was committed."""
    spec = make_spec(frames=frames)
    with tempfile.TemporaryDirectory() as folder, small_checkpoints(n_rows):
        path = Path(folder) / "store"
        held: dict[str, np.ndarray] = {}
        waiting: dict[str, np.ndarray] = {}
        writer = stores.create(path, spec, format, **SIZES)
        reader = stores.open(path)
        for what, k, n_frames in steps:
            id = f"u{k}"
            content = features(id, n_frames, spec)
            if what == "append":
                if id in held or id in waiting:
                    with pytest.raises(StoreError, match="already"):
                        append(writer, id, content)
                else:
                    append(writer, id, content)
                    waiting[id] = content
            elif what == "rival":
                with stores.create(path, spec, format) as rival:
                    if id not in held and id not in waiting:
                        append(rival, id, content)
                        held[id] = content
            elif what == "drop":
                stores.drop(path, [stores.Damage(id, path, "a test")])
                held.pop(id, None)
            else:
                getattr(writer, what)()
            reader.refresh()
            # What was sealed, by the test or by a full shard, is what is visible; nothing else may come or go.
            sealed = {id: frames for id, frames in waiting.items() if id in reader.ids()}
            if what in ("seal", "close"):
                assert sealed.keys() == waiting.keys()
            held |= sealed
            waiting = {} if what == "abandon" else {i: x for i, x in waiting.items() if i not in sealed}
            assert sorted(reader.ids()) == sorted(held)
            if what in ("close", "abandon"):
                writer = stores.create(path, spec, format)
        writer.close()
        held |= waiting
        assert_holds(stores.open(path), held)
        assert stores.verify(path) == []
        reader.refresh()
        assert_holds(reader, held)
        if format == "zarr":
            assert_stock_shows(path, held)


def test_a_record_without_utterances_is_no_damage_in_a_checkpoint(tmp_path: Path) -> None:
    """A checkpoint of a commit that only drops and of one with utterances says the same as the records."""
    path = tmp_path / "store"
    with small_checkpoints(2):
        with stores.create(path, make_spec(frames=False), **SIZES) as writer:
            stores.drop(path, [stores.Damage("u0", path, "a test")])
            for id, n_frames in names(3).items():
                append(writer, id, features(id, n_frames, writer.spec))
        assert checkpoints.paths(path / "ledger")
        assert stores.verify(path) == []


def test_a_commit_that_only_drops_asks_for_no_table(tmp_path: Path) -> None:
    """Whether tables are brought up to date or compared with the records, the same ones are there."""
    path = tmp_path / "store"
    with small_checkpoints():
        with stores.create(path, SPEC, "hdf5", **SIZES) as writer:
            for k in range(4):
                append(writer, f"u{k}", features(f"u{k}", 1, SPEC))
                writer.seal()
            stores.drop(path, [stores.Damage("u0", path, "a test")])
        assert stores.verify(path) == []


def assert_stock_shows(path: Path, content: dict[str, np.ndarray]) -> None:
    """What zarr-python reads is exactly this, and no more."""
    group = zarr.open_group(path, mode="r")
    ids = group["utterance"][:]
    assert sorted(id for id in ids if id) == sorted(content)
    for slot, id in enumerate(ids):
        if not id:
            assert group["n_frames"][slot] == 0
            continue
        start, count = group["frame_start"][slot], group["n_frames"][slot]
        assert (count, group["n_samples"][slot]) == (content[id].shape[1], 320 * count)
        np.testing.assert_array_equal(group["pooled_mean"][slot], content[id].mean(axis=1))
        if "frames" in group:
            got = group["frames"][:, start : start + count]
            np.testing.assert_array_equal(got, content[id].astype("float16"))


# --- what is paid for what is new ---


@contextmanager
def counted(module: ModuleType, name: str) -> Iterator[list[int]]:
    """Size in bytes of the file of each call of a function, whose first argument is its path."""
    plain, sizes = getattr(module, name), list[int]()

    def call(path: Path, *rest: object) -> object:
        value = plain(path, *rest)
        sizes.append(path.stat().st_size)
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, call)
        yield sizes


@pytest.mark.parametrize("format", stores.FORMATS)
def test_one_more_costs_the_same_however_much_is_there(tmp_path: Path, format: str) -> None:
    """Open, append one, close: records parsed and bytes written do not grow with the store."""
    costs = {}
    with small_checkpoints():
        for n in (40, 160):
            spec = make_spec(frames=False, corpus=f"c{n}")
            path = tmp_path / f"{format}{n}"
            fill(path, names(n), format, spec, **SIZES)
            loads, written = counted(commits, "load"), counted(durable, "write_file")
            with loads as n_loads, written as n_bytes:
                fill(path, {"more": 3}, format, spec)
            costs[n] = (len(n_loads), len(n_bytes), sum(n_bytes))
            assert len(stores.open(path).ids()) == n + 1
    few, many = costs[40], costs[160]
    assert many[0] <= few[0] + 2
    assert many[1] <= few[1]
    assert many[2] <= few[2] + 200  # numbers get longer


def test_sealing_neither_lists_nor_maps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, names(60), "zarr", make_spec(frames=False), **SIZES)
    # Opening lists them; after so long a pause as this share means, nothing is listed again in this test.
    monkeypatch.setattr(ledger, "_LISTING_SHARE", 1e9)
    with stores.create(tmp_path, make_spec(frames=False)) as writer:
        append(writer, "one more", features("one more", 3, SPEC))
        monkeypatch.setattr(commits, "numbers", lambda folder: pytest.fail("the records were listed"))
        monkeypatch.setattr(ledger.Ledger, "ids", lambda self: pytest.fail("all ids were gone through"))
        for k in range(20):
            append(writer, f"more{k}", features(f"more{k}", 3, SPEC))
            writer.seal()
        monkeypatch.undo()
    assert len(stores.open(tmp_path).ids()) == 81


# --- checkpoints ---


@pytest.fixture
def with_checkpoint(tmp_path: Path) -> Iterator[tuple[Path, dict[str, np.ndarray]]]:
    with small_checkpoints():
        content = fill(tmp_path, names(12), "zarr")
        content |= fill(tmp_path, names(1, start=12), "zarr")
        assert checkpoints.paths(tmp_path / "ledger")
        yield tmp_path, content


@pytest.mark.parametrize("format", stores.FORMATS)
def test_verify_reads_means_by_the_commit_and_frames_by_the_utterance(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not row by row, and no file is opened again for each of them."""
    calls = {"open": 0, "read_into": 0}

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def do(*arguments: object) -> object:
            calls[name] += 1
            return call(*arguments)

        return do

    for n in (40, 80):
        fill(tmp_path / str(n), names(n), format, make_spec(frames=False), shard_utterances=n)
    monkeypatch.setattr(durable.os, "open", counted("open", durable.os.open))
    monkeypatch.setattr(durable.Opened, "read_into", counted("read_into", durable.Opened.read_into))
    costs = []
    for n in (40, 80):
        calls.update(open=0, read_into=0)
        assert stores.verify(tmp_path / str(n)) == []
        costs.append(dict(calls))
    assert costs[0] == costs[1]


def test_a_checkpoint_spares_reading_records(
    with_checkpoint: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = with_checkpoint
    loads = []
    load = commits.load
    monkeypatch.setattr(commits, "load", lambda p: loads.append(p) or load(p))
    assert stores.open(path).ids() == list(content)
    assert len(loads) == 1, "the commit that came after it"


@pytest.mark.parametrize("how", ["flipped", "empty", "cut", "gone"])
def test_a_checkpoint_is_never_believed_without_its_checksum(
    with_checkpoint: tuple[Path, dict], how: str
) -> None:
    path, content = with_checkpoint
    (file,) = checkpoints.paths(path / "ledger")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes({"flipped": data, "empty": b"", "cut": data[:100]}[how])
    assert stores.open(path).ids() == list(content)
    damage = stores.verify(path)
    assert [fault.path for fault in damage] == ([] if how == "gone" else [file])
    assert stores.drop(path, damage) == [], "nothing of the features was damaged"
    assert_holds(stores.open(path), content, order=content)


def test_a_checkpoint_counts_only_while_its_records_are_there(with_checkpoint: tuple[Path, dict]) -> None:
    path, content = with_checkpoint
    record = sorted(path.glob("ledger/commits/*.json"))[1]
    lost = set(commits.load(record).ids)
    record.unlink()
    left = {id: frames for id, frames in content.items() if id not in lost}
    assert stores.open(path).ids() == list(left), "visible is what a commit record lists"
    damage = stores.verify(path)
    assert any("commit record 1 that it stands for is missing" in fault.reason for fault in damage)
    assert record in {fault.path for fault in damage}
    stores.drop(path, damage)
    assert_holds(stores.open(path), left)


def test_a_damaged_record_is_found_behind_its_checkpoint(with_checkpoint: tuple[Path, dict]) -> None:
    path, content = with_checkpoint
    record = sorted(path.glob("ledger/commits/*.json"))[0]
    lost = set(commits.load(record).ids)
    record.write_bytes(record.read_bytes().replace(b"digest of u0", b"digest of u9"))
    damage = stores.verify(path)
    assert record in {fault.path for fault in damage}
    stores.drop(path, damage)
    with small_checkpoints(), stores.create(path, SPEC) as writer:
        for id in lost:
            append(writer, id, content[id])
    assert_holds(stores.open(path), content)
    assert_stock_shows(path, content)


def test_checkpoints_are_few(tmp_path: Path) -> None:
    with small_checkpoints():
        for k in range(20):
            fill(tmp_path, names(6, start=6 * k), "hdf5")
    assert len(checkpoints.paths(tmp_path / "ledger")) <= 4
    assert len(stores.open(tmp_path).ids()) == 120


# --- packed columns ---


@given(texts=st.lists(st.text(max_size=5)), more=st.lists(st.text(max_size=5)))
def test_packed_texts_are_the_texts(texts: list[str], more: list[str]) -> None:
    packed = Texts.of(texts)
    assert list(packed) == texts
    assert [packed[k] for k in range(-len(texts), len(texts))] == texts * 2
    assert list(packed[1:3]) == texts[1:3]
    joined = Texts.join([packed[1:], Texts.of(more), packed[:1]])
    assert list(joined) == texts[1:] + more + texts[:1]
    with pytest.raises(IndexError):
        packed[len(texts)]


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3)))
def test_packed_checksums_are_the_checksums(rows: list[list[int]]) -> None:
    texts = ["".join(f"{value:08x}" for value in row) for row in rows]
    assert list(Checksums.of(texts, 3)) == texts


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=6))
def test_runs_find_what_was_put_in(commits_: list[list[str]]) -> None:
    runs = [HashRun.of(hash_ids(ids), number) for number, ids in enumerate(commits_)] or [
        HashRun.of(hash_ids([]), 0)
    ]
    merged = merge(runs)
    everything = {id for ids in commits_ for id in ids}
    assert merged.holds(hash_ids("abcdefghx")).tolist() == [id in everything for id in "abcdefghx"]
    places = zip(merged.numbers.tolist(), merged.rows.tolist(), strict=True)
    assert [commits_[number][row] for number, row in places] == [
        id for _, id in sorted((int(hash_ids([id])[0]), id) for ids in commits_ for id in ids)
    ]

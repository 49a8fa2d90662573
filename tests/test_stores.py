"""The store contract, over every format."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_helpers import (
    DIM,
    SIZES,
    STATES,
    append,
    as_stored,
    assert_holds,
    features,
    fill,
    make_spec,
    without_sync,
)

from sercache import stores
from sercache.errors import (
    DiskSpaceError,
    MissingFeaturesError,
    NumericRangeError,
    StoreError,
    UnknownNameError,
)
from sercache.stores import commits, ledger, roster

LENGTHS = {"a": 3, "b": 9, "c": 1, "long": 40, "d": 5, "e": 5, "f": 5, "whole": 16, "g": 2}
"""Frames of each utterance: commits of one and of several, one longer than two shards, one as long as one."""


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


# --- what goes in comes out ---


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "int8"])
@pytest.mark.parametrize("frames", [True, False])
def test_round_trip(path: Path, format: str, dtype: str, frames: bool) -> None:
    spec = make_spec(dtype=dtype, frames=frames)
    content = fill(path, LENGTHS, format, spec)
    store = stores.open(path)
    assert store.spec == spec
    assert_holds(store, content, order=LENGTHS)
    if not frames:
        with pytest.raises(MissingFeaturesError, match="pooled-only"):
            store.read("a")


@settings(max_examples=8, deadline=None)
@given(
    sessions=st.lists(st.lists(st.integers(1, 70), max_size=6), min_size=1, max_size=3),
    chunk=st.integers(1, 5),
    chunks_per_shard=st.integers(1, 6),
    utterances=st.integers(1, 5),
    dtype=st.sampled_from(["float16", "float32", "bfloat16", "int8"]),
    format=st.sampled_from(stores.FORMATS),
)
def test_any_lengths_and_sizes(
    sessions: list[list[int]], chunk: int, chunks_per_shard: int, utterances: int, dtype: str, format: str
) -> None:
    sizes = {"shard_frames": chunk * chunks_per_shard, "chunk_frames": chunk, "shard_utterances": utterances}
    with tempfile.TemporaryDirectory() as folder:
        content: dict[str, np.ndarray] = {}
        for k, lengths in enumerate(sessions):
            named = {f"{k}-{j}": n_frames for j, n_frames in enumerate(lengths)}
            content |= fill(Path(folder), named, format, make_spec(dtype=dtype), **sizes)
        store = stores.open(Path(folder))
        assert_holds(store, content, order=content)
        for id in content:
            np.testing.assert_array_equal(store.read(id, ["2", "1"]), store.read(id)[[2, 1]])


def test_default_sizes_aim_at_128_mib(path: Path, format: str) -> None:
    spec = make_spec(states=tuple(str(k) for k in range(24)), dim=1024)
    with stores.create(path, spec, format):
        pass
    sizes = stores._layout.load(path).sizes
    assert sizes.chunk_frames == 256
    assert 112 * 2**20 < sizes.shard_frames * 24 * 1024 * 2 <= 128 * 2**20


@pytest.mark.parametrize("given", ["float32", "stored"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "int8"])
def test_frames_may_come_in_the_stored_dtype(path: Path, format: str, dtype: str, given: str) -> None:
    spec = make_spec(dtype=dtype)
    frames = features("a", 7, spec)
    encoded = np.stack([stores.encode_frames(frames[k], spec.dtype, "a", s) for k, s in enumerate(STATES)])
    with stores.create(path, spec, format) as writer:
        writer.append(
            "a",
            frames.mean(axis=1),
            frames.std(axis=1),
            frames if given == "float32" else encoded,
            n_frames=7,
            n_samples=2240,
            audio_digest="",
        )
    np.testing.assert_array_equal(stores.open(path).read("a"), as_stored(frames, dtype))


def test_what_is_appended_is_copied(path: Path, format: str) -> None:
    frames = features("a", 7, make_spec(dtype="float32"))
    kept = frames.copy()
    with stores.create(path, make_spec(dtype="float32"), format) as writer:
        mean, std = frames.mean(axis=1), frames.std(axis=1)
        writer.append("a", mean, std, frames, n_frames=7, n_samples=2240, audio_digest="")
        frames[:], mean[:], std[:] = 0, 0, 0
    store = stores.open(path)
    np.testing.assert_array_equal(store.read("a"), kept)
    np.testing.assert_array_equal(store.pooled()[0], kept.mean(axis=1))
    np.testing.assert_array_equal(store.pooled(what="std")[0], kept.std(axis=1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "int8"])
def test_what_a_writer_owns_is_written_as_what_it_copies(path: Path, format: str, dtype: str) -> None:
    """As a batch of the device holds them: frames that lie in one piece for a state, or for a stride of one."""
    spec = make_spec(dtype=dtype)
    frames = features("a", 7, spec)
    encoded = np.stack([stores.encode_frames(frames[k], spec.dtype, "a", s) for k, s in enumerate(STATES)])
    batch = np.concatenate([encoded, encoded], axis=1)
    rows = frames.mean(axis=1), frames.std(axis=1)
    with stores.create(path, spec, format) as writer:
        for id, given in (("a", batch[:, :7]), ("b", np.repeat(encoded, 2, axis=1)[:, ::2]), ("c", frames)):
            writer.append(id, *rows, given, n_frames=7, n_samples=2240, audio_digest="", owned=True)
        pending = writer._pending  # type: ignore[attr-defined]
        assert np.shares_memory(pending["a"].frames, batch)
        assert np.shares_memory(pending["a"].mean, rows[0])
        bad = np.full_like(rows[0], np.nan)
        with pytest.raises(NumericRangeError):
            writer.append("d", bad, bad, batch[:, :7], n_frames=7, n_samples=1, audio_digest="", owned=True)
    store = stores.open(path)
    for id in "abc":
        np.testing.assert_array_equal(store.read(id), as_stored(frames, dtype))
    assert sorted(store.ids()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "id", ["../../etc/x", "Ünïcode 中 #1", 'quote" \\ line\nend', "lone \udc80", " ", "#"]
)
def test_any_text_is_an_id(path: Path, format: str, id: str) -> None:
    frames = np.ones((len(STATES), 2, DIM), np.float32)
    with stores.create(path, make_spec(), format, **SIZES) as writer:
        append(writer, id, frames)
    assert stores.open(path).ids() == [id]
    np.testing.assert_array_equal(stores.open(path).read(id), frames)


# --- reading parts ---


def test_states_and_ids_are_chosen_in_any_order(path: Path, format: str) -> None:
    content = fill(path, LENGTHS, format)
    store = stores.open(path)
    ids = ["g", "long", "a", "a", "f", "e"]
    for chosen in (["2"], ["1", "2"], ["2", "projection"], ["1", "1"], list(STATES), []):
        indices = [STATES.index(state) for state in chosen]
        means = store.pooled(ids, chosen)
        assert means.dtype == np.float32
        expected = np.stack([content[id].mean(axis=1)[indices] for id in ids])
        np.testing.assert_array_equal(means, expected)
        for id, got in zip(ids, store.read_many(ids, chosen), strict=True):
            np.testing.assert_array_equal(got, as_stored(content[id], "float16")[indices])
        places = []
        for place, got in store.read_each(ids, chosen):
            np.testing.assert_array_equal(got, as_stored(content[ids[place]], "float16")[indices])
            places.append(place)
        assert sorted(places) == list(range(len(ids)))
    assert store.pooled([]).shape == (0, 3, DIM)


def test_unknown_names_are_refused(path: Path, format: str) -> None:
    fill(path, LENGTHS, format)
    store = stores.open(path)
    with pytest.raises(MissingFeaturesError, match=r"1 of 2 .*first: nobody; `sercache info "):
        store.pooled(["a", "nobody"])
    with pytest.raises(MissingFeaturesError, match=r"is a state of .*pooled\(states="):
        store.pooled(store.spec.states)
    with pytest.raises(MissingFeaturesError, match="nobody"):
        store.read("nobody")
    with pytest.raises(UnknownNameError, match="unknown state '3'"):
        store.read("a", ["3"])
    with pytest.raises(UnknownNameError, match="variance"):
        store.pooled(what="variance")


def test_a_reader_can_be_pickled_and_shared_by_threads(path: Path, format: str) -> None:
    content = fill(path, LENGTHS, format)
    store = pickle.loads(pickle.dumps(stores.open(path)))
    with ThreadPoolExecutor(8) as pool:
        for id, got in zip(list(LENGTHS) * 20, pool.map(store.read, list(LENGTHS) * 20), strict=True):
            np.testing.assert_array_equal(got, as_stored(content[id], "float16"))


# --- what is visible, and when ---


def test_nothing_is_visible_before_it_is_sealed(path: Path, format: str) -> None:
    writer = stores.create(path, make_spec(), format, **SIZES)
    store = stores.open(path)
    append(writer, "a", features("a", 4, make_spec()))
    assert not store.refresh()
    assert store.ids() == []
    writer.seal()
    writer.seal()
    assert store.refresh()
    assert store.ids() == ["a"]
    append(writer, "b", features("b", 4, make_spec()))
    writer.abandon()
    assert not store.refresh()
    assert stores.open(path).ids() == ["a"]
    with pytest.raises(StoreError, match="closed"):
        append(writer, "c", features("c", 4, make_spec()))


@pytest.mark.parametrize(
    ("lengths", "sealed"),
    [
        ([1, 1, 1], 3),  # as many utterances as a commit takes
        ([8, 8], 2),  # a full shard
        ([8, 9], 1),  # the second does not fit beside the first
        ([8, 17], 2),  # longer than a shard: sealed at once
        ([8, 7], 0),
    ],
)
def test_seals_by_itself(path: Path, format: str, lengths: list[int], sealed: int) -> None:
    writer = stores.create(path, make_spec(), format, **SIZES)
    for k, n_frames in enumerate(lengths):
        append(writer, str(k), features(str(k), n_frames, make_spec()))
    assert len(stores.open(path).ids()) == sealed
    writer.abandon()


def test_an_exception_leaves_what_was_sealed(path: Path, format: str) -> None:
    def work() -> None:
        with stores.create(path, make_spec(), format, **SIZES) as writer:
            append(writer, "a", features("a", 16, make_spec()))
            append(writer, "b", features("b", 4, make_spec()))
            append(writer, "b", features("b", 4, make_spec()))

    with pytest.raises(StoreError, match="already"):
        work()
    assert stores.open(path).ids() == ["a"]
    assert list((path / "ledger/writers").iterdir()) == []


# --- guards ---


@pytest.mark.parametrize(
    ("dtype", "value", "fault"),
    [
        ("float16", 32752.0, "reaches 32752.*--dtype bfloat16 or --dtype float32"),
        ("float16", -1e5, "reaches -100000"),
        ("float16", np.inf, "holds inf"),
        ("float32", np.nan, "holds nan"),
        ("float32", -np.inf, "holds -inf"),
        ("bfloat16", np.nan, "holds nan"),
        ("bfloat16", 3.4e38, "does not fit bfloat16"),
    ],
)
def test_values_that_would_be_lost_are_refused(
    path: Path, format: str, dtype: str, value: float, fault: str
) -> None:
    spec = make_spec(dtype=dtype)
    writer = stores.create(path, spec, format, **SIZES)
    bad, good = features("bad", 6, spec), features("good", 6, spec)
    bad[1, 4, 2] = value
    with pytest.raises(NumericRangeError, match=f"^bad: state 1 .*{fault}"):
        writer.append(
            "bad", good.mean(axis=1), good.std(axis=1), bad, n_frames=6, n_samples=1, audio_digest=""
        )
    append(writer, "good", good)
    writer.close()
    assert_holds(stores.open(path), {"good": good})


@pytest.mark.parametrize("what", ["mean", "standard deviation"])
def test_statistics_must_be_finite(path: Path, format: str, what: str) -> None:
    rows = {"mean": np.zeros((3, DIM)), "standard deviation": np.ones((3, DIM))}
    rows[what][2, 0] = 1e300  # finite in float64, infinite in float32
    with (
        stores.create(path, make_spec(frames=False), format) as writer,
        pytest.raises(NumericRangeError, match=f"^a: the {what} of state 2"),
    ):
        writer.append("a", *rows.values(), None, n_frames=1, n_samples=1, audio_digest="")


def test_shapes_and_dtypes_are_checked(path: Path, format: str) -> None:
    spec = make_spec()
    good = features("a", 4, spec)
    row = good.mean(axis=1)

    def refused(fault: str, mean=row, std=row, frames=good, n_frames=4, id="a") -> None:
        with pytest.raises(StoreError, match=fault):
            writer.append(id, mean, std, frames, n_frames=n_frames, n_samples=1, audio_digest="")

    with stores.create(path, spec, format) as writer:
        refused("0 frames, expected at least 1", n_frames=0, frames=good[:, :0])
        refused(r"frames has shape \(3, 4, 5\), expected \(3, 5, 5\)", n_frames=5)
        refused("mean has shape", mean=row[:2])
        refused("standard deviation has shape", std=row.T)
        refused("keeps frames", frames=None)
        refused("float64, expected float32 or float16", frames=good.astype(float))
        refused("empty", id="")
    with (
        stores.create(path.with_name("pooled"), make_spec(frames=False), format) as writer,
        pytest.raises(StoreError, match="does not keep frames"),
    ):
        writer.append("a", row, row, good, n_frames=4, n_samples=1, audio_digest="")


def test_an_id_is_taken_once(path: Path, format: str) -> None:
    frames = features("a", 4, make_spec())
    one, two = (stores.create(path, make_spec(), format, **SIZES) for _ in range(2))
    append(one, "a", frames)
    with pytest.raises(StoreError, match="'a' is in the store already"):
        append(one, "a", frames)
    one.close()
    with pytest.raises(StoreError, match="already"):
        append(two, "a", frames)
    two.close()
    with stores.create(path, make_spec(), format) as writer, pytest.raises(StoreError, match="already"):
        append(writer, "a", frames)


def test_a_rivals_commit_is_seen_though_listings_are_spared(
    path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appending lists the records only where the folder's time stamp is new."""
    monkeypatch.setattr(ledger, "_SETTLED_SECONDS", 0.05)
    one, two = (stores.create(path, make_spec(), format, **SIZES) for _ in range(2))
    listed = 0
    plain = commits.numbers

    def counted(folder: Path) -> list[int]:
        nonlocal listed
        listed += folder.name == "commits"
        return plain(folder)

    append(one, "a", features("a", 16, make_spec()))
    for _ in range(3):
        time.sleep(0.06)
        with pytest.raises(StoreError, match="already"):
            append(one, "a", features("a", 1, make_spec()))
    monkeypatch.setattr(commits, "numbers", counted)
    for id in "bc":
        append(one, id, features(id, 1, make_spec()))
    assert listed == 0
    append(two, "d", features("d", 16, make_spec()))
    with pytest.raises(StoreError, match="'d' is in the store already"):
        append(one, "d", features("d", 1, make_spec()))
    one.close()
    two.close()


# --- several writers ---


def test_an_id_that_two_writers_held_shows_once(path: Path, format: str) -> None:
    one, two = (stores.create(path, make_spec(), format, **SIZES) for _ in range(2))
    first, second = features("first", 4, make_spec()), features("second", 4, make_spec())
    append(one, "a", first)
    append(two, "a", second)
    append(two, "b", second)
    one.close()
    two.close()
    assert_holds(stores.open(path), {"a": first, "b": second}, order=["a", "b"])


def test_many_writers_share_a_store(path: Path, format: str) -> None:
    spec = make_spec()
    content = {
        f"{w}-{k}": features(f"{w}-{k}", 1 + (7 * k + w) % 40, spec) for w in range(6) for k in range(12)
    }

    def work(w: int) -> None:
        with stores.create(path, spec, format, **SIZES) as writer:
            for id, frames in content.items():
                if id.startswith(f"{w}-"):
                    append(writer, id, frames)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert_holds(stores.open(path), content)
    assert list((path / "ledger/claims").iterdir()) == []
    assert list((path / "ledger/writers").iterdir()) == []


# --- a full disk, and the order of what is made durable ---


def listing(path: Path) -> set[str]:
    found = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    return {name for name in found if "writers" not in name and "claims" not in name}


@pytest.mark.parametrize("step", range(8))
def test_a_full_disk_leaves_nothing_behind(
    path: Path, format: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync says that the disk is full, at each step of a commit in turn."""
    content = fill(path, {"a": 4}, format)
    writer = stores.create(path, make_spec(), format)
    content["b"] = features("b", 40, make_spec())
    before, n_calls = listing(path), 0

    def full(descriptor: int) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > step:
            raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("sercache.stores.durable.os.fsync", full)
        refused = None
        try:
            append(writer, "b", content["b"])
        except DiskSpaceError as fault:
            refused = str(fault)
    assert refused is None or re.search(r"is full.*run the same command", refused)
    assert refused is not None or n_calls <= step
    visible = stores.open(path).ids()
    if visible == ["a"]:
        assert listing(path) == before
        assert list((path / "ledger/writers").glob("*.tmp")) == []
        assert_holds(stores.open(path), {"a": content["a"]})
    writer.close()
    assert_holds(stores.open(path), content, order=["a", "b"])


@pytest.mark.parametrize("step", range(8))
def test_an_interrupt_at_any_step_keeps_what_was_finished(
    path: Path, format: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of a commit: sealing again afterwards, as extraction does, gives all, once."""
    content = {id: features(id, 20, make_spec()) for id in "ab"}
    writer = stores.create(path, make_spec(), format)
    for id, frames in content.items():
        append(writer, id, frames)
    steps = iter(range(step))

    def interrupted(descriptor: int) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sercache.stores.durable.os.fsync", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            writer.seal()
    assert stores.open(path).ids() in ([], ["a", "b"])
    writer.seal()
    assert_holds(stores.open(path), content, order="ab")
    writer.close()
    assert len(list((path / "ledger/commits").iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full, /dev/full")
def test_a_truly_full_device(path: Path, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fill(path, {"a": 4}, format)
    writer = stores.create(path, make_spec(), format, **SIZES)
    before = listing(path)
    temporary = roster.Registration.temporary

    def on_full_device(self: roster.Registration) -> Path:
        link = temporary(self)
        link.symlink_to("/dev/full")
        return link

    with monkeypatch.context() as patch:
        patch.setattr(roster.Registration, "temporary", on_full_device)
        with pytest.raises(DiskSpaceError, match="is full"):
            append(writer, "b", features("b", 16, make_spec()))
        with pytest.raises(DiskSpaceError, match="is full"):
            writer.close()
    assert listing(path) == before
    assert list((path / "ledger/writers").iterdir()) == []
    assert_holds(stores.open(path), content)


def test_shards_are_durable_before_their_record(
    path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is synced before it is renamed, every folder after, and the record comes last."""
    writer = stores.create(path, make_spec(), format, **SIZES)
    append(writer, "a", features("a", 40, make_spec()))
    writer.abandon()
    writer = stores.create(path, make_spec(), format, **SIZES)
    events: list[tuple[str, Path]] = []
    rename = Path.replace

    def sync(descriptor: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))

    def replace(self: Path, target: Path) -> Path:
        events.append(("rename", self))
        events.append(("to", target))
        return rename(self, target)

    monkeypatch.setattr("sercache.stores.durable.os.fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    append(writer, "b", features("b", 12, make_spec()))
    writer.seal()
    monkeypatch.undo()
    writer.close()

    renamed = [(at, where) for at, (what, where) in enumerate(events) if what == "rename"]
    assert len(renamed) == {"zarr": 4, "hdf5": 2}[format]
    record_at, _ = renamed[-1]
    assert events[record_at + 1][1].parent == path / "ledger/commits"
    assert events[-1] == ("sync", path / "ledger/commits")
    for at, temporary in renamed:
        assert events.index(("sync", temporary)) < at
        folder = events[at + 1][1].parent
        synced_at = events.index(("sync", folder), at)
        assert at == record_at or synced_at < record_at - 1  # before the record's own file is written

"""Stores that lie in an object store, or on a web server: read by ranges, whole or refused in one line."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from conftest import Outcome
from static_files import StaticServer, static_server
from store_helpers import make_spec

from sercache import objects, settings, stores
from sercache.errors import DamagedStoreError, SettingsError, StoreError
from sercache.objects import bucket
from sercache.objects.web import WebServer
from sercache.stores import kept, remote

pytest.importorskip("obstore")
Sercache = Callable[..., Outcome]


@pytest.fixture
def served(cached: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StaticServer]:
    """A server of the cache of the recordings."""
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(bucket, "_opened", {})
    with static_server(cached.parent / "cache") as server:
        yield server


def address(served: StaticServer, cached: Path) -> str:
    (store,) = (cached.parent / "cache").glob("*/*/ledger")
    return f"{served.address}/{store.parent.relative_to(cached.parent / 'cache')}"


def local(cached: Path) -> Path:
    (store,) = (cached.parent / "cache").glob("*/*/ledger")
    return store.parent


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://bucket/a/b", ("s3", "bucket", "a/b")),
        ("s3:/bucket/a/", ("s3", "bucket", "a")),  # as a Path has it
        ("gs://bucket", ("gs", "bucket", "")),
        ("http://host:80/a b/ü", ("http", "host:80", "a b/ü")),
    ],
)
def test_an_address_is_a_folder_that_says_it(
    own_settings: Path, address: str, place: tuple[str, str, str]
) -> None:
    folder = settings.expanded(address)
    assert objects.place_of(folder) == objects.ObjectAddress(*place)
    assert objects.shown(f"in {folder}: x") == f"in {objects.place_of(folder)}: x"
    assert objects.place_of(own_settings / "cache") is None


@pytest.mark.parametrize("address", ["ftp://host/x", "s3://", "s3://bucket/../x", "hf://a/b"])
def test_an_address_that_means_nothing_is_refused(own_settings: Path, address: str) -> None:
    with pytest.raises(SettingsError, match=r"no place for feature stores|names no place"):
        settings.expanded(address)


def test_features_are_those_of_the_folder(cached: Path, served: StaticServer) -> None:
    here, there = stores.open(local(cached)), stores.open(address(served, cached))
    assert there.ids() == here.ids()
    ids = here.ids()[::-1]
    for what in ("mean", "std"):
        np.testing.assert_array_equal(there.pooled(ids, what=what), here.pooled(ids, what=what))
    for mine, theirs in zip(here.read_many(ids), there.read_many(ids), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(here.read(ids[3]), there.read(ids[3]))
    n_before = len(served.asked)
    there.read_many(ids)
    assert len(served.asked) - n_before <= 2, "neighbours are asked for together"
    assert list(stores.read_corpus(there.path)) == list(stores.read_corpus(here.path))
    held = [path for path in there.path.rglob("*") if path.is_file()]
    assert not any("frames" in path.parts for path in held), "features stay where they are"


def test_commands_read_a_store_of_a_server(cached: Path, served: StaticServer, sercache: Sercache) -> None:
    there = address(served, cached)
    assert "24 entries" in sercache("verify", there).out
    told = sercache("info", there)
    assert (told.code, there in told.out) == (0, True), told
    asked = ("--head", "linear", "--dataset", "manifest", "--protocol", "leave-one-speaker-out")
    asked += ("--task", "label", "--set", "max-epochs=2", "--seeds", "1")
    results = []
    for store, name in ((there, "far"), (local(cached), "near")):
        done = sercache("train", *asked, "--store", store, "--name", name)
        assert done.code == 0, done.err
        results.append((cached / name / "predictions.csv").read_bytes())
    assert results[0] == results[1]


def test_ranges_of_a_server_come_by_few_connections(cached: Path, served: StaticServer) -> None:
    shard, known = local(cached) / "frames" / "c.0.0.0", WebServer(served.address)
    data, key = shard.read_bytes(), str(shard.relative_to(cached.parent / "cache"))
    for start, length in ((0, 10), (7, 1000), (3, len(data) - 3)):
        found = known.get_range(key, start, length)
        assert found is not None
        assert bytes(found) == data[start : start + length]
    assert len(served.opened) == 1
    known._idle[0].sock.shutdown(socket.SHUT_RDWR)  # as a server does that waited for long
    assert bytes(known.get_range(key, 0, 10) or b"") == data[:10]
    assert len(served.opened) == 2


def test_what_does_not_come_plainly_is_asked_another_way(
    cached: Path, served: StaticServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard, known = local(cached) / "frames" / "c.0.0.0", WebServer(served.address)
    key, size = str(shard.relative_to(cached.parent / "cache")), shard.stat().st_size
    for fault in ("503", "cut", "refused"):
        served.faults = [fault]
        assert known.get_range(key, 0, 100) is None, fault
        assert not served.faults
    assert known.get_range(key, size - 5, 10) is None, "it ends before that"
    assert known.get_range("none", 0, 10) is None
    assert known.get_range(key, 0, 10) is not None
    assert WebServer("http://127.0.0.1:1").get_range(key, 0, 10) is None
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert WebServer("http://lab.example").get_range(key, 0, 10) is None


@pytest.mark.parametrize("fault", ["503", "cut", "refused", "slow"])
def test_what_fails_for_a_moment_is_tried_again(cached: Path, served: StaticServer, fault: str) -> None:
    here = stores.open(local(cached))
    served.faults = [fault]
    there = stores.open(address(served, cached))
    served.faults = [fault, fault]
    np.testing.assert_array_equal(there.pooled(), here.pooled())
    served.faults = [fault]
    np.testing.assert_array_equal(there.read(here.ids()[0]), here.read(here.ids()[0]))
    assert not served.faults


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
@pytest.mark.parametrize("fault", ["", "503", "cut"])
def test_states_fetched_ahead_are_read_where_they_came_to_lie(
    dtype: str, fault: str, own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(dim=8, dtype=dtype)
    chance = np.random.default_rng(0)
    with stores.create(tmp_path / "store", spec) as writer:
        for k in range(9):
            frames = chance.standard_normal((len(spec.states), 5 + k, 8)).astype(np.float32)
            about = {"n_frames": 5 + k, "n_samples": 320 * (5 + k), "audio_digest": f"{k:064x}"}
            writer.append(f"u{k}", frames.mean(1), frames.std(1), frames, **about)
    monkeypatch.setattr(remote, "_GAP", 0)  # states of so few frames would be asked for at once
    monkeypatch.setattr(kept, "_AHEAD", 1000)
    monkeypatch.setattr(bucket, "_opened", {})
    here = stores.open(tmp_path / "store")
    choices = (None, spec.states[1:], spec.states[:1], spec.states[::2])
    n_lent = 0
    with static_server(tmp_path) as server:
        for states in choices:
            there = stores.open(f"{server.address}/store")
            server.faults = [fault] * 2 if fault else []
            for k, frames in there.read_each(here.ids(), states):
                np.testing.assert_array_equal(frames, here.read(here.ids()[k], states))
                n_lent += not frames.flags.c_contiguous
            assert not server.faults
    assert n_lent > 0 or dtype != "float16", (
        "every utterance was copied"
    )  # others are decoded into arrays of their own


def test_what_another_thread_lets_go_of_is_asked_for_anew(
    cached: Path, served: StaticServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = local(cached) / "frames" / "c.0.0.0"
    there = settings.expanded(f"{address(served, cached)}/frames/c.0.0.0")
    file, data = remote.ObjectFile(str(there), objects.place_of(there)), shard.read_bytes()  # type: ignore[arg-type]
    go, shape = Event(), (3, 1, 10)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(remote, "_GAP", 0)
        monkeypatch.setattr(remote, "_pool", lambda: pool)
        pool.submit(go.wait)
        for piece in file.fetch([(0, 10), (20, 30), (40, 50)]):
            assert piece.future.cancel()
        assert file.lent(shape, np.dtype("u1"), 0, 20) is None
        out = np.empty(shape, np.uint8)
        go.set()
        file.read_states(out, 0, 20)
    assert out.tobytes() == data[:10] + data[20:30] + data[40:50]


@pytest.mark.slow
def test_what_goes_on_failing_is_one_line(
    cached: Path, served: StaticServer, sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = address(served, cached)
    served.faults = ["cut"] * 1000
    told = sercache("verify", there)
    assert told.code == 2
    assert "cannot be reached" in told.err
    assert "run the same command again" in told.err
    assert told.err.strip().count("\n") == 0
    served.faults = []
    assert sercache("verify", there).code == 0


def test_a_byte_that_was_flipped_is_found(cached: Path, served: StaticServer, sercache: Sercache) -> None:
    store = stores.open(local(cached))
    shard = local(cached) / "frames" / "c.0.0.0"
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    there = address(served, cached)
    told = sercache("verify", there)
    assert told.code == 2
    assert "has checksum" in told.err
    with pytest.raises(DamagedStoreError, match="is not what was written"):
        stores.open(there).read_many(store.ids())


def test_files_that_are_gone_are_named(cached: Path, served: StaticServer, sercache: Sercache) -> None:
    (local(cached) / "frames" / "c.0.0.0").unlink()
    told = sercache("verify", address(served, cached))
    assert told.code == 2
    assert "the file is missing" in told.err


def test_what_was_added_and_removed_is_seen(cached: Path, served: StaticServer) -> None:
    there = address(served, cached)
    n_before = len(stores.open(there).ids())
    mine = local(cached)
    stores.drop(mine, [stores.Damage(stores.open(mine).ids()[0], mine / "frames" / "c.0.0.0", "a test")])
    assert len(stores.open(there).ids()) == n_before - 1
    shutil.rmtree(mine)
    with pytest.raises(StoreError, match="is not a feature store"):
        stores.open(there)


def test_a_made_up_view_leads_nowhere(cached: Path, served: StaticServer) -> None:
    (local(cached) / "ledger" / "view.json").write_text(json.dumps({"record": {"commits": [["../x", 3]]}}))
    assert stores.open(address(served, cached)).ids() == []


@pytest.mark.parametrize(
    "command",
    [
        ("verify", "--repair", "STORE"),
        ("prune", "STORE", "--to", "pooled"),
        ("push", "STORE", "somebody/something"),
        ("convert", "STORE", "--dtype", "float32"),
        ("pull", "somebody/something", "--cache", "http://host/x"),
    ],
)
def test_what_works_in_folders_only_says_so(
    cached: Path, served: StaticServer, sercache: Sercache, command: tuple[str, ...]
) -> None:
    words = [address(served, cached) if word == "STORE" else word for word in command]
    told = sercache(*words)
    assert told.code == 2, told
    assert (
        "works in folders only" in told.err
        or "making a store of stores" in told.err
        or "pull works" in told.err
    )


def test_a_store_is_copied_into_a_folder(cached: Path, served: StaticServer, sercache: Sercache) -> None:
    done = sercache("convert", address(served, cached), "--cache", cached.parent / "copy")
    assert done.code == 0, done.err
    (copy,) = (cached.parent / "copy").glob("*/*/ledger")
    np.testing.assert_array_equal(stores.open(copy.parent).pooled(), stores.open(local(cached)).pooled())


def test_without_the_extra_the_remedy_is_named(
    own_settings: Path, sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_opened", {})
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    told = sercache("info", "--cache", "s3://bucket/x")
    assert (told.code, "pip install 'sercache[objects]'" in told.err) == (2, True), told


def test_runs_do_not_lie_in_object_stores(
    own_settings: Path, sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCACHE_RUNS", "s3://bucket/runs")
    told = sercache("report")
    assert (told.code, "only feature stores lie in object stores" in told.err) == (2, True), told


def test_a_cache_may_be_configured_by_its_address(own_settings: Path) -> None:
    known = settings.change(settings.load(), {"cache": "s3://bucket/cache"})
    assert known.table["cache"] == "s3://bucket/cache"
    with pytest.raises(SettingsError):
        settings.change(known, {"cache": "ftp://bucket/cache"})

"""Stores that are written to an object store: whole or not visible, shared by writers, the bits of a folder's."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import howto
import numpy as np
import pytest
import zarr
from conftest import Outcome
from object_servers import BUCKET, KINDS, Proxy, serving
from store_helpers import SIZES, append, features, fill, make_spec
from test_line import give_voices
from test_signals import long_corpus as long_corpus

from sercache import objects, settings, stores
from sercache.claims import Claims
from sercache.errors import StoreError
from sercache.objects import bucket, mirror
from sercache.stores.ledger import Ledger

obstore = pytest.importorskip("obstore")
Sercache = Callable[..., Outcome]
ADDRESS = "s3://lab/features"


@pytest.fixture
def memory(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An object store in memory, in the place of S3."""
    from obstore.store import MemoryStore

    client = MemoryStore()
    monkeypatch.setattr(bucket, "_opened", {})
    monkeypatch.setattr(bucket, "_client", lambda place: client)
    monkeypatch.setattr(mirror, "_looked", {})
    return client


def keys(client: Any) -> list[str]:
    return [each["path"] for each in obstore.list(client).collect()]


def owner_that_ended() -> dict[str, Any]:
    """What a process said of itself that has ended."""
    code = "import json; from sercache.claims import this_process; print(json.dumps(this_process()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(told))


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on as on another host."""
    monkeypatch.setenv("SERCACHE_OBJECTS", str(folder))
    monkeypatch.setattr(mirror, "_looked", {})


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_extract_writes_what_it_writes_to_a_folder(
    memory: Any,
    cached: Path,
    recordings: Path,
    sercache: Sercache,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    format: str,
) -> None:
    asked = ("--encoder", "logmel", "--dataset", "manifest", "--root", recordings, "--format", format)
    done = sercache("extract", *asked, "--cache", ADDRESS)
    assert done.code == 0, done.err
    assert f"{ADDRESS}/recordings0/logmel-" in done.out
    assert "nothing" in sercache("extract", *asked, "--cache", ADDRESS).out
    elsewhere(monkeypatch, tmp_path / "another")
    ((far, _),) = stores.find_all(settings.expanded(ADDRESS))
    (near,) = (cached.parent / "cache").glob("*/*/ledger")
    here, there = stores.open(near.parent), stores.open(far)
    assert sorted(there.ids()) == sorted(here.ids())
    for what in ("mean", "std"):
        np.testing.assert_array_equal(there.pooled(here.ids(), what=what), here.pooled(what=what))
    for mine, theirs in zip(here.read_many(here.ids()), there.read_many(here.ids()), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert stores.verify(far) == []
    assert "24 entries" in sercache("verify", "--cache", ADDRESS).out
    assert "finished" not in sercache("info", "--cache", ADDRESS).err
    left = [key for key in keys(memory) if "/claims/" in key or "/batches/" in key or "unfinished" in key]
    assert left == []
    if format == "zarr":
        store = zarr.storage.ObjectStore(memory, read_only=True)
        place = objects.place_of(far)
        assert place is not None
        group = zarr.open_group(store, path=place.key, mode="r")
        names = list(group["utterance"][:])
        for id in here.ids()[:3]:
            row = names.index(id)
            start, n = int(group["frame_start"][row]), int(group["n_frames"][row])
            np.testing.assert_array_equal(group["frames"][:, start : start + n], here.read(id))


@pytest.mark.parametrize(
    ("fault", "is_done"),
    [
        pytest.param(PermissionError, False, id="refused"),
        pytest.param(KeyboardInterrupt, False, id="Ctrl-C before a put", marks=pytest.mark.slow),
        pytest.param(KeyboardInterrupt, True, id="Ctrl-C after it", marks=pytest.mark.slow),
    ],
)
def test_what_fails_half_way_shows_nothing_and_is_gone_on_with(
    memory: Any, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException], is_done: bool
) -> None:
    path, spec = settings.expanded(f"{ADDRESS}/corpus/store"), make_spec()
    put, left = obstore.put, [10**9]

    def failing(client: Any, key: str, data: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            if is_done:
                put(client, key, data, **options)
            raise fault("no more")
        return put(client, key, data, **options)

    monkeypatch.setattr(obstore, "put", failing)
    with stores.create(path, spec, "zarr", **SIZES) as writer:
        append(writer, "first", features("first", 5, spec))
    n_puts, n_whole = 10**9 - left[0], 0
    for n in range(n_puts):
        left[0] = n
        with suppress(StoreError, KeyboardInterrupt):
            fill(path, {f"u{n}": 5}, "zarr")
            n_whole += 1
        left[0] = 10**9
        found = stores.open(path)
        assert set(found.ids()) <= {"first", *(f"u{k}" for k in range(n + 1))}
        assert len(found.ids()) == len(set(found.ids()))
        found.read_many(found.ids())
        if n % 3 == 0 or fault is KeyboardInterrupt:  # takes most of the time
            assert [each for each in stores.verify(path) if each.kind not in ("derived", "orphan")] == []
    assert n_puts - n_whole > 5
    fill(path, {"last": 3}, "zarr", spec)
    found = stores.open(path)
    assert {"first", "last"} <= set(found.ids())
    assert stores.verify(path) == []


def test_a_number_that_another_writer_took_is_passed_over(memory: Any) -> None:
    path, spec = settings.expanded(f"{ADDRESS}/corpus/store"), make_spec()
    fill(path, {"a": 5}, "zarr", spec)
    place = objects.place_of(path)
    assert place is not None
    with stores.create(path, spec, "zarr", **SIZES) as writer:
        for number in (1, 2):  # taken elsewhere since
            obstore.put(memory, f"{place.key}/ledger/claims/{number:08d}.json", b"{}")
        obstore.put(memory, f"{place.key}/frames/c.0.1.0", b"of another")
        append(writer, "b", features("b", 5, spec))
    assert f"{place.key}/ledger/commits/00000003.json" in keys(memory)
    assert obstore.get(memory, f"{place.key}/frames/c.0.1.0").bytes() == b"of another"
    np.testing.assert_array_equal(stores.open(path).read("b"), features("b", 5, spec).astype("f2"))


def test_a_writer_that_was_taken_for_dead_commits_nothing(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, spec = settings.expanded(f"{ADDRESS}/corpus/store"), make_spec()
    place = objects.place_of(path)
    assert place is not None
    writer: Any = stores.create(path, spec, "zarr", **SIZES)
    append(writer, "a", features("a", 5, spec))
    write = writer._shards.write

    def paused(items: Any, number: int) -> Any:
        record = write(items, number)
        obstore.delete(memory, [key for key in keys(memory) if "/claims/" in key])
        return record

    monkeypatch.setattr(writer._shards, "write", paused)
    with pytest.raises(StoreError, match="took this writer for dead"):
        writer.seal()
    writer.abandon()
    assert stores.open(path).ids() == []
    fill(path, {"a": 5}, "zarr", spec)
    assert stores.open(path).ids() == ["a"]


def test_what_the_dead_left_is_cleared_up(memory: Any) -> None:
    path = settings.expanded(f"{ADDRESS}/corpus/store")
    place = objects.place_of(path)
    assert place is not None
    dead = json.dumps({"writer": "x", **owner_that_ended()}).encode()
    for claim, name in (("frames.00000000", "frames/c.0.0.0"), ("pooled.00000000", "pooled_mean/c.0.0.0")):
        obstore.put(memory, f"{place.key}/ledger/claims/{claim}.json", dead)
        obstore.put(memory, f"{place.key}/{name}", b"of the dead")
    fill(path, {"a": 5}, "zarr")
    fill(path, {"b": 5}, "zarr")
    assert [key for key in keys(memory) if "/claims/" in key] == []
    assert stores.verify(path) == []


def test_claims_lie_there_too(memory: Any) -> None:
    folder = settings.expanded(f"{ADDRESS}/corpus/store/ledger/batches")
    now = [0.0]
    with Claims(folder, 1000.0, clock=lambda: now[0]) as ours:
        theirs = Claims(folder, 1000.0, clock=lambda: now[0])
        assert ours.take("x")
        assert not theirs.take("x")
        assert theirs.others({"x", "y"}) == {"x"}
        ours.release("x")
        assert theirs.take("x")
        assert not ours.take("x")
        theirs.release("x")
    assert keys(memory) == []


@pytest.mark.slow
def test_what_the_page_has_one_type_works(
    memory: Any, own_settings: Path, sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_settings)
    for line in howto.commands("objects.md"):
        words = shlex.split(line)[1:]
        if "STORE" in words:
            ((store, _),) = stores.find_all(settings.expanded("s3://lab/features"))
            words[words.index("STORE")] = str(objects.place_of(store))
        done = sercache(*words, *(["--seeds", "1", "--set", "max-epochs=2"] if "train" in words else []))
        assert done.code == 0, f"{line}: {done.err}"
        if "--example" in words:
            give_voices(Path(words[-1]))


def test_a_web_server_is_for_reading_only(own_settings: Path, recordings: Path, sercache: Sercache) -> None:
    told = sercache(
        "extract",
        "--encoder",
        "logmel",
        "--dataset",
        "manifest",
        "--root",
        recordings,
        "--cache",
        "http://host/x",
    )
    assert (told.code, "is for reading only" in told.err) == (2, True), told


needs_moto = pytest.mark.skipif(bool(KINDS["s3"].absent), reason=KINDS["s3"].absent)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(KINDS["s3"], tmp_path_factory.mktemp("moto")) as port:
        yield port


def environment(port: int, host: Path) -> dict[str, str]:
    """What has sercache speak to the server at ``port``, as on a host of its own."""
    return {**KINDS["s3"].variables(port), "SERCACHE_OBJECTS": str(host)}


def extracting(host: Path, port: int, recordings: Path, cache: str, *more: str) -> subprocess.Popen[str]:
    """`sercache extract` as on a host of its own."""
    own = {**os.environ, **environment(port, host), "SERCACHE_CONFIG": os.devnull}
    asked = ["--encoder", "demo-wavlm", "--dataset", "manifest", "--root", str(recordings), "--cache", cache]
    asked += ["--device", "cpu", "--seal-every", "0", *more]
    code = "from sercache import cli; cli.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "extract", *asked],
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    told, _ = process.communicate(timeout=300)
    return process.returncode, told


@needs_moto
@pytest.mark.slow
def test_two_hosts_share_the_work_through_s3_whatever_goes_wrong(
    port: int, own_settings: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch, sercache: Sercache
) -> None:
    cache = f"s3://{BUCKET}/shared"
    proxy = Proxy(port)
    proxy.faults = ["503", "cut", "refused", "slow"] * 3
    victim = extracting(own_settings / "victim", port, recordings, cache)
    time.sleep(6)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    hosts = [extracting(own_settings / name, proxy.port, recordings, cache) for name in ("one", "two")]
    for code, told in map(ended, hosts):
        assert code == 0, told
    proxy.close()
    check_equal(port, own_settings, recordings, cache, monkeypatch, sercache)


def committed(port: int, host: Path, cache: str) -> list[str]:
    """Ids by the records that lie there, one for each time that a record lists it."""
    found = []
    client = obstore.store.S3Store(
        BUCKET,
        config={
            name.removeprefix("AWS_").lower(): value for name, value in KINDS["s3"].variables(port).items()
        },
        client_options={"allow_http": True},
    )
    for each in obstore.list(client, cache.removeprefix(f"s3://{BUCKET}/")).collect():
        if "/commits/" in each["path"]:
            found += json.loads(bytes(obstore.get(client, each["path"]).bytes()))["record"]["ids"]
    return found


@needs_moto
@pytest.mark.slow
def test_whatever_stops_an_extraction_to_s3_the_next_one_completes_it(
    port: int, own_settings: Path, long_corpus: Path, monkeypatch: pytest.MonkeyPatch, sercache: Sercache
) -> None:
    """Ctrl-C, a scheduler's SIGTERM and SIGKILL, each once something more was committed; then one that ends."""
    cache, host, n_before = f"s3://{BUCKET}/stopped", own_settings / "host", 0
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = extracting(host, port, long_corpus, cache)
        deadline = time.monotonic() + 120
        while len(committed(port, host, cache)) <= n_before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        ended_with, told = ended(process)
        assert ended_with == code, told
        assert "Traceback" not in told
        found = committed(port, host, cache)
        assert n_before < len(found) < 24, "it was stopped in the middle"
        assert len(found) == len(set(found)), "nothing twice"
        n_before = len(found)
        assert number == signal.SIGKILL or f"{n_before} of 24 entries are safe" in told, told
    code, told = ended(extracting(host, port, long_corpus, cache))
    assert code == 0, told
    check_equal(port, own_settings, long_corpus, cache, monkeypatch, sercache)


def check_equal(
    port: int,
    own_settings: Path,
    recordings: Path,
    cache: str,
    monkeypatch: pytest.MonkeyPatch,
    sercache: Sercache,
) -> None:
    """That what lies there, as another host sees it, is whole and the bits of an extraction to a folder."""
    for name, value in environment(port, own_settings / "three").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket, "_opened", {})
    monkeypatch.setattr(mirror, "_looked", {})
    ((far, _),) = stores.find_all(settings.expanded(cache))
    local = sercache(
        "extract", "--encoder", "demo-wavlm", "--dataset", "manifest", "--root", recordings, "--device", "cpu"
    )
    assert local.code == 0, local.err
    (near,) = (own_settings / "cache").glob("*/*/ledger")
    here, there = stores.open(near.parent), stores.open(far)
    assert sorted(there.ids()) == sorted(here.ids())
    for mine, theirs in zip(here.read_many(here.ids()), there.read_many(here.ids()), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(there.pooled(here.ids()), here.pooled())
    ledger = Ledger(far / "ledger")
    ledger.refresh()
    listed = Counter(id for record in ledger.records.values() for id in record.ids)
    assert max(listed.values()) == 1, "nothing twice"
    assert stores.verify(far) == []


@needs_moto
@pytest.mark.slow
def test_faults_of_s3_are_one_line(port: int, own_settings: Path, recordings: Path) -> None:
    host = own_settings / "host"
    code, told = ended(extracting(host, port, recordings, "s3://no-such-bucket/x"))
    assert (code, "s3://no-such-bucket does not exist" in told) == (2, True), told
    began = time.monotonic()
    code, told = ended(extracting(host, 1, recordings, "s3://lab/x"))
    assert (code, "cannot be reached" in told) == (2, True), told
    assert time.monotonic() - began < 60

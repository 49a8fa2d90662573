"""Real servers of S3, Azure and Google, each where it is installed: the seam, and a cache that lies there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import Outcome
from object_servers import BUCKET, KINDS, serving

from sercache import objects, settings, stores
from sercache.errors import StoreError
from sercache.objects import bucket, mirror

pytest.importorskip("obstore")
Sercache = Callable[..., Outcome]


class Server(NamedTuple):
    """One that is running."""

    scheme: str
    variables: dict[str, str]


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in KINDS]


@pytest.fixture(scope="module", params=["memory", *_SLOW])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "memory":
        yield Server("s3", {})
        return
    if absent := KINDS[request.param].absent:
        pytest.skip(absent)
    with serving(KINDS[request.param], tmp_path_factory.mktemp(request.param)) as port:
        yield Server(request.param, KINDS[request.param].variables(port))


@pytest.fixture
def address(server: Server, own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """That of a cache of the test's own; for ``memory`` obstore's store in memory answers."""
    from obstore.store import MemoryStore

    monkeypatch.setattr(bucket, "_opened", {})
    monkeypatch.setattr(mirror, "_looked", {})
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    if not server.variables:
        client = MemoryStore()
        monkeypatch.setattr(bucket, "_client", lambda place: client)
    return f"{server.scheme}://{BUCKET}/{own_settings.name}"


def test_the_seam_is_the_same_everywhere(address: str) -> None:
    place = objects.place_of(settings.expanded(address))
    assert place is not None
    there, base = bucket.bucket_of(place), place.key
    assert there.names(base) == {}
    assert there.get(f"{base}/none") is None
    assert there.mark(f"{base}/none") is None
    with pytest.raises(FileNotFoundError):
        there.get_range(f"{base}/none", 0, 3)
    assert there.create(f"{base}/a/x", b"first")
    assert not there.create(f"{base}/a/x", b"second")
    assert there.create(f"{base}/a/x", b"first"), "as the answer to an earlier try may have been lost"
    assert there.get(f"{base}/a/x") == b"first"
    before = there.mark(f"{base}/a/x")
    there.put(f"{base}/a/x", b"third!")
    after = there.mark(f"{base}/a/x")
    assert before is not None
    assert after is not None
    assert (before.size, after.size) == (5, 6)
    assert before.tag != after.tag
    for name in ("b c/ä+%41=#?&", "b c/y", "z"):
        there.put(f"{base}/{name}", name.encode())
    found = there.names(base)
    assert sorted(found) == sorted(f"{base}/{each}" for each in ("a/x", "b c/ä+%41=#?&", "b c/y", "z"))
    assert found[f"{base}/a/x"].tag == after.tag
    assert there.get(f"{base}/b c/ä+%41=#?&") == "b c/ä+%41=#?&".encode()
    assert sorted(there.folders(base)) == [f"{base}/a", f"{base}/b c"]
    large = np.random.default_rng(0).bytes(13 * 2**20)  # in several parts
    there.put(f"{base}/large", large)
    assert (
        bytes(there.get_range(f"{base}/large", 5 * 2**20 - 3, 6 * 2**20))
        == large[5 * 2**20 - 3 :][: 6 * 2**20]
    )
    there.remove([*found, f"{base}/large"])
    assert there.names(base) == {}


def test_a_bucket_that_is_not_there_is_one_line(address: str, server: Server, sercache: Sercache) -> None:
    if not server.variables:
        pytest.skip("obstore's memory has no buckets")
    root = f"{server.scheme}://no-such-bucket"
    for words in (("info", "--cache", f"{root}/x"), ("verify", f"{root}/x/y/z")):
        told = sercache(*words)
        assert (told.code, f"{root} does not exist" in told.err, told.err.count("\n")) == (2, True, 1), told
    place = objects.place_of(settings.expanded(f"{root}/x"))
    assert place is not None
    with pytest.raises(StoreError, match="does not exist"):
        bucket.bucket_of(place).create("x", b"x")


def test_a_cache_gives_the_numbers_of_a_folder(
    address: str,
    server: Server,
    cached: Path,
    recordings: Path,
    sercache: Sercache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ("--encoder", "logmel", "--dataset", "manifest", "--root", recordings)
    done = sercache("extract", *asked, "--cache", address)
    assert done.code == 0, done.err
    assert "nothing" in sercache("extract", *asked, "--cache", address).out
    monkeypatch.setenv("SERCACHE_OBJECTS", str(cached.parent / "another host"))
    monkeypatch.setattr(mirror, "_looked", {})
    told = sercache("info", "--cache", address)
    assert (told.code, f"{address}/recordings0/logmel-" in told.out, told.err) == (0, True, ""), told
    assert "24 entries" in sercache("verify", "--cache", address).out
    ((far, _),) = stores.find_all(settings.expanded(address))
    assert stores.verify(far) == []
    train = ("--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--root", recordings)
    train += (
        "--protocol",
        "leave-one-speaker-out",
        "--set",
        "max-epochs=2",
        "--seeds",
        "1",
        "--clip",
        "none",
    )
    runs = []
    for cache, name in ((address, "far"), (cached.parent / "cache", "near")):
        done = sercache("train", *train, "--cache", cache, "--name", name)
        assert done.code == 0, done.err
        runs.append(cached / name)
    for name in ("predictions.csv", "history.jsonl"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name
    results = [json.loads((run / "report.json").read_text())["runs"] for run in runs]
    assert results[0] == results[1]
    weights = [sorted((run / "weights").rglob("*.safetensors")) for run in runs]
    assert [each.name for each in weights[0]] == [each.name for each in weights[1]]
    assert weights[0]
    for one, other in zip(*weights, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name

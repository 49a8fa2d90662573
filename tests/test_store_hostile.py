"""Stores that somebody made up: one line, in bounded time and memory, whatever a record says."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_helpers import SIZES, append, features, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError, StoreError
from sercache.stores import checked_json, checkpoints
from sercache.stores.durable import crc32c

LENGTHS = {"a": 3, "b": 9, "c": 1, "long": 40, "d": 5}
EVIL: list[Any] = [
    -1, 0, 1, 7, 2**31, 2**50, 2**63, 10**400, 1.5, float("nan"), float("inf"), True, None, "", "x", "a", [], {}, [[]],
    "../../x", "/etc/passwd", "frames/../../x", "frames/..", "ledger/spec.json", "frames/c.0.0.0", "0" * 8, "z" * 8,
    "00000000" * 3, "\ud800", "a\0b", [0, "a"], [[0, "a"]], {"file": "frames/c.0.0.0"},
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def little_memory() -> Iterator[None]:
    """What a record claims must never be allocated."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, before[1]))
    with without_sync():
        yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module", params=[*stores.FORMATS, "means"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / f"store-{request.param}"
    means = request.param == "means"
    fill(path, LENGTHS, "zarr" if means else request.param, make_spec(frames=not means), **SIZES)
    return path


def use(path: Path) -> None:
    """Everything that reads a store."""
    store = stores.open(path)
    for id in store.ids():
        if store.spec.frames:
            store.read(id, store.spec.states[1:2])
            store.read(id)
    store.pooled()
    store.pooled(what="std", states=store.spec.states[:1])
    sum(entry.n_samples for entry in store.entries().values())
    store.n_bytes()
    store.verify()


def survive(path: Path) -> None:
    """No fault but those that are one line."""
    for action in (use, stores.verify, stores.read_spec):
        with contextlib.suppress(StoreError):
            action(path)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*at, key))


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.sampled_from(sorted(places(value), key=repr)))
        if not at:
            if draw(st.booleans()):
                return draw(st.sampled_from(EVIL).map(copy.deepcopy))
            continue
        inside = value
        for key in at[:-1]:
            inside = inside[key]
        how = draw(st.sampled_from(["replace", "delete", "double", "add"]))
        if how == "replace":
            inside[at[-1]] = draw(st.sampled_from(EVIL).map(copy.deepcopy))
        elif how == "delete":
            del inside[at[-1]]
        elif isinstance(inside, list):
            inside.insert(at[-1], inside[at[-1]])
        else:
            inside["extra"] = draw(st.sampled_from(EVIL).map(copy.deepcopy))
    return value


@contextlib.contextmanager
def replaced(file: Path, data: bytes) -> Iterator[None]:
    before = file.read_bytes()
    file.write_bytes(data)
    try:
        yield
    finally:
        file.write_bytes(before)


def dumped(value: Any) -> bytes | None:
    try:
        return checked_json.dump(value)
    except (ValueError, UnicodeEncodeError):
        return None


def make_up(example: Path, files: str, data: st.DataObject) -> None:
    """Read a store after one of its files, of these names, was changed with a checksum that fits."""
    file = data.draw(st.sampled_from(sorted(example.glob(files))))
    value = json.loads(file.read_bytes())["record"]
    with replaced(file, dumped(data.draw(mutated(value))) or b""):
        survive(example)


ANY = settings(deadline=5000, suppress_health_check=list(HealthCheck))


@settings(ANY, max_examples=40)
@given(data=st.data())
def test_records_that_were_made_up(example: Path, data: st.DataObject) -> None:
    make_up(example, "ledger/commits/*.json", data)


@settings(ANY, max_examples=30)
@given(data=st.data())
def test_specs_that_were_made_up(example: Path, data: st.DataObject) -> None:
    make_up(example, "ledger/spec.json", data)


@pytest.mark.slow
@pytest.mark.parametrize("files", ["ledger/commits/*.json", "ledger/spec.json"])
@settings(ANY, max_examples=400)
@given(data=st.data())
def test_many_files_that_were_made_up(example: Path, files: str, data: st.DataObject) -> None:
    make_up(example, files, data)


CLAIMS: dict[str, Callable[[dict[str, Any]], object]] = {
    "n_frames of 2^50": lambda r: r["n_frames"].__setitem__(0, 2**50),
    "n_frames below 0": lambda r: r["n_frames"].__setitem__(0, -3),
    "an unknown field": lambda r: r.__setitem__("extra", 1),
    "no crcs": lambda r: r.__setitem__("pooled_crcs", []),
    "other lengths": lambda r: r["n_samples"].pop(),
    "NaN": lambda r: r["n_samples"].__setitem__(0, float("nan")),
    "an id twice": lambda r: r["ids"].__setitem__(1, r["ids"][0]),
    "an offset beyond the file": lambda r: r["tables"]["mean"].__setitem__("offset", 2**30),
    "a size of 2^39": lambda r: r["files"][0].__setitem__("size", 2**39),
    "files[].name outside": lambda r: r["files"][0].__setitem__("name", "../../x"),
    "a file outside": lambda r: r["tables"]["mean"].__setitem__("file", "/etc/passwd"),
    "a file of the ledger": lambda r: r["tables"]["mean"].__setitem__("file", "ledger/spec.json"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_is_claimed_is_one_line(example: Path, claim: str) -> None:
    file = min(example.glob("ledger/commits/*.json"))
    value = json.loads(file.read_bytes())["record"]
    CLAIMS[claim](value)
    with replaced(file, checked_json.dump(value)):
        with pytest.raises(DamagedStoreError, match=r"run sercache verify \S+ --repair") as fault:
            use(example)
        assert "\n" not in str(fault.value)
        assert len(str(fault.value)) < 500
        assert stores.verify(example) != []


def test_nesting_without_end_is_one_line(example: Path) -> None:
    file = min(example.glob("ledger/commits/*.json"))
    body = b'"record": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"
    with replaced(file, b'{"crc32c": "%08x",\n' % crc32c(body) + body), pytest.raises(DamagedStoreError):
        use(example)


@pytest.fixture
def own(example: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(example, tmp_path / "store"))


def data_file(path: Path) -> Path:
    return min([*path.glob("pooled_mean/c.*"), *path.glob("shards/*.h5")])


def test_links_are_not_followed(own: Path) -> None:
    file = data_file(own)
    outside = own.parent / "outside"
    file.rename(outside)
    file.symlink_to(outside)
    with pytest.raises(DamagedStoreError, match="link"):
        stores.open(own).pooled()
    assert any(fault.path == file for fault in stores.verify(own))


@pytest.mark.parametrize("name", ["ledger/commits", "ledger"])
def test_folders_that_lead_out_are_refused(own: Path, name: str) -> None:
    (own / name).rename(own.parent / "outside")
    (own / name).symlink_to(own.parent / "outside")
    with pytest.raises(DamagedStoreError, match="symbolic link out of its store"):
        stores.open(own)


def test_pipes_do_not_wait(own: Path) -> None:
    record = min(own.glob("ledger/commits/*.json"))
    record.unlink()
    os.mkfifo(record)
    with pytest.raises(DamagedStoreError, match="no plain file"):
        stores.open(own)
    record.unlink()
    table = data_file(own)
    table.unlink()
    os.mkfifo(table)
    stores.verify(own)


# --- checkpoints ---


@pytest.fixture
def checkpoint(own: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoints, "_RECORDS", 1)
    spec = stores.read_spec(own)
    with stores.create(own, spec, "hdf5" if (own / "shards").is_dir() else "zarr") as writer:
        append(writer, "z", features("z", 4, spec))
    (found,) = own.glob("ledger/checkpoints/*.bin")
    return found


@pytest.mark.parametrize("n", [12, pytest.param(400, marks=pytest.mark.slow)])
def test_checkpoints_that_were_made_up(own: Path, checkpoint: Path, n: int) -> None:
    chance = np.random.default_rng(0)
    whole = checkpoint.read_bytes()
    for _ in range(n):
        body = bytearray(whole[9:])
        for _ in range(chance.integers(1, 4)):
            if chance.random() < 0.3:
                del body[int(chance.integers(len(body))) :][: int(chance.integers(1, 40))]
            body[int(chance.integers(len(body)))] = int(chance.integers(256))
        checkpoint.write_bytes(b"%08x\n" % crc32c(bytes(body)) + body)
        survive(own)

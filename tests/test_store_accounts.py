"""Every file of a store is accounted for: what is derived is recomputed, what is missing or foreign is named."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from store_helpers import SIZES, append, assert_holds, features, fill, make_spec, without_sync

from sercache import stores
from sercache.errors import DamagedStoreError

LENGTHS = {"a": 3, "b": 9, "c": 1, "long": 40, "d": 5}
KINDS = [(format, frames) for format in stores.FORMATS for frames in (True, False)]
MEANINGLESS = ("lock", "view.json")
"""Names of files whose bytes say nothing that is believed: the second is made anew where it is not whole."""


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


@pytest.fixture(scope="module", params=KINDS, ids=str)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    format, frames = request.param
    path = tmp_path_factory.mktemp("whole") / "store"
    fill(path, LENGTHS, format, make_spec(frames=frames), **SIZES)
    stores.write_note(path, "origin.json", {"encoder": "x", "root": "/a"})
    stores.write_note(path, "skipped.json", {"z": "too short"})
    assert stores.verify(path) == []
    return path


@pytest.fixture
def own(example: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(example, tmp_path / "store"))


def found(path: Path) -> list[stores.Damage]:
    """What ``verify`` says; a spec that cannot be read is one fault."""
    try:
        return stores.verify(path)
    except DamagedStoreError as fault:
        return [stores.Damage("", path / "ledger/spec.json", str(fault))]


@pytest.mark.parametrize("n_flips", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_flips_in_every_file_are_found(own: Path, n_flips: int) -> None:
    chance = np.random.default_rng(0)
    files = sorted(path for path in own.rglob("*") if path.is_file() and path.name not in MEANINGLESS)
    alike = Counter[Path]()
    for file in files:
        kind = file.with_name(re.sub(r"\d+", "0", file.name))
        alike[kind] += 1
        if n_flips == 1 and alike[kind] > 2:  # the slow tier goes through all shards, chunks and records
            continue
        data = file.read_bytes()
        places = chance.choice(len(data), min(n_flips, len(data)), replace=False) if data else []
        for position in places:
            changed = bytearray(data)
            changed[position] ^= 1 << int(chance.integers(8))
            file.write_bytes(changed)
            assert found(own), (file, position)
        file.write_bytes(data[:-1])
        assert found(own) or not data, file
        file.unlink()
        if file.name not in ("origin.json", "skipped.json", "spec.json"):
            assert found(own), file
        file.write_bytes(data)
    assert len(files) > 7
    assert stores.verify(own) == []


def test_derived_files_are_written_anew_without_encoding(own: Path) -> None:
    store = stores.open(own)
    content = {id: features(id, LENGTHS[id], store.spec) for id in store.ids()}
    derived = [path for path in own.rglob("*") if path.name == "zarr.json" or path.suffix == ".csv"]
    before = {path: path.read_bytes() for path in derived}
    for path in derived[::2]:
        path.write_bytes(path.read_bytes()[:-3])
    for path in derived[1::2]:
        path.unlink()
    damage = stores.verify(own)
    assert {fault.path for fault in damage} == set(derived)
    assert {fault.kind for fault in damage} == {"derived"}
    assert stores.drop(own, damage) == []
    assert stores.verify(own) == []
    assert {path: path.read_bytes() for path in derived} == before
    assert_holds(stores.open(own), content)


@pytest.mark.parametrize("which", [0, -1])
def test_a_deleted_record_is_noticed_and_repaired(own: Path, which: int) -> None:
    records = sorted(own.glob("ledger/commits/*.json"))
    records[which].unlink()
    damage = stores.verify(own)
    assert records[which] in [fault.path for fault in damage]
    # Its shards, or where it shared them what stock readers are shown, tell of it too.
    assert {"orphan", "derived"} & {fault.kind for fault in damage}
    stores.drop(own, damage)
    assert stores.verify(own) == []
    spec, there = stores.read_spec(own), stores.open(own).ids()
    assert 0 < len(there) < len(LENGTHS)
    with stores.create(own, spec, "hdf5" if (own / "shards").is_dir() else "zarr") as writer:
        for id in LENGTHS:
            if id not in there:
                append(writer, id, features(id, LENGTHS[id], spec))
    assert_holds(stores.open(own), {id: features(id, LENGTHS[id], spec) for id in LENGTHS})
    assert stores.verify(own) == []


def test_a_file_that_nobody_names_is_listed_and_removed(own: Path) -> None:
    file = next(iter([*own.glob("pooled_mean/c.*"), *own.glob("shards/*.h5")]))
    copy = file.with_name("copy of " + file.name)
    shutil.copy(file, copy)
    damage = stores.verify(own)
    assert [(fault.path, fault.kind) for fault in damage] == [(copy, "orphan")]
    stores.drop(own, damage)
    assert not copy.exists()
    assert stores.verify(own) == []


def test_hidden_files_of_the_system_are_no_damage(own: Path) -> None:
    for folder in ("pooled_mean", "shards", "ledger", "ledger/commits"):
        for name in (".DS_Store", ".nfs0000000000a1", "._00000000.json"):
            if (own / folder).is_dir():
                (own / folder / name).write_bytes(b"x")
    assert stores.verify(own) == []


def test_what_the_dead_left_is_no_damage(own: Path) -> None:
    (own / "ledger/claims/00000099.json").write_text('"somebody"')
    (own / "ledger/writers/somebody.1.tmp").write_bytes(b"half")
    assert stores.verify(own) == []


def test_damaged_notes_are_set_aside(own: Path) -> None:
    (own / "ledger/origin.json").write_bytes(b"")
    damage = stores.verify(own)
    assert [(fault.path.name, fault.kind) for fault in damage] == [("origin.json", "note")]
    stores.drop(own, damage)
    assert stores.verify(own) == []
    assert stores.read_note(own, "origin.json") == {}


def test_the_command_mends_what_is_derived(cached: Path, sercache: Callable) -> None:
    [(folder, _)] = stores.find(cached.parent / "cache")
    (folder / "zarr.json").write_bytes(b"{}")
    (folder / "ledger/origin.json").write_bytes(b"")
    done = sercache("verify", folder)
    assert done.code == 2
    assert "zarr.json: it differs from what the commit records say" in done.err
    done = sercache("verify", folder, "--repair", "--root", "/nowhere")
    assert done.code == 0, done.err
    assert sercache("verify").code == 0

"""Converting, merging and pruning as commands and verbs: of real stores, of older layouts, and what is refused."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import howto
import numpy as np
import pytest
from conftest import Outcome
from store_helpers import append, assert_holds, features, fill, make_spec

import sercache as face
from sercache import stores
from sercache.claims import Claims, this_process
from sercache.errors import FileError, SettingsError, StoreError, UnknownNameError
from sercache.experiment import places

Sercache = Callable[..., Outcome]
WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
OLD = sorted(path.name for path in (WRITTEN / "cache" / "manifest").iterdir())
ALL = ["--encoder", "logmel", "--dataset", "manifest", "--states", "all"]
QUICK = ["--protocol", "leave-one-speaker-out", "--dev", "next", "--seeds", 1, "--set", "max-epochs=2"]


@pytest.fixture
def store(cached: Path) -> Path:
    [folder] = (cached.parent / "cache").glob("*/*")
    return folder


# --- convert ---


def test_a_converted_store_is_that_of_extract(store: Path, sercache: Sercache, recordings: Path) -> None:
    done = sercache("convert", store, "--dtype", "int8", "--format", "hdf5")
    assert done.code == 0, done.err
    assert "converted: 24 entries, 0 were there; every byte checked; " in done.out
    [made] = store.parent.glob("*.hdf5")
    spec = stores.open(made).spec
    assert (spec.dtype, spec.through, spec.digest in made.name) == ("int8", "float16", True)
    assert sercache("verify", made).code == 0
    assert list(stores.read_corpus(made)) == list(stores.read_corpus(store))
    assert "int8 frames" in sercache("info").out
    again = face.convert(store, dtype="int8", format="hdf5", progress=False)
    assert (again.folder, again.n_new, again.n_held) == (made, 0, 24)


def test_what_an_extraction_would_have_written_it_finds(
    store: Path, sercache: Sercache, recordings: Path
) -> None:
    call = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", recordings]
    assert sercache(*call, "--dtype", "float32").code == 0
    [wide] = [path for path, spec in stores.find(store.parents[1]) if spec.dtype == "float32"]
    for dtype in ("bfloat16", "int8"):
        made = face.convert(wide, dtype=dtype, progress=False)
        assert not made.spec.through
        found = sercache(*call, "--dtype", dtype)
        assert f"nothing to do: all 24 entries are in {made.folder}" in found.out
        assert f"--dtype {dtype}" in sercache("info", made.folder).out
    half = face.convert(wide, dtype="float16", progress=False)
    assert (half.folder, half.n_new) == (store, 0)  # the one that was extracted


def test_trainings_of_other_types_are_other_trainings(store: Path, sercache: Sercache) -> None:
    face.convert(store, dtype="int8", progress=False)
    train = ["train", "--head", "linear", *ALL, "--frames", *QUICK, "--name"]
    first = sercache(*train, "half")
    assert first.code == 0, first.err
    assert str(store) in first.out
    assert "int8" not in first.out + first.err
    shutil.rmtree(store)
    second = sercache(*train, "eighth")
    assert second.code == 0, second.err
    assert "note: sequences are kept as int8" in second.err
    assert "trained before" not in second.out + second.err
    from sercache.report import runs

    half, eighth = (runs.load(store.parents[2] / "runs" / name).experiment for name in ("half", "eighth"))
    assert half is not None
    assert eighth is not None
    assert eighth.differs_from(half) == ("stored type of the features int8 of float16 instead of float16",)


def test_there_is_something_to_convert(store: Path) -> None:
    with pytest.raises(SettingsError, match=r"is a zarr store of float16 already; .*--dtype or --format"):
        face.convert(store)
    with pytest.raises(SettingsError, match="already"):
        face.convert(store, dtype="float16")
    small = face.convert(store, dtype="int8", progress=False).folder
    with pytest.raises(SettingsError, match="is of int8, from which no other type is won back"):
        face.convert(small, dtype="float32")
    with pytest.raises(StoreError, match="is not a feature store"):
        face.convert(store.parent, dtype="int8")


def test_a_loud_value_is_refused_by_name(own_settings: Path, sercache: Sercache) -> None:
    spec = make_spec(dtype="float32")
    place = stores.store_path(own_settings / "cache", spec)
    with stores.create(place, spec) as writer:
        append(writer, "loud", 4e4 + features("loud", 2, spec))
    done = sercache("convert", place, "--dtype", "float16")
    assert done.code == 2
    assert "loud: state projection reaches 4000" in done.err
    assert "choose --dtype bfloat16" in done.err
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("name", OLD)
def test_stores_of_earlier_versions_are_converted_and_merged(own_settings: Path, name: str) -> None:
    old = Path(shutil.copytree(WRITTEN / "cache" / "manifest" / name, own_settings / "cache/manifest" / name))
    other = "zarr" if name.endswith(".hdf5") else "hdf5"
    # The other format of that store is there as well, in the same layout.
    made = face.convert(old, format=other, cache=own_settings / "else", progress=False)
    pair = face.merge([old, made.folder], own_settings / "pair", progress=False)
    with np.load(WRITTEN / "expected.npz") as expected:
        for folder in (made.folder, pair.folder):
            store = stores.open(folder)
            assert len(store.ids()) == 16
            for k, id in enumerate(store.ids()):
                np.testing.assert_array_equal(store.pooled()[k], expected[f"{name}/{id}/mean"])
                if store.spec.frames:
                    np.testing.assert_array_equal(store.read(id), expected[f"{name}/{id}/frames"])
    assert stores.read_note(made.folder, "origin.json")["store_format"] == other


# --- merge ---


def test_stores_made_apart_are_one(own_settings: Path, sercache: Sercache) -> None:
    left, right = own_settings / "left", own_settings / "right"
    content = fill(left, {"a": 3, "b": 9, "both": 4}, "zarr", make_spec())
    content |= fill(right, {"c": 1, "both": 4}, "hdf5", make_spec())
    done = sercache("merge", left, right)
    assert done.code == 0, done.err
    assert "merged: 4 entries, 1 were there or are in several; every byte checked" in done.out
    place = stores.store_path(own_settings / "cache", make_spec())
    assert_holds(stores.open(place), content)
    again = face.merge([left, right, place], remove_sources=True, progress=False)
    assert (again.n_new, again.removed) == (0, (left, right))
    assert not left.exists()
    assert not right.exists()
    assert_holds(stores.open(place), content)


def test_sources_in_use_are_told_before_anything_is_merged(own_settings: Path) -> None:
    left, right = own_settings / "left" / "store", own_settings / "right" / "store"
    fill(left, {"a": 3}, "zarr", WIDE)
    fill(right, {"b": 9}, "zarr", WIDE)
    reader = stores.open(right)
    into = own_settings / "both"
    with pytest.raises(StoreError, match=r"right/store is not removed: process \d+ \(this one\) has it open"):
        face.merge([left, right], into, remove_sources=True, progress=False)
    assert not into.exists()
    del reader
    face.merge([left, right], into, remove_sources=True, progress=False)
    assert (stores.open(into).ids(), left.exists(), right.exists()) == (["a", "b"], False, False)


def test_one_of_them_may_be_filled(own_settings: Path) -> None:
    left, right = own_settings / "left", own_settings / "right"
    content = fill(left, {"a": 3}, "hdf5", make_spec()) | fill(right, {"b": 3}, "zarr", make_spec())
    done = face.merge([left, right], left, remove_sources=True, progress=False)
    assert (done.folder, done.n_new, done.removed) == (left, 1, (right,))
    assert_holds(stores.open(left), content, order="ab")


def test_what_cannot_be_one_store_is_left_as_it_is(own_settings: Path, sercache: Sercache) -> None:
    left, right, other = (own_settings / name for name in ("left", "right", "other"))
    fill(left, {"a": 3, "b": 3}, "zarr", make_spec())
    fill(other, {"a": 3}, "zarr", make_spec(release="2", dtype="float32"))
    with stores.create(right, make_spec()) as writer:
        append(writer, "a", features("a", 3, make_spec()) + 1)
    done = sercache("merge", left, right, "--into", own_settings / "new", "--remove-sources")
    assert done.code == 2
    assert "hold different features or recordings under 1 equal ids: a; nothing was merged" in done.err
    done = sercache("merge", left, other)
    assert done.code == 2
    assert "are of different specs (release, dtype)" in done.err
    advice = shlex.split(done.err.split("`")[1])
    assert sercache(*advice[1:]).code == 0
    with pytest.raises(SettingsError, match="name two stores to merge"):
        face.merge([left, left])
    fill(own_settings / "third", {"c": 1}, "zarr", make_spec())
    with pytest.raises(StoreError, match="holds other files"):
        face.merge([left, own_settings / "third"], own_settings)
    assert {path.name for path in own_settings.iterdir()} == {"left", "right", "other", "third"}


# --- info ---


def test_stores_are_added_up(own_settings: Path, sercache: Sercache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = own_settings / "cache"
    one, wide = make_spec(), make_spec(dtype="float32")
    other = make_spec(encoder="b", corpus="other", clip="split:5", frames=False)
    fill(stores.store_path(cache, one), {"a": 3, "b": 9}, "zarr", one)
    fill(stores.store_path(cache, one, "hdf5"), {"b": 9, "c": 4}, "hdf5", one)
    fill(stores.store_path(cache, wide), {"a": 3}, "zarr", wide)
    fill(stores.store_path(cache, other), {"a#0": 2, "a#1": 2, "x#0": 5}, "zarr", other)
    by_corpus = {each.name: each for each in face.info(by="corpus")}
    assert list(by_corpus) == ["tiny 1", "other 1", "all"]
    assert [len(each.folders) for each in by_corpus.values()] == [3, 1, 4]
    assert [each.n_utterances for each in by_corpus.values()] == [3, 2, 5]
    seconds = [16 * 320 / 16000, 9 * 320 / 16000]
    assert [each.seconds for each in by_corpus.values()] == pytest.approx([*seconds, sum(seconds)])
    assert by_corpus["all"].n_bytes == sum(each.n_bytes for each in face.info())
    by_spec = face.info(by="spec")
    assert len(by_spec) == 4
    assert any(
        each.name == f"tiny, org/tiny encoder, 3 states, float16 frames ({one.digest})" for each in by_spec
    )
    assert {each.name for each in face.info(by="encoder")} == {"org/tiny encoder", "b", "all"}
    with pytest.raises(UnknownNameError, match="corpus"):
        face.info(by="corpse")
    for width in (40, 72, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        for by in ("spec", "corpus", "encoder"):
            done = sercache("info", "--by", by)
            assert done.code == 0, done.err
            assert max(map(len, done.out.splitlines()[1:])) <= width or (by, width) == ("spec", 40)
    assert sercache("info", "--by", "corpus", "--cache", own_settings / "none").code == 0


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_last_use_is_noted_once_a_day(
    store: Path, sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = store / "ledger/last_use.json"
    stores.write_note(store, note.name, {"at": "2020-02-02T00:00:00+00:00"})
    os.utime(store / "ledger/commits", (0, 0))
    [row] = face.info()
    assert row.last_used == datetime(2020, 2, 2, tzinfo=UTC)
    assert "2020-02-02" in sercache("info", store).out
    train = ["train", "--head", "linear", *ALL, *QUICK]
    assert sercache(*train, "--name", "one").code == 0
    assert datetime.now(UTC) - face.info()[0].last_used < timedelta(hours=1)
    before = note.stat().st_mtime_ns
    assert sercache(*train, "--name", "two", "--set", "lr=0.1").code == 0
    assert note.stat().st_mtime_ns == before
    note.write_text("torn")
    [found] = face.verify(store)
    assert [each.kind for each in found.damage] == ["note"]
    stores.note_use(store)
    assert stores.verify(store) == []
    note.unlink()

    def read_only(path: Path, data: bytes) -> None:
        raise FileError("no")

    monkeypatch.setattr("sercache.stores.use.files.write_bytes", read_only)
    stores.note_use(store)
    stores.note_use(store.parent / "none")
    assert not note.exists()


# --- prune ---

WIDE = make_spec(states=("1", "2", "3"), encoder_states=("1", "2", "3"), identity={"family": "test"})


@pytest.fixture
def three(own_settings: Path) -> Path:
    """A store of three states, with frames."""
    place = stores.store_path(own_settings / "cache", WIDE)
    fill(place, {"a": 3, "b": 9}, "zarr", WIDE)
    stores.write_note(place, "origin.json", {"encoder": "e", "dataset": "d", "root": "r", "states": "all"})
    return place


def read_by(runs: Path, name: str, **changes: object) -> None:
    """A run folder that says what it read."""
    spec = dataclasses.replace(WIDE, **changes)  # type: ignore[arg-type]
    kind = "frames" if spec.frames else "means"
    features = {"spec": WIDE.to_json(), "states": list(spec.states), "kind": kind}
    (runs / name).mkdir(parents=True)
    (runs / name / "report.json").write_text(json.dumps({"features": features}))


def test_states_and_sequences_are_dropped(three: Path, sercache: Sercache) -> None:
    content = {id: features(id, n, WIDE) for id, n in (("a", 3), ("b", 9))}
    dry = sercache("prune", three, "--keep-states", "2-3", "--dry-run")
    assert dry.code == 0, dry.err
    assert f"drop      state 1: {three} (" in dry.out
    assert "to be freed" in dry.out
    assert [path.name for path in three.parent.iterdir()] == [three.name]
    [gone] = face.prune(three, drop_states="1", progress=False)
    assert gone.made is not None
    assert gone.made.name.endswith(dataclasses.replace(WIDE, states=("2", "3")).digest)
    assert list(three.parent.iterdir()) == [gone.made]
    assert_holds(stores.open(gone.made), {id: frames[1:] for id, frames in content.items()})
    assert stores.read_note(gone.made, "origin.json")["states"] == "2+3"
    done = sercache("prune", gone.made, "--to", "pooled", "--drop-states", "3")
    assert done.code == 0, done.err
    [left] = three.parent.iterdir()
    assert_holds(stores.open(left), {id: frames[1:2] for id, frames in content.items()})
    assert stores.open(left).spec == dataclasses.replace(WIDE, states=("2",), frames=False)
    assert "nothing to drop" in sercache("prune", left, "--keep-states", "2", "--to", "pooled").out


def test_what_a_run_still_reads_is_named_and_stays(
    three: Path, own_settings: Path, sercache: Sercache
) -> None:
    runs = own_settings / "runs"
    read_by(runs, "of-means", states=("2",), frames=False)
    read_by(runs / "sweep", "of-frames", states=("1", "2"))
    (runs / "broken").mkdir()
    (runs / "broken/report.json").write_text("{}")
    assert sercache("prune", three, "--to", "pooled", "--dry-run").out.count("still needed by the run") == 1
    done = sercache("prune", three, "--to", "pooled")
    assert done.code == 2
    assert "of-frames still needs what would go: nothing was dropped" in done.err
    assert [path.name for path in three.parent.iterdir()] == [three.name]
    [kept] = [each.made for each in face.prune(three, drop_states="3", progress=False)]
    assert kept is not None
    wide = face.convert(kept, dtype="int8", progress=False).folder  # of another type, which does not serve
    [dropped] = face.prune(kept, to="pooled", force=True, progress=False)
    assert [path.name for path in dropped.needed_by] == ["of-frames"]
    assert dropped.made is not None
    assert {path.name for path in three.parent.iterdir()} == {wide.name, dropped.made.name}


def test_runs_without_their_store_go(three: Path, own_settings: Path, sercache: Sercache) -> None:
    runs = own_settings / "runs"
    read_by(runs, "served", states=("2",))
    read_by(runs, "orphan", states=("2",), release="0")
    report = json.loads((runs / "orphan/report.json").read_text())
    report["features"]["spec"]["release"] = "0"
    (runs / "orphan/report.json").write_text(json.dumps(report))
    done = sercache("prune", "--runs-without-store")
    assert done.code == 0, done.err
    assert [path.name for path in runs.iterdir()] == ["served"]
    started = json.loads((runs / "served/report.json").read_text()) | {"started_from": [{"run": "first"}]}
    (runs / "served/report.json").write_text(json.dumps(started))
    (runs / "first").mkdir()
    (runs / "first/report.json").write_text(json.dumps(report))
    assert "served still needs what would go" in sercache("prune", "--runs-without-store").err
    shutil.rmtree(own_settings / "cache")
    done = sercache("prune", "--runs-without-store", "--force")
    assert done.code == 2
    assert "holds no store, so that every run would go" in done.err
    assert (runs / "served").is_dir()


def test_what_the_dead_left_goes(three: Path, own_settings: Path, sercache: Sercache) -> None:
    runs, old = own_settings / "runs", 30 * 86400
    (three / "ledger/writers/dead.1.tmp").write_bytes(b"x" * 9000)
    begun = three.with_name(".other.partial")
    shutil.copytree(three, begun)
    for folder in (begun, runs / "old.partial", runs / "new.partial", runs / ".a.12345678.gone"):
        (folder / "ledger").mkdir(parents=True, exist_ok=True)
    now = time.time()
    for path in (begun, *begun.rglob("*"), runs / "old.partial", *(runs / "old.partial").rglob("*")):
        os.utime(path, (now - old, now - old))
    dry = sercache("prune", "--leftovers", "--dry-run")
    assert [dry.out.count(what) for what in ("unfinished store", "unfinished run", "half removed")] == [
        1,
        1,
        1,
    ]
    assert "1 temporaries of dead writers" in dry.out
    assert sercache("prune", "--leftovers").code == 0
    assert [path.name for path in three.parent.iterdir()] == [three.name]
    assert [path.name for path in runs.iterdir()] == ["new.partial"]
    assert list((three / "ledger/writers").iterdir()) == []
    assert len(face.prune(leftovers=True, older=0, dry_run=True, progress=False)) == 1
    assert stores.verify(three) == []


def test_what_somebody_trains_is_no_leftover(three: Path, own_settings: Path) -> None:
    runs = own_settings / "runs"
    trained, point, idle = runs / "a.partial", runs / "sweep" / ".lr-0.1.partial", runs / "idle.partial"
    for folder in (trained, point, idle):
        folder.mkdir(parents=True)
    (idle / "claims").mkdir()
    dead = json.dumps({**this_process(), "started": -1}).encode() + b"\n1"
    (idle / "claims" / f"{'0' * 32}.owner").write_bytes(dead)
    with Claims(trained / "claims"), Claims(runs / "sweep" / ".claims"):
        found = face.prune(leftovers=True, older=0, dry_run=True, progress=False)
        assert [each.folder.name for each in found] == ["idle.partial"]
    face.prune(leftovers=True, older=0, progress=False)
    assert list(runs.glob("**/*.partial")) == []


@pytest.mark.parametrize("ahead", [-30 * 3600, 30 * 3600])
def test_how_old_something_is_goes_by_the_clock_of_the_disk(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """That of this host may be hours off."""
    runs = own_settings / "runs"
    (runs / "left.partial").mkdir(parents=True)
    (runs / "trained.partial" / "claims").mkdir(parents=True)
    elsewhere = json.dumps({**this_process(), "host": "b", "boot": "b"}).encode() + b"\n1"
    (runs / "trained.partial" / "claims" / f"{'0' * 32}.owner").write_bytes(elsewhere)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    monkeypatch.setattr("sercache.files._clock._AHEAD", {})
    assert [path.name for path in places.abandoned_runs(runs, 0)] == ["left.partial"]
    assert places.abandoned_runs(runs, 1) == []


def test_folders_that_may_not_be_listed_are_told(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A colleague's, whose umask was 077: patterns find nothing in them, silently."""
    cache, scandir = three.parents[1], os.scandir
    forbidden = [three.parent]

    def guarded(path: object = ".") -> object:
        if Path(str(path)) in forbidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", guarded)
    [found] = [each for path, each in stores.find_all(cache) if path == three.parent]
    assert "cannot be read: Permission denied; see who may read it (ls -l)" in str(found)
    forbidden.append(cache)
    with pytest.raises(StoreError, match="Permission denied"):
        stores.find(cache)


def test_a_store_in_use_is_not_pruned(three: Path) -> None:
    reader = stores.open(three)
    with pytest.raises(StoreError, match=r"is not removed: process \d+ \(this one\) has it open"):
        face.prune(three, to="pooled", progress=False)
    [(only, _)] = stores.find(three.parent)  # no copy was made, which may take hours
    assert only == three
    assert reader.read("b").shape == (3, 9, WIDE.dim)
    with stores.create(three, WIDE), pytest.raises(StoreError, match="is being written to by process"):
        face.prune(three, to="pooled", progress=False)
    del reader
    face.prune(three, to="pooled", progress=False)  # goes on with what was made
    assert not three.exists()


def test_a_call_says_what_to_prune(three: Path, sercache: Sercache) -> None:
    for call, fault in (
        ([three], "say what to drop: --keep-states"),
        (["--to", "pooled"], "name the stores"),
        ([three, "--keep-states", "1", "--drop-states", "2"], "not both"),
        ([three, "--drop-states", "all"], "nothing would be left"),
        ([three, "--keep-states", "7"], "unknown state '7'"),
        ([three.parent, "--keep-states", "1"], "is not a feature store"),
    ):
        done = sercache("prune", *call)
        assert done.code == 2
        assert fault in done.err
    assert stores.verify(three) == []


@pytest.mark.slow
def test_what_the_page_has_one_type_works(
    own_settings: Path, sercache: Sercache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_settings / "work").mkdir()
    monkeypatch.chdir(own_settings / "work")
    for side in ("LEFT", "RIGHT"):
        fill(Path(side), {side: 3}, "zarr")
    lines = howto.commands("disk.md")
    assert {shlex.split(line)[1] for line in lines} >= {"convert", "info", "merge", "prune"}
    for line in lines:
        wide = [
            path
            for path, spec in stores.find(own_settings / "cache")
            if spec.dtype == "float32" and spec.frames
        ]
        done = sercache(*(str(wide[0]) if word == "STORE" else word for word in shlex.split(line)[1:]))
        assert done.code == 0, f"{line}: {done.err}"
    kinds = sorted((spec.dtype, spec.frames) for _, spec in stores.find(own_settings / "cache"))
    assert kinds == [("float16", True), ("float16", True), ("float32", False), ("int8", True)]

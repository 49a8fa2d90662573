"""Converting, merging and pruning as commands and verbs: of real stores, of older layouts, and what is refused."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from store_helpers import append, assert_holds, features, fill, make_spec

import sercache as face
from sercache import stores
from sercache.errors import SettingsError, StoreError

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
    assert eighth.differs_from(half) == (
        "stored type of the features int8 rounded to float16 instead of float16",
    )


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

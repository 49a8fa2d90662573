"""Stores and runs that an earlier sercache wrote are read as they were: see tests/fixtures/a1b0434/README.md."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sercache import stores
from sercache.report import runs

WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
STORES = sorted(path.name for path in (WRITTEN / "cache" / "manifest").iterdir())
RUNS = ("linear", "superb", "sweep/lr=1e-2", "sweep/lr=1e-3")


@pytest.fixture
def written(own_settings: Path) -> Path:
    """A copy that a test may change, where the settings look for cache and runs."""
    for name in ("cache", "runs", "corpus"):
        shutil.copytree(WRITTEN / name, own_settings / name)
    return own_settings


def test_the_fixtures_are_all_there() -> None:
    formats = [
        (name.endswith(".hdf5"), stores.open(WRITTEN / "cache/manifest" / name).spec.frames)
        for name in STORES
    ]
    assert sorted(formats) == [(False, False), (False, True), (True, False), (True, True)]


@pytest.mark.parametrize("name", STORES)
def test_a_store_holds_what_it_held(written: Path, name: str) -> None:
    store = stores.open(written / "cache" / "manifest" / name)
    with np.load(WRITTEN / "expected.npz") as expected:
        means, stds = store.pooled(), store.pooled(what="std")
        assert len(store.ids()) == 16
        for k, id in enumerate(store.ids()):
            np.testing.assert_array_equal(means[k], expected[f"{name}/{id}/mean"])
            np.testing.assert_array_equal(stds[k], expected[f"{name}/{id}/std"])
            if store.spec.frames:
                np.testing.assert_array_equal(store.read(id), expected[f"{name}/{id}/frames"])
    assert store.verify() == []


@pytest.mark.parametrize("name", STORES)
def test_a_store_is_complete_for_extract(written: Path, sercache: Callable, name: str) -> None:
    """The same command finds the same store and nothing to do."""
    store = stores.open(written / "cache" / "manifest" / name)
    kind = [] if store.spec.frames else ["--pooled-only"]
    format = "hdf5" if name.endswith(".hdf5") else "zarr"
    before = set(store.ids())
    list_ = written / "corpus" / "list.csv"
    command = [
        "extract",
        "--encoder",
        "mfcc",
        "--dataset",
        "manifest",
        "--root",
        list_,
        "--format",
        format,
        *kind,
    ]
    done = sercache(*command)
    assert done.code == 0, done.err
    assert "nothing to do" in done.out + done.err
    assert [path.name for path in (written / "cache" / "manifest").iterdir() if path.name == name] == [name]
    assert set(stores.open(written / "cache" / "manifest" / name).ids()) == before


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_read(written: Path, sercache: Callable, run: str) -> None:
    report = runs.load(written / "runs" / run)
    assert report.setup["protocol"] == "leave-one-speaker-out"
    assert len(report.runs) == (8 if "/" not in run else 4)
    shown = sercache("report", written / "runs" / run)
    assert shown.code == 0, shown.err


def test_heads_of_a_run_are_loaded(written: Path) -> None:
    for fold in ("s0", "s3"):
        weights = runs.read_tensors(runs.weights_path(written / "runs" / "linear", fold, 1))
        assert {name: tuple(value.shape) for name, value in weights.items()}
        assert runs.read_tensors(runs.scaling_path(written / "runs" / "linear", fold))


@pytest.mark.parametrize("name", STORES)
def test_a_store_is_trained_from(written: Path, sercache: Callable, name: str) -> None:
    done = sercache(
        "train", "--head", "linear", "--encoder", "mfcc", "--dataset", "manifest", "--store",
        written / "cache" / "manifest" / name, "--root", written / "corpus" / "list.csv", "--pooled",
        "--protocol", "leave-one-speaker-out", "--dev", "next", "--seeds", 1, "--set", "max-epochs=1",
    )  # fmt: skip
    assert done.code == 0, done.err

"""Stores as files of other people's loaders, read back as these read them."""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import Outcome
from store_helpers import fill, make_spec

import sercache as ser
from sercache import stores
from sercache.errors import DiskSpaceError, MissingExtraError
from sercache.experiment import plain_files
from sercache.stores import FeatureStore

Sercache = Callable[..., Outcome]


@pytest.fixture
def store(cached: Path) -> FeatureStore:
    [folder] = [folder for folder, _ in stores.find(cached.parent / "cache")]
    return stores.open(folder)


def known(store: FeatureStore, id: str) -> dict[str, Any]:
    number = int(id.removeprefix("u"))
    return {"id": id, "label": "loud" if number % 2 else "soft", "speaker": f"s{number // 2 % 4}"}


def test_npy(sercache: Sercache, store: FeatureStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = sercache("export", store.path, "--to", "npy", "--out", out)
    assert done.code == 0, done.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    frames = np.load(out / "frames.npy", mmap_mode="r")
    means, stds = np.load(out / "means.npy"), np.load(out / "stds.npy")
    assert frames.dtype == np.float16
    rows = list(csv.DictReader((out / "index.csv").read_text().splitlines()))
    assert [row["id"] for row in rows] == store.ids()
    for row in rows:
        first, n = int(row["first_frame"]), int(row["n_frames"])
        np.testing.assert_array_equal(frames[:, first : first + n], store.read(row["id"]))
        np.testing.assert_array_equal(means[int(row["row"])], store.pooled([row["id"]])[0])
        np.testing.assert_array_equal(stds[int(row["row"])], store.pooled([row["id"]], what="std")[0])
        assert row.items() >= known(store, row["id"]).items()
        assert row["class:label"] == row["label"]
    assert json.loads((out / "about.json").read_text())["digest"] == store.spec.digest
    again = sercache("export", store.path, "--to", "npy", "--out", out)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_webdataset(sercache: Sercache, store: FeatureStore, tmp_path: Path) -> None:
    out = plain_files.write(store.path, "webdataset", tmp_path / "out", states="all", shard_bytes=20_000)
    tars = sorted(out.glob("*.tar"))
    assert len(tars) > 1
    found: dict[str, dict[str, Any]] = {}
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")  # as webdataset does
                data = tar.extractfile(member)
                assert data is not None
                content = data.read()
                value = json.loads(content) if kind == "json" else np.load(io.BytesIO(content))
                found.setdefault(key, {})[kind] = value
    assert [each["json"]["id"] for each in found.values()] == store.ids()
    for each in found.values():
        id = each["json"]["id"]
        assert each["json"].items() >= known(store, id).items()
        np.testing.assert_array_equal(each["frames.npy"], store.read(id))
        np.testing.assert_array_equal(each["means.npy"], store.pooled([id])[0])


def test_parquet(store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    out = ser.export(store, to="parquet", progress=False)
    assert out.name == f"{store.path.name}-parquet"
    table = parquet.read_table(out / "shard-00000.parquet")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == store.ids()
    dim = store.spec.dim
    for row in rows[:5]:
        frames = np.array(row["frames"], np.float16).reshape(1, row["n_frames"], dim)
        np.testing.assert_array_equal(frames, store.read(row["id"]))
        np.testing.assert_array_equal(
            np.array(row["means"], np.float32).reshape(1, dim), store.pooled([row["id"]])[0]
        )
        assert row.items() >= known(store, row["id"]).items()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"sercache\[parquet\]"):
        ser.export(store, "other", to="parquet", progress=False)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_cf(format: Any, tmp_path: Path) -> None:
    """xarray reads it as a contiguous ragged array: the rows of each entry by its size, and when each frame is."""
    xarray = pytest.importorskip("xarray")
    lengths = {"a.b/c": 3, "d": 5, "é": 5000}
    fill(tmp_path / "store", lengths, format, make_spec())
    with pytest.warns(UserWarning, match="features are written, labels are not"):
        out = plain_files.write(tmp_path / "store", "cf", tmp_path / "out", states="1,2", shard_bytes=10**6)
    store = stores.open(tmp_path / "store")
    with xarray.open_zarr(out / "features.zarr") as dataset:
        assert dataset.attrs["Conventions"].startswith("CF-")
        assert dataset.n_frames.attrs["sample_dimension"] == "frame"
        assert dataset.utterance.attrs["cf_role"] == "timeseries_id"
        assert dataset.frames.dims == ("state", "frame", "dim")
        ends = np.cumsum(dataset.n_frames.values)
        assert ends[-1] == dataset.sizes["frame"] == sum(lengths.values())
        seconds = store.spec.hop / store.spec.sample_rate
        for id, end in zip(dataset.utterance.values.tolist(), ends, strict=True):
            n = lengths[id]
            rows = dataset.isel(frame=slice(int(end) - n, int(end)))
            np.testing.assert_array_equal(rows.frames.sel(state="2").values, store.read(id, ["2"])[0])
            np.testing.assert_allclose(rows.time.values, np.arange(n) * seconds)
            mean = dataset.pooled_mean.sel(utterance=id).values
            np.testing.assert_array_equal(mean, store.pooled([id], ["1", "2"])[0])
        assert dataset.time.attrs["units"] == "s"


@pytest.mark.parametrize("form", plain_files.FORMS)
def test_every_type_some_states_and_no_table(form: Any, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    for dtype in ("float16", "float32", "bfloat16", "int8"):
        folder = tmp_path / dtype
        fill(folder / "store", {"a.b/c": 3, "d": 5}, "zarr", make_spec(dtype=dtype))
        with pytest.warns(UserWarning, match="features are written, labels are not"):
            out = plain_files.write(folder / "store", form, folder / "out", states="2", shard_bytes=10**6)
        expected = stores.open(folder / "store").read("d", ["2"])
        np.testing.assert_array_equal(second_of(out, form).reshape(expected.shape), expected)


def second_of(out: Path, form: str) -> np.ndarray:
    """Frames of the second of two entries, the first of which has three."""
    if form == "npy":
        return np.load(out / "frames.npy")[:, 3:]
    if form == "cf":
        return np.array(zarr.open_group(out / "features.zarr")["frames"][:, 3:])
    if form == "webdataset":
        with tarfile.open(out / "shard-000000.tar") as tar:
            return np.load(io.BytesIO(tar.extractfile("000000001.frames.npy").read()))  # type: ignore[union-attr]
    import pyarrow.parquet

    column = pyarrow.parquet.read_table(out / "shard-00000.parquet")["frames"]
    return np.array(column[1].as_py(), np.float32)


def test_what_cannot_be_is_said_before_anything_is_written(
    sercache: Sercache, store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def refused(*call: object) -> str:
        done = sercache("export", *call)
        assert done.code == 2
        assert not out.exists()
        return done.err.splitlines()[-1]

    assert "say what to make of it with --to npy" in refused(store.path, "--out", out)
    assert "leave out what is of a run (seed)" in refused(
        store.path, "--to", "npy", "--seed", 1, "--out", out
    )
    assert "unknown state" in refused(store.path, "--to", "npy", "--states", "99", "--out", out)
    assert "is no store; of a run, name the folder" in refused(tmp_path, "--seed", 1)
    assert "--to and --states are of one" in refused(tmp_path, "--to", "npy", "--out", out)
    monkeypatch.setattr(plain_files.extraction, "free_bytes", lambda folder: 1000)
    with pytest.raises(DiskSpaceError, match="its disk has 1"):
        plain_files.write(store.path, "npy", out, states="all", shard_bytes=10**6)
    assert not out.exists()

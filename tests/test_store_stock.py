"""Stock readers see what ours see: zarr-python, xarray, h5py. And the numbers behind: dtypes, guards."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from store_helpers import (
    DIM,
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
from sercache.errors import NumericRangeError, StoreError
from sercache.stores.spec import DType

LENGTHS = {"a": 3, "b": 9, "c": 1, "long": 40, "d": 5, "e": 5, "é中": 5, "whole": 16}
DTYPES = ("float16", "float32", "bfloat16", "int8")


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    with without_sync():
        yield


def as_numbers(frames: np.ndarray) -> np.ndarray:
    """Stored frames as stock readers get them, made numbers as the attribute of the array says."""
    if frames.dtype == np.int8:
        return frames[..., :-4] * frames[..., -4:].view("<f4")
    return (frames.astype("uint32") << 16).view("float32") if frames.dtype == np.uint16 else frames


@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_python_reads_the_same(tmp_path: Path, dtype: DType) -> None:
    content = fill(tmp_path, LENGTHS, "zarr", make_spec(dtype=dtype))
    group = zarr.open_group(tmp_path, mode="r")
    for name, array in group.arrays():
        assert zarr.open_array(tmp_path / name, mode="r").shape == array.shape
    frames, start, count = (group[name][...] for name in ("frames", "frame_start", "n_frames"))
    slots = {id: slot for slot, id in enumerate(group["utterance"][:]) if id}
    assert list(slots) == list(LENGTHS)
    assert list(group["state"][:]) == list(STATES)
    for id, slot in slots.items():
        got = as_numbers(frames[:, start[slot] : start[slot] + count[slot]])
        np.testing.assert_array_equal(got, as_stored(content[id], dtype))
        np.testing.assert_array_equal(group["pooled_mean"][slot], content[id].mean(axis=1))
        np.testing.assert_array_equal(group["pooled_std"][slot], content[id].std(axis=1))
    n_frames = sum(LENGTHS.values())
    assert np.isfinite(as_numbers(frames)).sum() == n_frames * len(STATES) * DIM
    assert np.isfinite(group["pooled_mean"][:, 0, 0]).sum() == len(LENGTHS)


@pytest.mark.parametrize("options", [{}, {"consolidated": False}])
def test_xarray_just_works(tmp_path: Path, options: dict[str, bool]) -> None:
    """No warnings (they are errors here), and utterances and states are found by name."""
    content = fill(tmp_path, LENGTHS, "zarr")
    with xarray.open_zarr(tmp_path, **options) as dataset:
        assert dataset.frames.dims == ("state", "frame", "dim")
        row = dataset.sel(utterance="long")
        start, count = int(row.frame_start), int(row.n_frames)
        frames = dataset.frames.sel(state="2").isel(frame=slice(start, start + count)).values
        np.testing.assert_array_equal(frames, as_stored(content["long"], "float16")[2])
        np.testing.assert_array_equal(row.pooled_mean.sel(state="1").values, content["long"].mean(axis=1)[1])
        assert dataset.attrs["store"]["spec"]["corpus"] == "tiny"


def test_zarr_without_frames_or_utterances(tmp_path: Path) -> None:
    spec = make_spec(frames=False)
    fill(tmp_path, {}, "zarr", spec)
    with xarray.open_zarr(tmp_path) as dataset:
        assert dict(dataset.sizes) == {"utterance": 0, "state": 3, "dim": 5}
    content = fill(tmp_path, {"a": 4}, "zarr", spec)
    with xarray.open_zarr(tmp_path) as dataset:
        assert "frames" not in dataset
        np.testing.assert_array_equal(dataset.pooled_std.values[0], content["a"].std(axis=1))


def test_what_stock_readers_go_by_is_never_trusted(tmp_path: Path) -> None:
    content = fill(tmp_path, LENGTHS, "zarr")
    for file in [*tmp_path.glob("*/zarr.json"), *tmp_path.glob("utterance/*"), tmp_path / "zarr.json"]:
        file.write_text("nonsense")
    assert_holds(stores.open(tmp_path), content)
    stores.create(tmp_path, make_spec()).close()
    assert zarr.open_group(tmp_path)["frames"].shape[1] >= sum(LENGTHS.values())


def test_dropped_utterances_leave_the_index(tmp_path: Path) -> None:
    fill(tmp_path, LENGTHS, "zarr")
    stores.drop(tmp_path, [stores.Damage("b", tmp_path, "a test")])
    with stores.create(tmp_path, make_spec()) as writer:
        append(writer, "b", np.ones((3, 2, 5), np.float32))
    ids = zarr.open_group(tmp_path)["utterance"][:]
    assert sorted(id for id in ids if id) == sorted(LENGTHS)
    assert list(ids).index("b") > list(ids).index("whole")


@pytest.mark.parametrize("dtype", DTYPES)
def test_h5py_reads_the_same(tmp_path: Path, dtype: DType) -> None:
    content = fill(tmp_path, LENGTHS, "hdf5", make_spec(dtype=dtype))
    seen = []
    for path in sorted(tmp_path.glob("shards/*.h5")):
        with h5py.File(path, "r") as file:
            assert list(file["state"].asstr()[:]) == list(STATES)
            for row, id in enumerate(file["utterance"].asstr()[:]):
                start, count = file["frame_start"][row], file["n_frames"][row]
                got = as_numbers(file["frames"][:, start : start + count])
                np.testing.assert_array_equal(got, as_stored(content[id], dtype))
                np.testing.assert_array_equal(file["pooled_mean"][row], content[id].mean(axis=1))
                np.testing.assert_array_equal(file["pooled_std"][row], content[id].std(axis=1))
                seen.append(id)
    assert seen == list(LENGTHS)


def test_tables_of_utterances_lead_to_every_one(tmp_path: Path) -> None:
    content = fill(tmp_path, LENGTHS, "hdf5")
    with (tmp_path / "utterances/00000000.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["id"] for row in rows] == list(LENGTHS)
    for row in rows:
        start, stop = int(row["first_frame"]), int(row["first_frame"]) + int(row["n_frames"])
        with h5py.File(tmp_path / row["file"], "r") as file:
            got = file["frames"][:, start:stop]
            np.testing.assert_array_equal(
                file["pooled_mean"][int(row["row"])], content[row["id"]].mean(axis=1)
            )
        np.testing.assert_array_equal(got, as_stored(content[row["id"]], "float16"))


# --- numbers ---

ANY_FLOAT32 = arrays(np.float32, array_shapes(max_dims=2, max_side=8), elements=st.floats(width=32))


@settings(max_examples=100, deadline=None)
@given(frames=ANY_FLOAT32, dtype=st.sampled_from(DTYPES[:3]))
def test_conversion_is_torchs_or_refused(frames: np.ndarray, dtype: DType) -> None:
    expected = torch.from_numpy(frames).to(getattr(torch, dtype))
    limit = 65504 / 2 if dtype == "float16" else np.inf
    fits = bool(torch.isfinite(expected).all()) and bool((np.abs(frames) < limit).all())
    if not fits:
        with pytest.raises(NumericRangeError, match=r"^u: state 7 "):
            stores.encode_frames(frames, dtype, "u", "7")
        return
    stored = stores.encode_frames(frames, dtype, "u", "7")
    again = stores.encode_frames(stored, dtype, "u", "7")
    np.testing.assert_array_equal(stored, again)
    decoded = stores.decode_frames(stored, dtype)
    assert decoded.dtype == (np.float16 if dtype == "float16" else np.float32)
    np.testing.assert_array_equal(decoded, expected.float().numpy().astype(decoded.dtype))


@settings(max_examples=60, deadline=None)
@given(frames=ANY_FLOAT32)
def test_int8_errs_by_half_a_step_of_its_frame_or_refuses(frames: np.ndarray) -> None:
    if not (np.abs(frames) < 2.0**127).all():  # not finite included
        with pytest.raises(NumericRangeError, match=r"^u: state 7 "):
            stores.encode_frames(frames, "int8", "u", "7")
        return
    stored = stores.encode_frames(frames, "int8", "u", "7")
    assert stored.shape == (*frames.shape[:-1], frames.shape[-1] + 4)
    np.testing.assert_array_equal(stores.encode_frames(stored, "int8", "u", "7"), stored)
    decoded, step = as_numbers(stored), np.abs(frames).max(axis=-1, keepdims=True) / 127
    np.testing.assert_array_equal(stores.decode_frames(stored, "int8"), decoded)
    # Quotient and product are rounded to float32, the scale of the smallest frames to the least of its steps.
    bound = step.astype(np.float64) * (0.5 + 2.0**-15) + 128 * 2.0**-149
    assert (np.abs(decoded.astype(np.float64) - frames) <= bound).all()


def test_a_scale_that_is_no_number_is_refused() -> None:
    stored = stores.encode_frames(np.ones((1, 3), np.float32), "int8", "u", "7")
    stored[0, -4:] = np.array([np.nan], "<f4").view(np.int8)
    with pytest.raises(NumericRangeError, match=r"^u: state 7 has a scale that is not finite"):
        stores.encode_frames(stored, "int8", "u", "7")


@pytest.mark.parametrize("dtype", DTYPES)
def test_stored_values_are_guarded_too(dtype: DType) -> None:
    bits = {"float16": [0x77FF, 0xF800, 0x7C00, 0x7E00], "bfloat16": [0x7F80, 0xFFC0]}
    for pattern in bits.get(dtype, []):
        frames = np.array([[1, pattern]], np.uint16)
        frames = frames.view(np.float16) if dtype == "float16" else frames
        with pytest.raises(NumericRangeError):
            stores.encode_frames(frames, dtype, "u", "7")
    with pytest.raises(StoreError, match="int64, expected float32"):
        stores.encode_frames(np.zeros((2, 2), np.int64), dtype, "u", "7")


def test_the_largest_value_that_is_kept(tmp_path: Path) -> None:
    spec = make_spec()
    frames = features("a", 4, spec)
    frames[1, 2, 3] = np.nextafter(np.float32(32752), np.float32(0))
    with stores.create(tmp_path, spec) as writer:
        append(writer, "a", frames)
    assert stores.open(tmp_path).read("a").max() == 32752

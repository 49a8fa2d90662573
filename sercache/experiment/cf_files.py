"""A store as a Zarr group in CF form: a contiguous ragged array with a time coordinate, as xarray and others read it.

Climate and Forecast conventions, section 9.3.3 (contiguous ragged array representation): the frames of all entries one
after another, and a variable of row sizes whose ``sample_dimension`` names their dimension.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sercache.experiment.plain_files import Chosen

FOLDER = "features.zarr"
_CHUNK = 4096
"""Frames of a state in a chunk."""


def write(chosen: Chosen, out: Path, done: Callable[[int], object]) -> None:
    """``features.zarr``: the arrays of a store under their names, ``time`` (s) of each frame, and the labels."""
    import zarr

    store, spec = chosen.store, chosen.store.spec
    with warnings.catch_warnings():  # of texts and gathered metadata, which Zarr 3 has not settled
        warnings.simplefilter("ignore")
        group = zarr.create_group(out / FOLDER, zarr_format=3)
        attributes = {
            "Conventions": "CF-1.11",
            "featureType": "timeSeries",
            "source": spec.shown,
            "corpus": spec.corpus,
        }
        group.attrs.update(attributes)
        counts = np.array([row["n_frames"] for row in chosen.rows], "<i8")
        _put(group, "state", np.array(chosen.states, object), ("state",))
        ids = np.array([row["id"] for row in chosen.rows], object)
        _put(group, "utterance", ids, ("utterance",), cf_role="timeseries_id")
        row_size = {"sample_dimension": "frame"} if spec.frames else {}
        _put(group, "n_frames", counts, ("utterance",), long_name="frames of each utterance", **row_size)
        for name in ("n_samples", *_known(chosen)):
            _put(group, name.replace(":", "_"), _column(chosen, name), ("utterance",))
        for name, what in (("pooled_mean", "mean"), ("pooled_std", "std")):
            pooled = np.stack([store.pooled([row["id"]], chosen.states, what)[0] for row in chosen.rows])
            _put(group, name, pooled.astype("<f4"), ("utterance", "state", "dim"))
        if spec.frames:
            _frames(group, chosen, int(counts.sum()), done)
            if not spec.is_text:
                seconds = np.concatenate([np.arange(n) for n in counts]) * (spec.hop / spec.sample_rate)
                words = "from the beginning of the recording to that of the frame"
                _put(group, "time", seconds, ("frame",), units="s", axis="T", long_name=words)
        zarr.consolidate_metadata(group.store)


def _put(group: Any, name: str, values: np.ndarray, dimensions: tuple[str, ...], **attributes: str) -> None:
    kind = str if values.dtype == object else values.dtype
    array = group.create_array(name, shape=values.shape, dtype=kind, dimension_names=dimensions)
    array.attrs.update(attributes)
    array[...] = values


def _known(chosen: Chosen) -> list[str]:
    """What is known of entries beside their lengths."""
    names = dict.fromkeys(name for row in chosen.rows for name in row)
    return [name for name in names if name not in ("id", "utterance", "n_frames", "n_samples")]


def _column(chosen: Chosen, name: str) -> np.ndarray:
    """A column, of numbers where all are."""
    values = [row.get(name) for row in chosen.rows]
    if all(isinstance(value, int) for value in values):
        return np.array(values, "<i8")
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([np.nan if value is None else value for value in values], "<f8")
    return np.array(["" if value is None else str(value) for value in values], object)


def _frames(group: Any, chosen: Chosen, n: int, done: Callable[[int], object]) -> None:
    """``frames`` (state, frame, dim), a chunk at a time."""
    n_states, dim = len(chosen.states), chosen.store.spec.dim
    array = group.create_array(
        "frames", shape=(n_states, n, dim), chunks=(1, min(_CHUNK, max(1, n)), dim), dtype=chosen.dtype,
        dimension_names=("state", "frame", "dim"),
    )  # fmt: skip
    array.attrs["coordinates"] = "time"
    at = 0
    for block in _blocks(chosen, done):
        array[:, at : at + block.shape[1]] = block
        at += block.shape[1]


def _blocks(chosen: Chosen, done: Callable[[int], object]) -> Iterator[np.ndarray]:
    """Frames of all entries one after another, (L, _CHUNK, D) at a time, the last what is left."""
    held: list[np.ndarray] = []
    n_held = 0
    for row in chosen.rows:
        held.append(chosen.store.read(row["id"], chosen.states).astype(chosen.dtype))
        n_held += held[-1].shape[1]
        done(chosen.bytes_of(row))
        while n_held >= _CHUNK:
            whole = np.concatenate(held, axis=1)
            yield whole[:, :_CHUNK]
            held, n_held = [whole[:, _CHUNK:]], n_held - _CHUNK
    if n_held:
        yield np.concatenate(held, axis=1)

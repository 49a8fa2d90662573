"""Small stores with known content, for tests of the store room and of what reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sercache import stores
from sercache.stores import FeatureSpec, FeatureStore, FeatureWriter

STATES = ("projection", "1", "2")
DIM = 5
SIZES = {"shard_frames": 16, "chunk_frames": 4, "shard_utterances": 3}


def make_spec(**changes: Any) -> FeatureSpec:
    known: dict[str, Any] = {
        "encoder": "org/tiny encoder",
        "identity": {"family": "test", "sha256": "0" * 64},
        "sample_rate": 16000,
        "hop": 320,
        "corpus": "tiny",
        "release": "1",
        "states": STATES,
        "dim": DIM,
    }
    return FeatureSpec(**{**known, **changes})


def features(id: str, n_frames: int, spec: FeatureSpec) -> np.ndarray:
    """Frames (L, T, D) float32 that follow from the id and the length alone."""
    rng = np.random.default_rng([n_frames, *id.encode()])
    return rng.standard_normal((len(spec.states), n_frames, spec.dim)).astype(np.float32)


def append(writer: FeatureWriter, id: str, frames: np.ndarray) -> None:
    """Append frames (L, T, D) with their own statistics; a store without frames gets those only."""
    writer.append(
        id,
        frames.mean(axis=1),
        frames.std(axis=1),
        frames if writer.spec.frames else None,
        n_frames=frames.shape[1],
        n_samples=frames.shape[1] * 320,
        audio_digest=f"digest of {id}",
    )


def fill(
    path: Path, lengths: Mapping[str, int], format: str, spec: FeatureSpec | None = None, **sizes: int
) -> dict[str, np.ndarray]:
    """Append ``features`` of each id to the store at ``path``, close it, and give them."""
    spec = spec or make_spec()
    content = {id: features(id, n_frames, spec) for id, n_frames in lengths.items()}
    with stores.create(path, spec, format, **(sizes or SIZES)) as writer:
        for id, frames in content.items():
            append(writer, id, frames)
    return content


def as_stored(frames: np.ndarray, dtype: str) -> np.ndarray:
    """What reading gives for frames that were appended as float32."""
    if dtype == "bfloat16":
        import torch

        return torch.from_numpy(frames).to(torch.bfloat16).float().numpy()
    if dtype == "int8":
        scales = (np.abs(frames).max(axis=-1, keepdims=True) / 127).astype(np.float32)
        return np.rint(frames / scales) * scales
    return frames.astype(dtype)


def assert_holds(
    store: FeatureStore, content: Mapping[str, np.ndarray], order: Iterable[str] | None = None
) -> None:
    """The store holds exactly this content, bit for bit, and is whole."""
    ids = store.ids()
    assert sorted(ids) == sorted(content)
    assert order is None or ids == list(order)
    means, stds = store.pooled(), store.pooled(what="std")
    for k, id in enumerate(ids):
        frames = content[id]
        np.testing.assert_array_equal(means[k], frames.mean(axis=1))
        np.testing.assert_array_equal(stds[k], frames.std(axis=1))
        entry = store.entries()[id]
        assert (entry.id, entry.n_frames, entry.n_samples) == (id, frames.shape[1], frames.shape[1] * 320)
        assert entry.audio_digest == f"digest of {id}"
        if store.spec.frames:
            np.testing.assert_array_equal(store.read(id), as_stored(frames, store.spec.dtype))
    assert store.verify() == []


@contextmanager
def without_sync() -> Iterator[None]:
    """Leave fsync out, which takes nine tenths of a small store's time; its order is tested by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sercache.stores.durable.os.fsync", lambda descriptor: None)
        yield

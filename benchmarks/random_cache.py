"""What the training benchmark trains on: caches of random values with realistic lengths, at published sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from sercache import catalog
from sercache.recipe import Recipe
from sercache.views import FeatureView, Source


class Case(NamedTuple):
    """A head at its published size, and how much of it is timed unless the caller says."""

    n_layers: int
    dim: int
    frames: bool
    n_items: int
    n_epochs: int
    """Of each of 25 members."""


CASES = {
    "layer-attention": Case(24, 1024, False, 320, 2),
    "superb": Case(13, 768, False, 1000, 10),
    "linear": Case(13, 768, False, 1000, 10),
    "mlp": Case(13, 768, False, 1000, 10),
    "weighted-dense": Case(13, 768, True, 200, 3),
    "cta-rnn": Case(12, 512, True, 32, 1),
}


class Cache:
    """What a view reads of a store, over random values: frames (L, T, D) float16, or means."""

    def __init__(self, case: Case, n_items: int | None = None, bucket: int = 1) -> None:
        """``bucket``: the recipe's; fewer items than its window are of like length, as its batches are."""
        n_layers, dim, frames, n_items = *case[:3], n_items or case.n_items
        rng = np.random.default_rng(0)
        lengths = lengths_of(rng, n_items, bucket if frames else 1)
        self.spec = SimpleNamespace(
            dim=dim, dtype="float16" if frames else "float32", clip="none", digest="random"
        )
        self.n_frames = lengths if frames else np.ones(n_items, np.int64)
        self.ids = [str(k) for k in range(n_items)]
        self.states = [str(k + 1) for k in range(n_layers)]
        self.means = torch.randn(n_items, n_layers, dim).numpy() if not frames else None
        pool = torch.randn(n_layers, 400, dim).half().numpy()
        self.frames = [np.roll(pool[:, :n], k, 0).copy() for k, n in enumerate(lengths)] if frames else []

    def entries(self) -> dict[str, Any]:
        return {id: SimpleNamespace(n_frames=int(n)) for id, n in zip(self.ids, self.n_frames, strict=True)}

    def read_each(self, ids: Sequence[str], states: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        return enumerate(self.frames[int(id)] for id in ids)

    def pooled(self, ids: Sequence[str], states: Sequence[str], what: str) -> np.ndarray:
        return self.means  # type: ignore[return-value]

    def item(self, k: int) -> np.ndarray:
        """(L, T, D) float32, as peers keep it."""
        return self.means[k][:, None] if self.means is not None else self.frames[k].astype(np.float32)

    def view(self) -> FeatureView:
        frames = self.means is None
        source = Source(self, self.ids, self.ids, self.states, frames=frames, max_frames=None, budget=1 << 40)  # type: ignore[arg-type]
        source.load()
        if frames:
            self.frames = []  # what the view keeps is enough
        labels = np.random.default_rng(1).integers(0, 4, len(self.ids))
        return FeatureView(source, np.arange(len(self.ids)), labels)


def lengths_of(rng: np.random.Generator, n_items: int, bucket: int) -> np.ndarray:
    """Frames at 50 Hz of utterances like IEMOCAP's; of the middle of a window of ``bucket`` times as many."""
    lengths = np.clip(rng.lognormal(5.2, 0.6, n_items * bucket), 30, 400).astype(np.int64)
    if bucket == 1:
        return lengths
    start = n_items * (bucket - 1) // 2
    return np.sort(lengths)[start : start + n_items]


def recipe_of(name: str) -> Recipe:
    """The head's own recipe, for any number of epochs and without a dev set."""
    return dataclasses.replace(
        catalog.load("sercache.heads", name).RECIPE, max_epochs=1, select="last-epoch", patience=None,
        schedule="constant",
    )  # fmt: skip

"""Views of random features in the shapes of real ones: what a training costs shows without reading a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from sercache.views.joined import JoinedView
from sercache.views.side_by_side import AnyView, OneInput, SideBySideView
from sercache.views.source import Source
from sercache.views.view import FeatureView

_POOL = 400
"""Random frames that those of all items are cut from, again and again."""


@dataclass(frozen=True)
class Shape:
    """What an input of a head is made of."""

    n_layers: int
    dim: int
    frames: bool
    """False: means over time."""
    dtype: str = "float16"
    """Type in which frames are stored."""
    normalised: bool = False


@dataclass(eq=False)
class DrawnStore:
    """What a view reads of a store, drawn."""

    shape: Shape
    lengths: np.ndarray
    """(R,) frames."""

    @property
    def spec(self) -> Any:
        """Size, type and a name."""
        return SimpleNamespace(dim=self.shape.dim, dtype=self.shape.dtype, clip="none", digest="drawn")

    @cached_property
    def _frames(self) -> np.ndarray:
        """(L, P, D) of every item, from the first on."""
        n_frames = min(_POOL, int(self.lengths.max(initial=1)))
        drawn = np.random.default_rng(0).standard_normal(
            (self.shape.n_layers, n_frames, self.shape.dim), np.float32
        )
        if self.shape.dtype in ("float16", "bfloat16"):  # numpy has no bfloat16, which is as wide
            return drawn.astype(np.float16)
        return drawn

    def entries(self) -> dict[str, Any]:
        """Frames of each item."""
        return {str(k): SimpleNamespace(n_frames=int(n)) for k, n in enumerate(self.lengths)}

    def read_each(self, ids: Sequence[str], states: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Frames (L, T, D) of some items, each with its place."""
        for place, id in enumerate(ids):
            yield place, self._frames[:, np.arange(self.lengths[int(id)]) % self._frames.shape[1]]

    def pooled(self, ids: Sequence[str], states: Sequence[str], what: str) -> np.ndarray:
        """Means (R, L, D)."""
        shape = (len(ids), len(states), self.shape.dim)
        return np.random.default_rng(0).standard_normal(shape, np.float32)


def drawn(
    shapes: Sequence[Shape],
    lengths: Sequence[np.ndarray],
    labels: np.ndarray,
    targets: np.ndarray | None = None,
) -> AnyView:
    """A view of random features: of each input the shape, and the frames (U,) of its items."""
    inputs = tuple(_drawn(*each, labels, targets) for each in zip(shapes, lengths, strict=True))
    return inputs[0] if len(inputs) == 1 else SideBySideView(inputs)


def _drawn(shape: Shape, lengths: np.ndarray, labels: np.ndarray, targets: np.ndarray | None) -> FeatureView:
    ids, states = [str(k) for k in range(len(lengths))], [str(k) for k in range(shape.n_layers)]
    store: Any = DrawnStore(shape, lengths)
    source = Source(store, ids, ids, states, frames=shape.frames, max_frames=None, budget=1 << 60)
    view = FeatureView(source, np.arange(len(ids)), labels, targets)
    if not shape.normalised:
        return view
    one = np.ones((1, shape.n_layers, shape.dim), np.float32)
    return replace(view, shift=0 * one, scale=one, group=np.zeros(len(ids), np.int64))


def inputs_of(view: AnyView) -> tuple[OneInput, ...]:
    """Of a view of several inputs each of them, else itself."""
    return view.inputs if isinstance(view, SideBySideView) else (view,)


def shape_of(view: OneInput) -> Shape:
    """What an input is made of."""
    first = view.parts[0] if isinstance(view, JoinedView) else view
    stored, frames = first.source.store.spec.dtype, first.source.frames
    return Shape(view.n_layers, view.dim, frames, stored, first.shift is not None)


def drawn_like(view: AnyView, rows: np.ndarray, n_bytes: int | None = None) -> AnyView:
    """Random features for some items of a view, of their shapes and lengths, with their truth; nothing is read.

    ``n_bytes``: what they say that each input takes, as all items of the view would; None: what they do take.
    """
    inputs = inputs_of(view)
    targets = None if view.targets is None else view.targets[rows]
    lengths = [each.n_frames[rows] for each in inputs]
    found = drawn([shape_of(each) for each in inputs], lengths, view.labels[rows], targets)
    for each in inputs_of(found):
        assert isinstance(each, FeatureView)
        each.source.load()  # as those of a training are
        if n_bytes is not None:
            each.source.plan = replace(each.source.plan, bytes=n_bytes, budget=n_bytes)
    return found

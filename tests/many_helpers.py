"""Members to be trained in several ways, and what must be the same then."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from array_view import ArrayView, Doubled, random_view
from torch import Tensor, nn

from sercache.recipe import Recipe
from sercache.training import Fit, Member, build, fit, processes

RECIPE = Recipe(lr=1e-2, batch_size=8, max_epochs=8, select="dev-loss", patience=2)
forks = pytest.mark.skipif(
    not processes.can_fork("cpu"), reason="processes are forked on Linux without a GPU"
)


def folds(frames: tuple[int, int] = (1, 1)) -> list[tuple[ArrayView, ArrayView]]:
    """Of unequal size, with signal enough that members stop at different epochs."""
    return [
        (
            random_view(37 + 9 * k, frames=frames, signal=0.4, seed=k),
            random_view(20, signal=0.4, frames=frames, seed=9 + k),
        )
        for k in range(2)
    ]


def members(head: type[nn.Module], frames: tuple[int, int] = (1, 1), n_seeds: int = 2) -> list[Member]:
    return [
        Member(build(head, train, 4, seed), train, dev, seed)
        for train, dev in folds(frames)
        for seed in range(n_seeds)
    ]


def doubled(several: Iterable[Member]) -> list[Member]:
    """The same members in float64, where trainings can be compared after many updates (see ``tolerances``)."""
    views: dict[int, Doubled] = {}  # members that shared a view still do

    def in_double(view: Any) -> Any:
        return view and views.setdefault(id(view), Doubled(view))

    return [replace(m, head=m.head.double(), train=in_double(m.train), dev=in_double(m.dev)) for m in several]


def alone(head: type[nn.Module], recipe: Recipe = RECIPE, frames: tuple[int, int] = (1, 1)) -> list[Fit]:
    return [fit(m.head, m.train, m.dev, recipe, seed=m.seed) for m in members(head, frames)]


def assert_same(ours: list[Fit], theirs: list[Fit]) -> None:
    """Bit for bit: the same operations, done elsewhere."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.best_epoch, a.stopped_early, a.n_updates) == (b.best_epoch, b.stopped_early, b.n_updates)
        assert len(a.history) == len(b.history)
        assert [replace(e, seconds=0) for e in a.history] == [replace(e, seconds=0) for e in b.history]
        for name, value in a.head.state_dict().items():
            assert torch.equal(value, b.head.state_dict()[name])


class Dies(nn.Module):
    """Ends its process, where that is not the one that made it."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)
        self.parent = os.getpid()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.out(x[:, 0, 0])

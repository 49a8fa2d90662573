"""Training on a card that is none: what lies there, what is moved, and that the numbers are the CPU's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from many_helpers import assert_same
from mock_card import DEVICE, TRAFFIC, Card
from test_training_feeding import IDS, view

from sercache import catalog, nn
from sercache.heads import ef_rnn, linear, mlp, superb, weighted_dense
from sercache.recipe import Recipe
from sercache.training import (
    Fit,
    Member,
    build,
    fit,
    fit_many,
    grouping,
    residing,
    stack,
    stack_epoch,
    stacked,
)
from sercache.training.feeding import Feeder
from sercache.training.loop import optimiser_of, updates
from sercache.training.residing import resident
from sercache.training.state import begin, epoch_plan
from sercache.training.tables import Resident, Tables
from sercache.views import FeatureView, JoinedView, SideBySideView, global_scaling, speaker_scaling

RECIPE = Recipe(lr=1e-2, batch_size=4, max_epochs=2, select="last-epoch")
SPEAKERS = {id: f"s{k % 3}" for k, id in enumerate(IDS)}


@contextmanager
def a_card() -> Iterator[None]:
    """A machine with a card; what is random is drawn as on the CPU, and tensors that wrap others are never frozen."""
    with pytest.MonkeyPatch.context() as patch, Card():
        patch.setattr(stack, "generator_on", lambda device: torch.Generator())
        patch.setattr(torch, "inference_mode", lambda mode=True: torch.no_grad() if mode else nullcontext())
        yield


def views() -> dict[str, Any]:
    """Of every kind, by name."""
    means, frames, halves = view(), view(frames=True), view(frames=True, dtype="float16")
    joined = JoinedView((frames.subset(IDS[:5]), frames.subset(IDS[5:])))
    return {
        "means": means,
        "means of each fold": means.scaled(global_scaling(means)),
        "frames": frames,
        "halves": halves,
        "bfloat16": view(frames=True, dtype="bfloat16"),
        "normalised": halves.scaled(speaker_scaling(halves, SPEAKERS)),
        "joined": joined,
        "side by side": SideBySideView((means, halves.scaled(global_scaling(halves)))),
        "of a user": SideBySideView((joined, joined)),
    }


@pytest.mark.parametrize("name", views())
def test_batches_are_those_of_the_view_to_the_bit(name: str) -> None:
    whole = views()[name]
    with a_card():
        held = resident(whole, DEVICE)
        assert isinstance(held, Resident)
        for rows in (np.arange(12), np.array([5, 2]), np.array([3])):
            for ours, theirs in zip(held.batch(rows), whole.batch(rows), strict=True):
                several = isinstance(ours, tuple)
                for a, b in zip(ours if several else (ours,), theirs if several else (theirs,), strict=True):
                    assert a.device == DEVICE
                    assert a.dtype == b.dtype
                    assert torch.equal(a.cpu(), b)


def test_frames_keep_their_type_and_lie_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, tables = views()["halves"], Tables()
    folds = [whole.subset(ids) for ids in (IDS[:8], IDS[4:])]
    with a_card():
        held = [resident(fold.scaled(global_scaling(fold)), DEVICE, tables) for fold in folds]
        table = held[0].tables[0]  # type: ignore[attr-defined]
        assert table is held[1].tables[0]  # type: ignore[attr-defined]
        assert table.values.dtype == torch.float16
        monkeypatch.setattr(residing, "free_on", lambda device: 0)
        again = resident(folds[0], DEVICE, tables)
        assert isinstance(again, Resident), "what lies there needs no more room"
        assert again.tables == (table,)
        assert table.values.nbytes == whole.plan.bytes + whole.n_layers * whole.dim * 2  # a frame of zeros
    assert not whole.source._kept, "nothing is kept on the CPU beside it"


def test_what_does_not_fit_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = views()["normalised"]
    expected = trained(weighted_dense.Head, whole, "cpu")
    need = whole.plan.bytes / residing.SHARE
    with a_card():
        for free, is_held in ((need, True), (need - 1, False)):
            monkeypatch.setattr(residing, "free_on", lambda device, free=free: free)
            assert isinstance(resident(whole, DEVICE), Resident) == is_held
            rows = np.array([7, 2, 5])
            for ours, theirs in zip(next(Feeder(DEVICE).feed(whole, [rows])), whole.batch(rows), strict=True):
                assert torch.equal(ours.cpu(), theirs)
            assert_alike(trained(weighted_dense.Head, whole, "meta"), expected)


def members(head: Any, whole: FeatureView, *, shared: bool = False) -> list[Member]:
    """Three folds of unequal size by two seeds."""
    folds = [whole.subset(ids) for ids in (IDS[:8], IDS[3:], IDS[1:])]
    options = (  # draws differ between devices
        {} if head in (linear.Head, superb.Head) else {"dropout_rate": 0.0}
    )
    return [
        Member(build(head, part, 4, seed, **options), part, part, seed, 0 if shared else None)
        for fold in folds
        for part in [fold.scaled(global_scaling(fold))]
        for seed in (1, 2)
    ]


def trained(head: Any, whole: FeatureView, device: str, recipe: Recipe = RECIPE) -> Fit:
    member = members(head, whole)[-1]
    return fit(member.head, member.train, member.dev, recipe, seed=member.seed, device=device)


def assert_alike(found: Fit, expected: Fit) -> None:
    """Two trainings of a few updates in float32, by other kernels."""
    losses = [[(e.train_loss, e.dev_loss) for e in each.history] for each in (found, expected)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


HEADS = {
    "linear": (linear.Head, "means"),
    "superb": (superb.Head, "means"),
    "mlp": (mlp.Head, "means"),
    "weighted-dense": (weighted_dense.Head, "halves"),
}
"""Without draws and with, of means and of frames."""


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
@pytest.mark.parametrize("name", HEADS)
def test_nothing_is_moved_for_a_batch(name: str, together: bool) -> None:
    """An epoch of many batches moves, and waits, as often as one of few, whether members train alone or together."""
    head, kind = HEADS[name]
    found, ways = [], list[str]()
    for size in (4, 1):
        whole, recipe = views()[kind], replace(RECIPE, max_epochs=1, batch_size=size)
        with a_card():
            several = members(head, whole) if together else members(head, whole)[-1:]
            TRAFFIC.clear()
            fit_many(several, recipe, device="meta", way="stacked", say=ways.append)
            found.append(TRAFFIC.moves)
    assert found[0] == found[1]
    assert set(ways) == {"as one stacked model" if together else "one after another"}


@pytest.mark.parametrize("name", HEADS)
def test_members_on_a_card_are_those_of_the_cpu(name: str) -> None:
    head, kind = HEADS[name]
    expected = fit_many(members(head, views()[kind]), RECIPE, way="serial")
    with a_card():
        found = fit_many(members(head, views()[kind]), RECIPE, device="meta", way="stacked")
    for ours, theirs in zip(found, expected, strict=True):
        assert_alike(ours, theirs)


@pytest.mark.parametrize("name", ["linear", "superb", "mlp", "layer-attention", "weighted-dense"])
def test_members_together_take_few_more_operations_than_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a launch, and launches are what small heads cost on a card; draws alone are made member by member.

    Its optimiser's step, a launch or two on a card, is left out. Docs/decisions/0007 has what this prints (``-rP``).
    """
    module, n_members = catalog.load("sercache.heads", name), 25
    whole = views()["halves" if module.SETUP.frames else "means"]
    recipe = replace(module.RECIPE, batch_size=4, accumulate=1, select="last-epoch", patience=None)
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        monkeypatch.setattr(kind, "step", lambda self: None)

    def several(shared: bool) -> list[Member]:
        return [
            Member(build(module.Head, whole, 4, k), whole, None, k, 0 if shared else None)
            for k in range(n_members)
        ]

    with a_card():
        one = begin(several(False)[0], recipe, "meta")
        runs: list[Any] = [updates(one, epoch_plan(one)[1], optimiser_of(one.parameters, recipe))]
        for shared in (False, True):
            many = stacked._begin(several(shared), recipe, "meta", Tables())
            runs.append(stack_epoch.epoch_of(many, many.plan()))
        found = []
        for run in runs:
            next(run)  # what the first update makes is there
            TRAFFIC.clear()
            next(run)
            found.append(TRAFFIC.n_operations)
    print(
        f"{name}: {found[0]} operations for one, {found[1]} for {n_members}, {found[2]} where they share batches"
    )
    draws = 3 * n_members * {"mlp": 1, "weighted-dense": 2}.get(name, 0)
    assert max(found[1:]) <= 1.3 * found[0] + draws


def test_members_draw_on_a_card_what_each_draws_alone() -> None:
    """The longest of a member is shorter than that of others: frames beyond it are no part of its draw."""
    mask = torch.arange(6) < torch.tensor([[6, 2], [3, 4], [1, 5]])[..., None]  # (K, B, T)
    x = torch.randn(3, 2, 6, 5)
    with a_card():
        streams = [torch.Generator().manual_seed(k) for k in range(3)]
        there, real = x.to(DEVICE), mask.to(DEVICE)
        with nn.own_streams(streams, own_batches=True, longest=[6, 4, 5]):
            many = torch.func.vmap(lambda each, m: nn.dropout(each, 0.4, True, m), randomness="error")
            found = many(there, real).cpu()
        for k, longest in enumerate((6, 4, 5)):
            torch.manual_seed(k)
            alone = nn.dropout(x[k, :, :longest].to(DEVICE), 0.4, training=True).cpu()
            assert torch.equal(found[k, :, :longest], alone)
            assert not found[k, :, longest:].any()


def test_few_recurrent_networks_are_no_stack_on_a_card() -> None:
    """cuDNN computes them one after another in less time; a CPU has processes instead."""
    for head, n_members, gains in ((ef_rnn.Head, 4, False), (ef_rnn.Head, 5, True), (linear.Head, 2, True)):
        whole = view(frames=True)
        options = {"hidden": 3, "heads": 1, "head_dim": 2} if head is ef_rnn.Head else {}
        several = [Member(build(head, whole, 4, k, **options), whole, None, k, 0) for k in range(n_members)]
        assert grouping.gains(several, DEVICE) == gains
        assert grouping.gains(several, torch.device("cpu"))


def test_a_cpu_by_another_name_is_the_cpu() -> None:
    """Members of a stack lie in one tensor: a head that is moved again, if only in name, would leave it."""
    whole = views()["means"]
    expected, found = (
        fit_many(members(linear.Head, whole), RECIPE, device=device, way="stacked")
        for device in ("cpu", "cpu:0")
    )
    assert_same(found, expected)

"""How batches reach a head: one shared copy of the cache, memory used again, reading ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_store import FakeStore

from sercache.heads import linear, weighted_dense
from sercache.recipe import Recipe
from sercache.training import build, fit, predict
from sercache.training.feeding import Feeder
from sercache.training.residing import resident
from sercache.training.tables import Tables
from sercache.views import (
    BatchMemory,
    FeatureView,
    JoinedView,
    SideBySideView,
    global_scaling,
    open_view,
    speaker_scaling,
)

QUICK = Recipe(lr=1e-2, batch_size=4, max_epochs=2, select="last-epoch")
CPU = torch.device("cpu")
IDS = [f"u{k}" for k in range(12)]


def store(dtype: str = "float32", seed: int = 0) -> FakeStore:
    rng = np.random.default_rng(seed)
    frames = {id: rng.normal(2, 3, (3, int(rng.integers(2, 9)), 5)).astype(np.float32) for id in IDS}
    if dtype == "bfloat16":
        frames = {id: torch.from_numpy(x).bfloat16().float().numpy() for id, x in frames.items()}
    return FakeStore(frames, dtype=dtype)


def view(frames: bool = False, dtype: str = "float32", budget: int | None = None) -> FeatureView:
    labels = {id: k % 4 for k, id in enumerate(IDS)}
    return open_view(store(dtype), labels, states="all", frames=frames, budget=budget)


class TestTables:
    def test_plain_means_are_never_copied(self) -> None:
        whole, tables = view(), Tables()
        parts = [resident(whole.subset(ids), CPU, tables) for ids in (IDS[:8], IDS[4:])]
        assert parts[0].tables[0] is parts[1].tables[0]
        assert parts[0].tables[0].values.data_ptr() == whole.source.mean.ctypes.data

    def test_folds_of_one_normalisation_share_a_table(self) -> None:
        whole, tables = view(), Tables()
        whole = whole.scaled(speaker_scaling(whole, {id: f"s{k % 3}" for k, id in enumerate(IDS)}))
        parts = [whole.subset(ids) for ids in (IDS[:5], IDS[3:9], IDS[::-1])]
        held = [resident(part, CPU, tables) for part in parts]
        assert len({id(each.tables[0]) for each in held}) == 1
        for part, each in zip(parts, held, strict=True):
            rows = np.arange(len(part))[::-1].copy()
            assert torch.equal(part.batch(rows)[0], each.batch(rows)[0])
        del held, each
        assert not tables  # gone with the last training that reads it

    def test_folds_of_other_statistics_do_not(self) -> None:
        whole, tables = view(), Tables()
        parts = [whole.subset(ids) for ids in (IDS[:8], IDS[4:])]
        scaled = [part.scaled(global_scaling(part)) for part in parts]
        held = [resident(part, CPU, tables) for part in scaled]
        assert held[0].tables[0] is not held[1].tables[0]
        for part, each in zip(scaled, held, strict=True):
            assert torch.equal(part.batch(np.arange(8))[0], each.batch(np.arange(8))[0])

    def test_several_inputs_and_joined_views(self) -> None:
        whole, tables = view(), Tables()
        pair = SideBySideView((whole, whole.scaled(global_scaling(whole))))
        held = resident(pair, CPU, tables)
        for ours, theirs in zip(
            held.batch(np.array([3, 1]))[0], pair.batch(np.array([3, 1]))[0], strict=True
        ):
            assert torch.equal(ours, theirs)
        joined = JoinedView((whole.subset(IDS[:2]), whole.subset(IDS[5:])))
        rows = np.array([4, 0])
        assert torch.equal(resident(joined, CPU, tables).batch(rows)[0], joined.batch(rows)[0])


class TestFrames:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
    @pytest.mark.parametrize("scaled", [False, True])
    def test_used_memory_gives_the_same_batches(self, dtype: str, scaled: bool) -> None:
        whole = view(frames=True, dtype=dtype)
        whole = whole.scaled(global_scaling(whole)) if scaled else whole
        memory = BatchMemory()
        memory.take((100_000,)).fill_(torch.nan)
        for rows in (np.arange(12), np.array([5, 2]), np.arange(12)[::-1].copy()):
            ours, ours_mask = whole.batch(rows, memory)
            theirs, theirs_mask = whole.batch(rows)
            assert torch.equal(ours, theirs)
            assert torch.equal(ours_mask, theirs_mask)
        kept = next(iter(whole.source._kept.values()))
        assert str(kept.dtype) == f"torch.{dtype}"

    def test_memory_is_used_again(self) -> None:
        memory, whole = BatchMemory(), view(frames=True)
        first = whole.batch(np.arange(12), memory)[0].data_ptr()
        assert whole.batch(np.arange(3), memory)[0].data_ptr() == first

    def test_reading_ahead_gives_the_same_training(self) -> None:
        runs = []
        for budget in (0, 1 << 30):
            whole = view(frames=True, budget=budget)
            assert whole.plan.in_memory == bool(budget)
            runs.append(fit(build(weighted_dense.Head, whole, 4, 0), whole, whole, QUICK, seed=0))
        losses = [[(e.train_loss, e.dev_loss) for e in run.history] for run in runs]
        assert losses[0] == losses[1]
        assert runs[0].timing["padding"] == runs[1].timing["padding"] > 0

    def test_a_fault_of_the_store_comes_out_of_the_reading_thread(self) -> None:
        whole = view(frames=True, budget=0)
        whole.source.store.frames.pop("u7")
        with pytest.raises(KeyError):
            list(Feeder(CPU).feed(whole, [np.arange(6), np.arange(6, 12)]))

    @pytest.mark.parametrize("budget", [0, 1 << 30])
    def test_the_disk_is_told_of_each_batch_after_the_first_where_frames_are_streamed(
        self, budget: int
    ) -> None:
        whole = view(frames=True, budget=budget)
        parts = [np.array([3, 1, 3]), np.array([0, 7]), np.array([11])]
        list(Feeder(CPU).feed(whole, parts))
        assert whole.source.store.expected == ([] if budget else [["u0", "u7"], ["u11"]])

    def test_stopping_half_way_leaves_nothing_behind(self) -> None:
        whole = view(frames=True, budget=0)
        read = Feeder(CPU).feed(whole, [np.array([k]) for k in range(12)])
        next(read)
        read.close()
        assert len(predict(build(linear.Head, whole, 4, 0), whole)) == 12


def test_pooled_training_is_the_same_through_a_table() -> None:
    whole = view()
    whole = whole.scaled(global_scaling(whole))
    recipe = replace(QUICK, max_epochs=3)
    shared = fit(build(linear.Head, whole, 4, 0), whole, None, recipe, seed=0)
    joined = JoinedView((whole.subset(IDS[:5]), whole.subset(IDS[5:])))  # copies
    copied = fit(build(linear.Head, joined, 4, 0), joined, None, recipe, seed=0)
    for a, b in zip(shared.head.parameters(), copied.head.parameters(), strict=True):
        assert torch.equal(a, b)

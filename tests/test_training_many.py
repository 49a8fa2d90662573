"""Many members trained together: each as it would be alone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
import torch
from array_view import random_view
from many_helpers import RECIPE, Dies, alone, assert_same, doubled, folds, forks, members
from tolerances import assert_trained_alike
from torch import Tensor, nn

from sercache.errors import TrainingError
from sercache.heads import layer_attention, linear, mlp, superb, weighted_dense
from sercache.recipe import Recipe
from sercache.training import Epoch, Member, build, fit_many, fits, grouping, many, predict, processes
from sercache.training.members import peak_bytes
from sercache.training.tables import Tables


@forks
@pytest.mark.parametrize("head", [mlp.Head, weighted_dense.Head])
def test_processes_give_what_each_member_gives_alone(head: type[nn.Module]) -> None:
    frames = (2, 5) if head is weighted_dense.Head else (1, 1)
    expected = alone(head, frames=frames)
    assert len({len(run.history) for run in expected}) > 1, "members should stop at different epochs"
    assert_same(fit_many(members(head, frames), RECIPE, way="processes"), expected)


def test_one_after_another_gives_the_same() -> None:
    received: list[str] = []
    found = fit_many(members(mlp.Head), RECIPE, way="serial", say=received.append)
    assert_same(found, alone(mlp.Head))
    assert received == ["one after another"]


class OwnDropout(nn.Module):
    """Draws for all members from one stream, as torch's dropout does: it cannot be stacked."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(0.3), nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.out(self.drop(x[:, 0, 0]))


class TestStacked:
    @pytest.mark.parametrize("head", [linear.Head, superb.Head])
    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"optimiser": "sgd", "lr": 0.3, "clip_norm": 0.5, "accumulate": 2},
            {
                "loss": "focal",
                "balance": "class-weights",
                "schedule": "halve-on-plateau",
                "plateau_patience": 1,
            },
        ],
    )
    def test_gives_what_each_member_gives_alone(self, head: type[nn.Module], change: dict) -> None:
        recipe = replace(RECIPE, max_epochs=25, **change)
        expected = fit_many(doubled(members(head)), recipe, way="serial")
        found = fit_many(doubled(members(head)), recipe, way="stacked")
        assert_trained_alike(found, expected, recipe)
        assert len({len(run.history) for run in expected}) > 1, "members should stop at different epochs"

    def test_layer_attention(self) -> None:
        recipe = replace(RECIPE, lr=1e-3, max_epochs=3)
        found = fit_many(doubled(members(layer_attention.Head)), recipe, way="stacked")
        expected = fit_many(doubled(members(layer_attention.Head)), recipe, way="serial")
        assert_trained_alike(found, expected, recipe)

    @pytest.mark.parametrize(
        ("head", "frames"), [(superb.Head, (1, 1)), (mlp.Head, (1, 1)), (weighted_dense.Head, (2, 5))]
    )
    @pytest.mark.parametrize("change", [{}, {"clip_norm": 0.1, "accumulate": 3}, {"clip_value": 0.01}])
    def test_members_that_share_their_batches(
        self, head: type[nn.Module], frames: tuple[int, int], change: dict
    ) -> None:
        def several() -> list[Member]:
            parts = folds(frames)
            return doubled(
                Member(build(head, train, 4, k), train, dev, k, order_seed=7)
                for k in range(3)
                for train, dev in parts
            )

        ours, recipe = several(), replace(RECIPE, max_epochs=3, **change)
        assert grouping.stacks(ours, 25) == [list(range(6))[k::2] for k in range(2)]
        received: list[str] = []
        found = fit_many(ours, recipe, way="stacked", say=received.append)
        assert received == ["as one stacked model"]
        assert_trained_alike(found, fit_many(several(), recipe, way="serial"), recipe)

    def test_members_draw_their_own_dropout(self) -> None:
        """Batches of their own, and an epoch in which some have no batch left."""
        expected = fit_many(doubled(members(mlp.Head)), RECIPE, way="serial")
        assert_trained_alike(fit_many(doubled(members(mlp.Head)), RECIPE, way="stacked"), expected, RECIPE)

    @pytest.mark.parametrize(
        ("head", "frames"), [(superb.Head, (1, 1)), (mlp.Head, (1, 1)), (weighted_dense.Head, (2, 5))]
    )
    def test_losses_are_the_same_in_float32(self, head: type[nn.Module], frames: tuple[int, int]) -> None:
        recipe = replace(RECIPE, max_epochs=1)
        expected = fit_many(members(head, frames), recipe, way="serial")
        assert_trained_alike(fit_many(members(head, frames), recipe, way="stacked"), expected, recipe)

    @pytest.mark.parametrize(("head", "frames"), [(OwnDropout, (1, 1)), (OwnDropout, (2, 5))])
    def test_what_cannot_be_stacked_is_trained_as_ever(
        self, head: type[nn.Module], frames: tuple[int, int]
    ) -> None:
        received: list[str] = []
        quick = replace(RECIPE, max_epochs=2, patience=None)
        found = fit_many(members(head, frames), quick, way="stacked", say=received.append)
        assert received == ["one after another"]
        assert_same(found, alone(head, quick, frames))

    def test_heads_of_other_options_are_no_stack(self) -> None:
        view = random_view(8)
        several = [
            Member(build(mlp.Head, view, 4, 0, dropout_rate=0.0, hidden=h), view, None, 0) for h in (8, 9)
        ]
        assert not grouping.can_stack(several)
        assert grouping.can_stack(several[:1] * 2)


def test_a_look_at_the_memory_leaves_no_trace() -> None:
    (member, *_), state = members(mlp.Head), torch.get_rng_state()
    before = [p.clone() for p in member.head.parameters()]
    assert peak_bytes(member, RECIPE, Tables()) >= 0
    assert all(torch.equal(a, b) for a, b in zip(before, member.head.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def choice(several: list[Member], recipe: Recipe = RECIPE, device: str = "cpu") -> str:
    """How ``auto`` would train them."""
    return str(many.choose(several, recipe, device, "auto"))


class TestRule:
    """Which way ``auto`` is: by device, head and sizes, and nothing else."""

    @pytest.fixture(autouse=True)
    def _machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(many, "cores", lambda: 8)
        monkeypatch.setattr(many, "peak_bytes", lambda *given: 100)
        monkeypatch.setattr(many, "free_memory", lambda: 10_000)
        monkeypatch.setattr(processes, "can_fork", lambda device: device == "cpu")

    def test_small_work_is_not_worth_processes(self) -> None:
        """Four members with five batches an epoch; a batch counts as a hundred million products at least."""
        several = members(linear.Head)
        assert choice(several, replace(RECIPE, max_epochs=99)) == "one after another"
        assert choice(several, replace(RECIPE, max_epochs=100)) == "in 4 processes"
        assert choice(several[:1], replace(RECIPE, max_epochs=10**6)) == "one after another"

    @pytest.mark.parametrize(("free", "expected"), [(100, 1), (400, 3), (10_000, 4)])
    def test_no_more_processes_than_memory_holds(
        self, monkeypatch: pytest.MonkeyPatch, free: int, expected: int
    ) -> None:
        monkeypatch.setattr(many, "WORTH", 0.0)
        monkeypatch.setattr(many, "free_memory", lambda: free)
        said = "one after another" if expected == 1 else f"in {expected} processes"
        assert choice(members(linear.Head)) == said

    @pytest.mark.parametrize(
        ("n_cores", "expected"), [(3, "one after another"), (8, "in 4 processes"), (9, "one after another")]
    )
    def test_large_products_are_left_to_threads_where_processes_gain_nothing(
        self, monkeypatch: pytest.MonkeyPatch, n_cores: int, expected: str
    ) -> None:
        monkeypatch.setattr(many, "WORTH", 0.0)
        monkeypatch.setattr(many, "SMALL", 0.0)
        monkeypatch.setattr(many, "cores", lambda: n_cores)
        assert choice(members(linear.Head)) == expected

    def test_where_processes_cannot_be_had_members_follow_each_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(many, "WORTH", 0.0)
        monkeypatch.setattr(processes, "can_fork", lambda device: False)
        assert choice(members(linear.Head)) == "one after another"

    def test_on_cuda_a_head_that_stacks_is_a_stack(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(many.stacked, "refusal", lambda *given: "")
        quick = replace(RECIPE, max_epochs=1)
        assert choice(members(linear.Head), quick, "cuda") == "as one stacked model"
        assert choice(members(OwnDropout), quick, "cuda") == "one after another"

    @forks
    def test_the_rule_is_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        received: list[str] = []
        found = fit_many(members(linear.Head), RECIPE, say=received.append)
        assert received == ["one after another"]
        monkeypatch.setattr(many, "WORTH", 0.0)
        monkeypatch.setattr(many, "cores", lambda: 2)
        assert_same(fit_many(members(linear.Head), RECIPE, say=received.append), found)
        assert received[1:] == ["in 2 processes"]


def test_nobody() -> None:
    assert fit_many([], RECIPE) == []


@forks
def test_progress_hears_of_every_epoch_of_every_member() -> None:
    received: list[tuple[int, int]] = []
    runs = fit_many(
        members(linear.Head),
        RECIPE,
        way="processes",
        progress=lambda number, epoch: received.append((number, epoch.number)),
    )
    expected = [(k, e.number) for k, run in enumerate(runs) for e in run.history]
    assert sorted(received) == expected


@forks
def test_a_fault_of_a_member_comes_out() -> None:
    several = members(linear.Head)
    several[2].train.items[5][:] = np.nan
    with pytest.raises(TrainingError, match="loss is nan"):
        fit_many(several, RECIPE, way="processes")
    assert no_children()


@forks
def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(TrainingError, match="ended with code -9"):
        fit_many(members(Dies), RECIPE, way="processes")
    assert no_children()


@forks
def test_leaving_early_stops_the_processes_and_keeps_what_is_done() -> None:
    kept = []
    several = fits(members(mlp.Head), RECIPE, way="processes")
    kept.append(next(several))
    several.close()
    assert no_children()
    number, done = kept[0]
    view = members(mlp.Head)[number].train
    assert np.isfinite(predict(done.head, view)).all()


@forks
def test_ctrl_c_stops_the_processes() -> None:
    def interrupt(number: int, epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_many(members(linear.Head), RECIPE, way="processes", progress=interrupt)
    assert no_children()


@forks
@pytest.mark.slow
def test_processes_end_with_their_parent() -> None:
    """A parent that is killed leaves nobody behind: they notice at their next word."""
    code = textwrap.dedent(
        """
        import os, sys
        sys.path[:0] = ["tests", "."]
        from many_helpers import RECIPE, Dies, members
        from sercache.heads import linear
        from dataclasses import replace
        from sercache.training import fit_many
        endless = replace(RECIPE, max_epochs=10**9, patience=None)
        def received(number, epoch):
            import multiprocessing
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            os.kill(os.getpid(), 9)
        fit_many(members(linear.Head), endless, way="processes", progress=received)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pids = [int(word) for word in done.stdout.split()]
    assert pids, done.stderr
    for _ in range(100):
        if not any(alive(pid) for pid in pids):
            return
        __import__("time").sleep(0.1)
    raise AssertionError("training processes outlive their parent")


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def no_children() -> bool:
    import multiprocessing

    return not multiprocessing.active_children()


@forks
def test_processes_share_frames_and_tables_of_a_store() -> None:
    """Features of a store are read by the parent, once; the processes read nothing."""
    from fake_store import make_talk

    from sercache.views import open_view, speaker_scaling

    for frames in (False, True):
        corpus, store = make_talk()
        labels = {u.id: k % 4 for k, u in enumerate(corpus.utterances)}
        whole = open_view(store, labels, states="all", frames=frames)
        whole = whole.scaled(speaker_scaling(whole, {u.id: u.speaker for u in corpus.utterances}))
        ids = list(labels)
        parts = [(whole.subset(ids[k:]), whole.subset(ids[:k])) for k in (8, 12)]
        head = weighted_dense.Head if frames else mlp.Head

        def several(parts: list = parts, head: type[nn.Module] = head) -> list[Member]:
            return [Member(build(head, train, 4, k), train, dev, k) for k, (train, dev) in enumerate(parts)]

        quick = replace(RECIPE, max_epochs=3)
        expected = fit_many(several(), quick, way="serial")
        n_reads = store.n_reads
        assert n_reads == (len(ids) if frames else 0)
        store.frames.clear()  # a process that read would fail
        assert_same(fit_many(several(), quick, way="processes"), expected)

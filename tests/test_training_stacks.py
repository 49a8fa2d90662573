"""Stacks: members that step as one, and stacks that processes train; each member as it would be alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from many_helpers import RECIPE, Dies, assert_same, doubled, folds, forks, members
from tolerances import assert_trained_alike
from torch import Tensor, nn

from sercache.errors import TrainingError
from sercache.heads import linear, mlp, superb, weighted_dense
from sercache.training import Epoch, Member, build, fit_many, fits, grouping, many, processes
from sercache.training.members import Pace
from sercache.training.stack import Stack


def sharing(head: type[nn.Module], frames: tuple[int, int] = (1, 1), n_seeds: int = 3) -> list[Member]:
    """Two folds whose seeds share their batches."""
    return [
        Member(build(head, train, 4, seed), train, dev, seed, order_seed=7)
        for train, dev in folds(frames)
        for seed in range(n_seeds)
    ]


class TestSteps:
    """One step for all members: 37 and 46 items in batches of 8 are 5 and 6 updates of an epoch."""

    @pytest.mark.parametrize(
        "change",
        [
            {"optimiser": "adam", "weight_decay": 1e-3, "schedule": "cosine"},
            {"optimiser": "adam", "schedule": "halve-on-plateau"},
            {"optimiser": "adamw", "weight_decay": 1e-2, "schedule": "exponential", "decay": 0.8},
            {"optimiser": "sgd", "lr": 0.05, "weight_decay": 1e-3},
            {"optimiser": "sgd", "lr": 0.3, "beta1": 0.0, "schedule": "halve-on-plateau"},
        ],
        ids=lambda change: "-".join(str(value) for value in change.values()),
    )
    @pytest.mark.parametrize("shared", [False, True])
    def test_are_those_of_each_member_alone(self, change: dict, shared: bool) -> None:
        recipe = replace(RECIPE, plateau_patience=0, **change)

        def several() -> list[Member]:
            return sharing(superb.Head, n_seeds=2) if shared else members(superb.Head)

        expected = fit_many(doubled(several()), recipe, way="serial")
        assert len({len(run.history) for run in expected}) > 1, "members should stop at different epochs"
        assert len({run.n_updates // len(run.history) for run in expected}) > 1
        assert_trained_alike(fit_many(doubled(several()), recipe, way="stacked"), expected, recipe)

    def test_members_of_equal_steps_are_one_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that differ in rate or in number of updates are not."""
        seen: list[list[tuple[int, float]]] = []
        plan = Stack.plan

        def spied(stack: Stack) -> list:
            found = plan(stack)
            rates = [group["lr"] for group in stack.optimiser.param_groups]  # type: ignore[union-attr]
            seen.append([(len(b.members), lr) for b, lr in zip(stack.blocks, rates, strict=True)])
            return found

        monkeypatch.setattr(Stack, "plan", spied)
        recipe = replace(RECIPE, patience=None, max_epochs=3)
        fit_many(members(linear.Head, n_seeds=3), recipe, way="stacked")
        assert seen[-3:] == [[(3, RECIPE.lr), (3, RECIPE.lr)]] * 3
        halving = replace(recipe, schedule="halve-on-plateau", plateau_patience=0, max_epochs=12, lr=0.1)
        fit_many(sharing(linear.Head), halving, way="stacked")
        assert any(len({lr for _, lr in blocks}) > 1 for blocks in seen), "rates should come apart"

    def test_a_parameter_of_one_number(self) -> None:
        """Its state has the shape of the count of steps."""
        recipe = replace(RECIPE, max_epochs=25)
        expected = fit_many(doubled(sharing(Scaled)), recipe, way="serial")
        assert len({len(run.history) for run in expected}) > 1
        found = fit_many(doubled(sharing(Scaled)), recipe, way="stacked")
        assert_trained_alike(found, expected, recipe)

    def test_a_frozen_parameter_stays(self) -> None:
        def several() -> list[Member]:
            found = sharing(mlp.Head)
            for member in found:
                member.head.hidden.weight.requires_grad_(False)  # type: ignore[union-attr]
            return doubled(found)

        before = [m.head.hidden.weight.clone() for m in several()]  # type: ignore[union-attr]
        found = fit_many(several(), RECIPE, way="stacked")
        assert_trained_alike(found, fit_many(several(), RECIPE, way="serial"), RECIPE)
        assert all(torch.equal(a, b.head.hidden.weight) for a, b in zip(before, found, strict=True))  # type: ignore[union-attr]


class Scaled(nn.Module):
    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.scale, self.out = nn.Parameter(torch.tensor(1.0)), nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.scale * self.out(x[:, 0, 0])


class TestPieces:
    def test_what_does_not_divide_is_cut(self) -> None:
        units = [list(range(5 * k, 5 * k + 5)) for k in range(5)]
        found = grouping.pieces(units, 2)
        assert sorted(len(each) for each in found) == [2, 3, 5, 5, 5, 5]
        assert found[-2:] == [[22, 23, 24], [20, 21]]
        assert sorted(number for each in found for number in each) == list(range(25))

    @pytest.mark.parametrize("n_workers", [2, 3, 4, 5, 8, 16, 40])
    @pytest.mark.parametrize("sizes", [[5] * 5, [5], [1, 1, 1], [4, 2, 7], [25] * 3])
    def test_everybody_is_in_one_piece_and_nobody_idles_for_long(
        self, n_workers: int, sizes: list[int]
    ) -> None:
        ends = np.cumsum(sizes)
        units = [list(range(end - n, end)) for end, n in zip(ends, sizes, strict=True)]
        found = grouping.pieces(units, n_workers)
        assert sorted(number for each in found for number in each) == list(range(sum(sizes)))
        assert all(any(set(each) <= set(unit) for unit in units) for each in found)
        assert [len(each) for each in found] == sorted((len(each) for each in found), reverse=True)
        assert max(grouping.loads(found, n_workers)) <= max(grouping.loads(units, n_workers))

    def test_as_many_stacks_as_processes_stay_whole(self) -> None:
        units = [[0, 1, 2], [3, 4, 5]]
        assert grouping.pieces(units, 2) == units
        assert grouping.loads([[0, 1, 2], [3], [4]], 2) == [3, 2]


@forks
class TestInProcesses:
    @pytest.mark.parametrize(
        ("head", "frames"), [(superb.Head, (1, 1)), (mlp.Head, (1, 1)), (weighted_dense.Head, (2, 5))]
    )
    def test_members_are_those_trained_alone(self, head: type[nn.Module], frames: tuple[int, int]) -> None:
        expected = fit_many(doubled(sharing(head, frames)), RECIPE, way="serial")
        assert len({len(run.history) for run in expected}) > 1, "members should stop at different epochs"
        heard: list[str] = []
        epochs: list[tuple[int, int]] = []
        found = fit_many(
            doubled(sharing(head, frames)),
            RECIPE,
            way="stacked-processes",
            say=heard.append,
            progress=lambda number, epoch: epochs.append((number, epoch.number)),
        )
        assert heard[0].startswith("as stacks in 2 processes: "), heard
        assert_trained_alike(found, expected, RECIPE)
        assert sorted(epochs) == [(k, e.number) for k, run in enumerate(found) for e in run.history]

    def test_a_member_left_by_itself_has_the_same_bits(self) -> None:
        """Of three on two processes one is alone: trained as ever."""
        several = sharing(superb.Head)[:3]
        [single] = next(order for order in grouping.pieces([[0, 1, 2]], 2) if len(order) == 1)
        found = fit_many(several, RECIPE, way="stacked-processes")[single]
        expected = fit_many(sharing(superb.Head)[:3], RECIPE, way="serial")[single]
        assert_same([found], [expected])

    def test_members_come_as_they_stop(self) -> None:
        numbers = [number for number, _ in fits(sharing(superb.Head), RECIPE, way="stacked-processes")]
        assert sorted(numbers) == list(range(6))

    def test_heads_that_do_not_stack_are_trained_as_ever(self) -> None:
        heard: list[str] = []
        quick = replace(RECIPE, max_epochs=2, patience=None)
        found = fit_many(sharing(Dropped), quick, way="stacked-processes", say=heard.append)
        assert heard == ["one after another"]
        assert_same(found, fit_many(sharing(Dropped), quick, way="serial"))

    def test_a_fault_of_a_member_comes_out(self) -> None:
        several = sharing(linear.Head)
        several[4].train.items[5][:] = np.nan
        with pytest.raises(TrainingError, match="loss is nan"):
            fit_many(several, RECIPE, way="stacked-processes")
        assert no_children()

    def test_a_process_that_dies_is_told(self) -> None:
        with pytest.raises(TrainingError, match="ended with code -9"):
            fit_many(sharing(Dies), RECIPE, way="stacked-processes")
        assert no_children()

    def test_leaving_early_and_ctrl_c_stop_the_processes(self) -> None:
        several = fits(sharing(linear.Head), RECIPE, way="stacked-processes")
        next(several)
        several.close()
        assert no_children()

        def interrupt(number: int, epoch: Epoch) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit_many(sharing(linear.Head), RECIPE, way="stacked-processes", progress=interrupt)
        assert no_children()


@forks
class TestChoice:
    @pytest.fixture(autouse=True)
    def _long_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(many, "WORTH", 0.0)
        monkeypatch.setattr(many, "_cores", lambda: 2)

    @pytest.mark.parametrize(
        ("alone", "stack", "chosen"),
        [
            (1.0, 0.5, "as stacks in 2 processes"),
            (0.5, 1.0, "in 2 processes"),
            (9e9, 9e9, "one after another"),
        ],
    )
    def test_the_fastest_is_taken(
        self, monkeypatch: pytest.MonkeyPatch, alone: float, stack: float, chosen: str
    ) -> None:
        orders: list[dict] = []

        def trial(crew: list, asked: dict, limit: float) -> dict[str, float | str]:
            orders.append(asked)
            assert limit <= 0.3
            return {"processes": alone * 1e-9, "stacked-processes": stack * 1e-9}

        monkeypatch.setattr(processes, "trial", trial)
        heard: list[str] = []
        fit_many(sharing(superb.Head), replace(RECIPE, max_epochs=2), say=heard.append)
        assert heard[0].startswith(chosen + ": "), heard
        assert orders == [{"processes": [0], "stacked-processes": [0, 1, 2]}]

    @pytest.mark.parametrize(("free", "largest"), [(10_000, 3), (500, 2), (250, 1)])
    def test_stacks_are_no_larger_than_memory_holds(
        self, monkeypatch: pytest.MonkeyPatch, free: int, largest: int
    ) -> None:
        asked: list[dict] = []

        def trial(crew: list, orders: dict, limit: float) -> dict[str, float | str]:
            asked.append(orders)
            return dict.fromkeys(orders, 1e-9)

        monkeypatch.setattr(processes, "trial", trial)
        monkeypatch.setattr(many, "free_memory", lambda: free)
        monkeypatch.setattr(many, "pace", lambda *given, **more: Pace(1.0, 5, n_bytes=100))
        fit_many(sharing(superb.Head), replace(RECIPE, max_epochs=1))
        assert [len(orders.get("stacked-processes", [0])) for orders in asked] == [largest]

    def test_a_trial_measures_both_at_once(self) -> None:
        heard: list[str] = []
        fit_many(sharing(superb.Head), replace(RECIPE, max_epochs=2), say=heard.append)
        assert "a batch in 2 processes, " in heard[0]
        assert "a batch as stacks in 2 processes" in heard[0]

    def test_members_with_batches_of_their_own_are_not_stacked(self) -> None:
        heard: list[str] = []
        fit_many(members(superb.Head), replace(RECIPE, max_epochs=2), say=heard.append)
        assert "stack" not in heard[0]

    def test_a_head_that_torch_cannot_stack_is_named(self) -> None:
        heard: list[str] = []
        fit_many(sharing(Sized), replace(RECIPE, max_epochs=2), say=heard.append)
        assert "not as stacks in 2 processes, this head has operations that torch cannot stack" in heard[0]


class Dropped(nn.Module):
    """Has torch's own dropout, which draws for all members from one stream."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(0.3), nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.out(self.drop(x[:, 0, 0]))


class Sized(nn.Module):
    """Reads a number out of its parameters, which ``vmap`` has no rule for."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.out(x[:, 0, 0]) * (1.0 if float(self.out.bias.detach().sum()) < 1e9 else 0.0)


def no_children() -> bool:
    import multiprocessing

    return not multiprocessing.active_children()

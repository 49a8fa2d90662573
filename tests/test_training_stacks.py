"""Stacks: members that step as one, each as it would be alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from many_helpers import RECIPE, assert_same, doubled, folds, members
from tolerances import assert_trained_alike
from torch import Tensor, nn

from sercache.errors import TrainingError
from sercache.heads import linear, mlp, superb
from sercache.training import Member, build, fit_many, fits
from sercache.training.losses import NUMERIC, losses_of_members, training_loss
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


def test_a_head_that_torch_cannot_stack_is_named() -> None:
    received: list[str] = []
    quick = replace(RECIPE, max_epochs=2, patience=None)
    found = fit_many(sharing(Sized), quick, way="stacked", say=received.append)
    assert received == [
        "one after another: not as one stacked model, this head has operations that torch cannot stack"
    ]
    assert_same(found, fit_many(sharing(Sized), quick, way="serial"))


def test_members_come_as_they_stop() -> None:
    numbers = [number for number, _ in fits(sharing(superb.Head), RECIPE, way="stacked")]
    assert sorted(numbers) == list(range(6))


def test_a_fault_of_a_member_comes_out() -> None:
    several = sharing(linear.Head)
    several[4].train.items[5][:] = np.nan
    with pytest.raises(TrainingError, match="loss is nan"):
        fit_many(several, RECIPE, way="stacked")


class Sized(nn.Module):
    """Reads a number out of its parameters, which ``vmap`` has no rule for."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.out(x[:, 0, 0]) * (1.0 if float(self.out.bias.detach().sum()) < 1e9 else 0.0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["cross-entropy", "focal", "arcface", "mse", "ccc"])
def test_losses_of_members_are_those_of_each_alone(loss: Any, weighted: bool, shared: bool) -> None:
    recipe, n_members = replace(RECIPE, loss=loss, label_smoothing=0.1 if loss == "cross-entropy" else 0.0), 3
    torch.manual_seed(0)
    outputs = torch.rand(n_members, 7, 4, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(n_members, 7, 4) if loss in NUMERIC else torch.randint(4, (n_members, 7))
    truth = truth[0] if shared else truth
    weights = torch.rand(n_members, 4) if weighted and loss not in NUMERIC else None
    found = losses_of_members(recipe, outputs, truth, weights, shared=shared)
    alone = torch.stack(
        [
            training_loss(recipe, None if weights is None else weights[k])(
                outputs[k], truth if shared else truth[k]
            )
            for k in range(n_members)
        ]
    )
    torch.testing.assert_close(found, alone)
    ours, theirs = (torch.autograd.grad(each.sum(), outputs)[0] for each in (found, alone))
    torch.testing.assert_close(ours, theirs)

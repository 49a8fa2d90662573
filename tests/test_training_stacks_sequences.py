"""Stacks of sequences: batches of frames of each member's own, padded to the longest of an update."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from array_view import random_inputs, random_view
from many_helpers import RECIPE, alone, assert_same, doubled, folds, members
from tolerances import assert_trained_alike
from torch import Tensor, nn

from sercache.heads import cta, linear, mlp, weighted_dense
from sercache.nn import dropout, masked_mean
from sercache.training import Member, build, fit_many, many, stack_epoch, stacked
from sercache.training.tables import Tables


class TestSequences:
    """Batches of frames of each member's own, padded to the longest of an update."""

    @pytest.mark.parametrize("head", [weighted_dense.Head, cta.Head, linear.Head, mlp.Head])
    @pytest.mark.parametrize("change", [{}, {"bucket": 2, "accumulate": 2, "clip_norm": 0.5}])
    def test_members_are_those_trained_alone(self, head: type[nn.Module], change: dict) -> None:
        """The learning rate is so large that some stop before others."""
        recipe = replace(RECIPE, lr=3e-2, max_epochs=5, patience=1, **change)
        frames = (2, 9)
        expected = fit_many(doubled(members(head, frames)), recipe, way="serial")
        received: list[str] = []
        found = fit_many(doubled(members(head, frames)), recipe, way="stacked", say=received.append)
        assert received == ["as one stacked model"]
        assert_trained_alike(found, expected, recipe)

    def test_dropout_is_drawn_for_the_frames_of_each(self) -> None:
        """Padding is drawn for by nobody: with no dropout nothing of this could fail."""
        view = folds((2, 9))[0][0]
        assert build(weighted_dense.Head, view, 4, 0).dropout_rate == 0.2

    def test_a_head_that_draws_for_padding_is_trained_one_after_another(self) -> None:
        received: list[str] = []
        recipe = replace(RECIPE, max_epochs=2)
        found = fit_many(members(Draws, (2, 9)), recipe, way="stacked", say=received.append)
        assert received == [
            "one after another: not as one stacked model, padded to the longest, its members are not what they "
            "are alone"
        ]
        assert_same(found, alone(Draws, recipe, (2, 9)))

    def test_several_inputs_of_lengths_of_their_own(self) -> None:
        def several() -> list[Member]:
            views = [random_inputs(n, (2, 3), (8, 6), (2, 7), seed=n) for n in (19, 26)]
            return doubled(Member(build(Both, v, 4, seed), v, None, seed) for v in views for seed in range(2))

        recipe = replace(RECIPE, max_epochs=3, select="last-epoch", patience=None)
        found = fit_many(several(), recipe, way="stacked")
        assert_trained_alike(found, fit_many(several(), recipe, way="serial"), recipe)

    def test_what_does_not_fit_in_memory_is_halved_and_then_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[int] = []

        def full(several: list[Member], *rest: object) -> str:
            tried.append(len(several))
            raise torch.OutOfMemoryError

        monkeypatch.setattr(many.stacked, "refusal", full)
        received: list[str] = []
        quick = replace(RECIPE, max_epochs=1)
        fit_many(members(cta.Head, (2, 9), n_seeds=5), quick, way="stacked", say=received.append)
        assert tried == [10, 5, 2]
        assert received == [
            "one after another: not as one stacked model, 2 of them do not fit in the memory of cpu"
        ]

    def test_the_longest_update_is_tried_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []
        step = stack_epoch._step
        monkeypatch.setattr(
            stack_epoch, "_step", lambda *given: (seen.append(given[-1].x.shape[3]), step(*given))[1]
        )
        several = [
            Member(build(cta.Head, view, 4, seed), view, None, seed)
            for seed, view in enumerate([random_view(90, frames=(2, 40), seed=5)] * 3)
        ]
        recipe = replace(RECIPE, patience=None, select="last-epoch", max_epochs=1)
        assert not stacked.refusal(several, recipe, "cpu", Tables())
        assert len(seen) == 1
        fit_many(several, recipe, way="stacked")
        assert seen[0] == seen[1] == max(seen)
        assert len(seen) == 1 + 1 + 12
        assert len(set(seen)) > 1


class Draws(nn.Module):
    """Draws dropout for all frames of a batch, of padding too."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.out(masked_mean(dropout(x[:, 0], 0.3, self.training), mask))


class Both(nn.Module):
    """Means of two inputs side by side."""

    def __init__(self, n_layers: tuple[int, int], dim: tuple[int, int], n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(sum(dim), n_outputs)

    def forward(self, x: tuple[Tensor, ...], mask: tuple[Tensor, ...]) -> Tensor:
        parts = [masked_mean(each[:, 0], real) for each, real in zip(x, mask, strict=True)]
        return self.out(torch.cat(parts, -1))

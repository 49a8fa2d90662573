"""Training on numbers, on several inputs, with margins, second targets, frozen parts and earlier weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from array_view import ArrayView, random_view
from tolerances import assert_alike
from torch import Tensor, nn
from torch.nn import functional as F

from sercache import metrics
from sercache.errors import RecipeError, TrainingError
from sercache.heads import linear, mlp
from sercache.recipe import Recipe
from sercache.training import build, fit, plan, predict
from sercache.training.losses import arcface, concordance_loss, dev_loss, training_loss

QUICK = Recipe(lr=1e-2, batch_size=8, max_epochs=4, select="last-epoch")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True)
class NumberView(ArrayView):
    targets: np.ndarray


def numbers(n_items: int = 40, n_targets: int = 2, seed: int = 0) -> NumberView:
    view = random_view(n_items, seed=seed)
    mixing = np.random.default_rng(5).normal(size=(view.dim, n_targets)) / view.dim**0.5
    targets = np.stack([item[0, 0] for item in view.items]) @ mixing
    return NumberView(view.items, view.labels, targets=targets.astype(np.float32))


@dataclass(frozen=True)
class PairView:
    """Two inputs side by side, the second pooled."""

    first: ArrayView
    other: ArrayView

    @property
    def n_layers(self) -> tuple[int, int]:
        return self.first.n_layers, self.other.n_layers

    @property
    def dim(self) -> tuple[int, int]:
        return self.first.dim, self.other.dim

    @property
    def labels(self) -> np.ndarray:
        return self.first.labels

    @property
    def n_frames(self) -> np.ndarray:
        return np.maximum(self.first.n_frames, self.other.n_frames)

    def __len__(self) -> int:
        return len(self.first)

    def batch(self, rows: np.ndarray) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        (x, mask), (y, other) = self.first.batch(rows), self.other.batch(rows)
        return (x, y), (mask, other)


class Both(nn.Module):
    """Two inputs, each averaged, side by side."""

    def __init__(self, n_layers: tuple[int, int], dim: tuple[int, int], n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(sum(dim), n_outputs)

    def forward(self, x: tuple[Tensor, ...], mask: tuple[Tensor, ...]) -> Tensor:
        means = []
        for part, real in zip(x, mask, strict=True):
            kept = torch.where(real[:, None, :, None], part, 0.0).sum(2) / real.sum(1)[:, None, None]
            means.append(kept.mean(1))
        return self.out(torch.cat(means, 1))


class Cosines(nn.Module):
    """Cosines to one centre per class."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n_outputs, dim))
        self.scale = scale

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.scale * F.linear(
            F.normalize(x[:, :, 0].mean(1), dim=-1), F.normalize(self.centres, dim=-1)
        )


class TestNumbers:
    @pytest.mark.parametrize("loss", ["mse", "ccc"])
    def test_learns_numbers(self, loss: str) -> None:
        train, dev = numbers(160), numbers(60, seed=7)
        recipe = Recipe(lr=1e-2, batch_size=16, max_epochs=25, loss=loss, select="dev-rho")
        run = fit(build(mlp.Head, train, 2, 0), train, dev, recipe, seed=0)
        outputs = predict(run.head, dev)
        best = run.history[run.best_epoch - 1]
        rho = np.mean([metrics.spearman(dev.targets[:, c], outputs[:, c]) for c in range(2)])
        assert best.dev_rho == pytest.approx(rho)
        assert best.dev_rho == max(epoch.dev_rho for epoch in run.history) > 0.7
        assert best.dev_wa is None
        assert best.dev_ua is None

    def test_select_on_ccc(self) -> None:
        train, dev = numbers(64), numbers(32, seed=7)
        recipe = replace(QUICK, loss="mse", select="dev-ccc", max_epochs=6)
        run = fit(build(linear.Head, train, 2, 0), train, dev, recipe, seed=0)
        found = [epoch.dev_ccc for epoch in run.history]
        assert run.best_epoch == int(np.argmax(found)) + 1
        outputs = predict(run.head, dev)
        expected = np.mean([metrics.ccc(dev.targets[:, c], outputs[:, c]) for c in range(2)])
        assert max(found) == pytest.approx(expected)

    def test_scores_that_are_not_defined_count_as_zero_and_are_told(self) -> None:
        train = numbers(16)
        dev = NumberView(train.items, train.labels, targets=np.ones_like(train.targets))
        run = fit(build(linear.Head, train, 2, 0), train, dev, replace(QUICK, loss="mse"), seed=0)
        assert run.history[0].dev_rho == 0
        assert any("rho was not defined in 4 of 4" in note for note in run.notes)

    def test_concordance_loss_is_one_minus_ccc(self) -> None:
        x, y = torch.randn(50, 3), torch.randn(50, 3)
        expected = np.mean([metrics.ccc(y[:, c].numpy(), x[:, c].numpy()) for c in range(3)])
        assert float(concordance_loss(x, y)) == pytest.approx(1 - expected, abs=1e-5)
        constant = torch.ones(4, 2, requires_grad=True)
        concordance_loss(constant, torch.ones(4, 2)).backward()
        assert torch.isfinite(constant.grad).all()

    def test_refusals(self) -> None:
        view, classes = numbers(8), random_view(8)
        head = build(linear.Head, view, 2, 0)
        with pytest.raises(RecipeError, match="numbers, got loss=cross-entropy; set loss=mse"):
            fit(head, view, None, QUICK, seed=0)
        with pytest.raises(RecipeError, match="classes, got loss=mse"):
            fit(build(linear.Head, view, 4, 0), classes, None, replace(QUICK, loss="mse"), seed=0)
        with pytest.raises(TrainingError, match="4 outputs for 2 targets"):
            fit(build(linear.Head, view, 4, 0), view, None, replace(QUICK, loss="mse"), seed=0)
        targets = np.where(np.arange(8)[:, None] == 3, np.nan, view.targets)
        broken = NumberView(view.items, view.labels, targets=targets)
        with pytest.raises(TrainingError, match="1 of 8 items"):
            fit(head, broken, None, replace(QUICK, loss="mse"), seed=0)
        with pytest.raises(RecipeError, match="balance"):
            fit(head, view, None, replace(QUICK, loss="mse", balance="undersample"), seed=0)


def test_several_inputs_train_and_predict() -> None:
    for frames in ((1, 1), (2, 5)):
        train = PairView(random_view(24, frames=frames, signal=1.0), random_view(24, dim=8))
        run = fit(build(Both, train, 4, 0), train, train, replace(QUICK, select="dev-loss"), seed=0)
        assert run.history[-1].dev_loss < run.history[0].dev_loss
        outputs = predict(run.head, train, batch_size=5)
        with torch.no_grad():
            alone = torch.cat([run.head(*train.batch(np.array([k]))) for k in range(24)])
        assert_alike(torch.from_numpy(outputs), alone)


class TestArcFace:
    def test_is_the_definition(self) -> None:
        cosines = torch.rand(40, 5, dtype=torch.float64) * 1.98 - 0.99
        cosines[:4, 0] = torch.tensor([-0.99, -0.97, -0.95, 0.99])
        labels = torch.arange(40) % 5
        labels[:4] = 0
        logits = 30 * cosines.clone()
        for row, label in enumerate(labels.tolist()):
            angle = float(cosines[row, label].arccos())
            beyond = angle >= np.pi - 0.3
            target = np.cos(angle) - 0.3 * np.sin(0.3) if beyond else np.cos(angle + 0.3)
            logits[row, label] = 30 * target
        expected = F.cross_entropy(logits, labels)
        assert float(arcface(cosines, labels, 30, 0.3)) == pytest.approx(float(expected), rel=1e-5)

    def test_gradient_is_finite_where_the_angle_is_zero(self) -> None:
        cosines = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], requires_grad=True)
        arcface(cosines, torch.zeros(2, dtype=torch.int64), 30, 0.3).backward()
        assert torch.isfinite(cosines.grad).all()

    def test_dev_loss_is_that_of_plain_cosines(self) -> None:
        recipe = replace(QUICK, loss="arcface")
        cosines, labels = torch.rand(9, 4), torch.arange(9) % 4
        assert dev_loss(recipe)(cosines, labels) == F.cross_entropy(cosines, labels)
        assert training_loss(recipe)(cosines, labels) > dev_loss(recipe)(cosines, labels)

    def test_trains(self) -> None:
        view = random_view(48, signal=1.0)
        run = fit(build(Cosines, view, 4, 0), view, view, replace(QUICK, loss="arcface"), seed=0)
        assert run.history[-1].train_loss < run.history[0].train_loss
        assert run.history[-1].dev_loss < np.log(4)

    def test_refuses_what_are_no_cosines(self) -> None:
        view = random_view(8)
        with pytest.raises(RecipeError, match="gives cosines"):
            fit(build(Cosines, view, 4, 0, scale=30.0), view, None, replace(QUICK, loss="arcface"), seed=0)


class TestPlans:
    def test_exponential(self) -> None:
        recipe = replace(QUICK, schedule="exponential", decay=0.5)
        assert [plan.learning_rate(recipe, k) for k in (1, 2, 3)] == [1e-2, 5e-3, 2.5e-3]

    def test_patience_counts_from_an_epoch_on(self) -> None:
        assert plan.is_over([3, 2, 1], 2)
        assert not plan.is_over([3, 2, 1], 2, patience_from=3)
        assert plan.is_over([3, 2, 1, 1], 2, patience_from=3)
        assert not plan.is_over([3, 2, 4, 1], 2, patience_from=1)

    def test_stops_on_the_dev_loss_and_keeps_what_was_selected(self) -> None:
        train, dev = random_view(24, signal=0.2), random_view(24, signal=0.2, seed=5)
        recipe = replace(QUICK, select="dev-ua", stop_on="dev-loss", patience=3, max_epochs=80)
        run = fit(build(mlp.Head, train, 4, 0), train, dev, recipe, seed=0)
        losses, accuracies = [e.dev_loss for e in run.history], [e.dev_ua for e in run.history]
        assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 80
        assert run.best_epoch == int(np.argmax(accuracies)) + 1


class Twice(nn.Module):
    """Two classifiers on one mean; the second only speaks in training."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out, self.other = nn.Linear(dim, n_outputs), nn.Linear(dim, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        mean = x[:, :, 0].mean(1)
        return (self.out(mean), self.other(mean)) if self.training else self.out(mean)


class TestSecondTarget:
    def test_is_the_weighted_sum_of_both_losses(self) -> None:
        second = np.arange(24) % 4 - 1  # every fourth item has none
        view, recipe = random_view(24), replace(QUICK, second_weight=0.5, max_epochs=1, batch_size=24)
        head = build(Twice, view, 4, 0)
        with torch.no_grad():
            first, other = head(*view.batch(np.arange(24)))
        held = torch.from_numpy(second >= 0)
        expected = F.cross_entropy(first, torch.from_numpy(view.labels))
        expected += 0.5 * F.cross_entropy(other[held], torch.from_numpy(second)[held])
        run = fit(head, view, None, recipe, seed=0, second=second)
        assert run.history[0].train_loss == pytest.approx(float(expected), rel=1e-5)

    def test_nobody_has_one(self) -> None:
        view, recipe = random_view(24), replace(QUICK, second_weight=0.5)
        both = fit(build(Twice, view, 4, 0), view, None, recipe, seed=0, second=np.full(24, -1))
        one = fit(build(Twice, view, 4, 0), view, None, QUICK, seed=0)
        assert both.history[-1].train_loss == one.history[-1].train_loss

    def test_refusals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Before anything is brought to the device.
        moved: list[str] = []
        head = build(Twice, random_view(8), 4, 0)
        monkeypatch.setattr(head, "to", lambda place: moved.append(str(place)) or head)
        with pytest.raises(RecipeError, match="these features have none"):
            fit(head, random_view(8), None, replace(QUICK, second_weight=1), seed=0)
        assert moved == []
        view, second = random_view(24), np.zeros(24, np.int64)
        with pytest.raises(RecipeError, match="this head has no output"):
            fit(
                build(linear.Head, view, 4, 0),
                view,
                None,
                replace(QUICK, second_weight=1),
                seed=0,
                second=second,
            )


class TestEarlierWeights:
    def test_start_where_an_earlier_run_ended(self) -> None:
        view = random_view(24, signal=0.5)
        run = fit(build(mlp.Head, view, 4, 0), view, None, QUICK, seed=0)
        again = build(mlp.Head, view, 4, 1, start=run.head.state_dict())
        np.testing.assert_array_equal(predict(again, view), predict(run.head, view))

    def test_refusals(self) -> None:
        view = random_view(8)
        with pytest.raises(RecipeError, match=r"lack 2 of 5 weights, first hidden\.bias"):
            build(mlp.Head, view, 4, 0, start=build(linear.Head, view, 4, 0).state_dict())
        with pytest.raises(RecipeError, match=r"hidden\.weight are \(7, 24\), this head needs \(256, 24\)"):
            build(mlp.Head, view, 4, 0, start=build(mlp.Head, view, 4, 0, hidden=7).state_dict())
        with pytest.raises(RecipeError, match="hold 2"):
            build(linear.Head, view, 4, 0, start=build(mlp.Head, view, 4, 0).state_dict())


def test_frozen_parameters_stay() -> None:
    view = random_view(24)
    head = build(mlp.Head, view, 4, 0)
    head.hidden.requires_grad_(False)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    fit(head, view, None, replace(QUICK, weight_decay=0.1, clip_norm=1.0), seed=0)
    same = {name for name, value in head.state_dict().items() if torch.equal(value, before[name])}
    assert same == {"hidden.weight", "hidden.bias"}
    head.requires_grad_(False)
    with pytest.raises(RecipeError, match="frozen"):
        fit(head, view, None, QUICK, seed=0)

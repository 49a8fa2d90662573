from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from array_view import ArrayView, random_view
from tolerances import assert_alike, assert_trained_alike, assert_weights_alike
from torch import Tensor, nn

from sercache import metrics
from sercache.errors import RecipeError, TrainingError
from sercache.heads import linear, mlp, weighted_dense
from sercache.recipe import Recipe, override
from sercache.training import Epoch, build, fit, memory, plan, predict

QUICK = Recipe(lr=1e-2, batch_size=8, max_epochs=4, select="last-epoch")
LABELS, FRAMES = np.array([0] * 20 + [1] * 7 + [2] * 10), np.arange(37) % 9 + 1


def epochs(dev_losses: list[float]) -> list[Epoch]:
    return [Epoch(k, 0.0, loss, -loss, -loss, 0.0, 0.0) for k, loss in enumerate(dev_losses, start=1)]


def trained(recipe: Recipe = QUICK, seed: int = 0, dev: ArrayView | None = None, head_class: type = mlp.Head):
    view = random_view(37, frames=(2, 6), signal=0.5)
    return fit(build(head_class, view, 4, seed), view, dev, recipe, seed=seed)


class TestPlan:
    @pytest.mark.parametrize("bucket", [1, 3])
    def test_every_item_once_an_epoch(self, bucket: int) -> None:
        parts = plan.batches(replace(QUICK, bucket=bucket), LABELS, FRAMES, seed=1, epoch=2)
        assert sorted(np.concatenate(parts)) == list(range(37))
        assert sorted(len(part) for part in parts) == [5, 8, 8, 8, 8]

    def test_order_is_a_function_of_seed_and_epoch(self) -> None:
        def order(seed: int, epoch: int) -> list[int]:
            return np.concatenate(plan.batches(QUICK, LABELS, FRAMES, seed, epoch)).tolist()

        assert order(1, 1) == order(1, 1)
        assert len({tuple(order(s, e)) for s in (0, 1) for e in (1, 2)}) == 4

    def test_buckets_pad_less(self) -> None:
        frames = np.random.default_rng(0).integers(1, 400, 640)
        labels = np.zeros(640, int)

        def n_padded(bucket: int) -> int:
            parts = plan.batches(replace(QUICK, bucket=bucket), labels, frames, 0, 1)
            return sum(len(part) * frames[part].max() for part in parts)

        assert n_padded(10) < 0.7 * n_padded(1)

    def test_undersampling_evens_classes_out_and_draws_anew(self) -> None:
        recipe = replace(QUICK, balance="undersample")
        draws = [np.concatenate(plan.batches(recipe, LABELS, FRAMES, 0, e)) for e in (1, 2)]
        assert all(np.bincount(LABELS[rows]).tolist() == [7, 7, 7] for rows in draws)
        assert set(draws[0]) != set(draws[1])

    def test_class_weights_even_classes_out(self) -> None:
        weights = plan.class_weights(replace(QUICK, balance="class-weights"), LABELS, 4)
        np.testing.assert_allclose(weights[:3] * np.bincount(LABELS), 37 / 3, rtol=1e-6)
        assert weights[3] == 0
        assert plan.class_weights(QUICK, LABELS, 4) is None

    def test_halving_follows_torch(self) -> None:
        recipe = replace(QUICK, schedule="halve-on-plateau", plateau_patience=2)
        losses = np.random.default_rng(3).random(60).tolist()
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recipe.lr)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=2, threshold=0)
        for k, loss in enumerate(losses):
            assert plan.learning_rate(recipe, k + 1, losses[:k]) == pytest.approx(theirs.get_last_lr()[0])
            theirs.step(loss)
        assert theirs.get_last_lr()[0] < recipe.lr / 8

    def test_cosine_runs_from_lr_to_zero(self) -> None:
        recipe = replace(QUICK, schedule="cosine", max_epochs=10)
        rates = [plan.learning_rate(recipe, k) for k in range(1, 12)]
        assert rates[0] == recipe.lr
        assert rates[5] == pytest.approx(recipe.lr / 2)
        assert rates[10] == pytest.approx(0)
        assert plan.learning_rate(QUICK, 3) == QUICK.lr

    def test_patience_counts_from_the_first_best(self) -> None:
        assert not plan.is_over([1, 3, 3, 2], 3)
        assert plan.is_over([1, 3, 3, 2, 3], 3)
        assert not plan.is_over([1, 3, 3, 2, 3], None)
        assert plan.is_best([1, 2]) and not plan.is_best([1, 2, 2])  # noqa: PT018

    @pytest.mark.parametrize("select", ["dev-loss", "dev-ua", "dev-wa"])
    def test_score_is_higher_for_better(self, select: str) -> None:
        worse, better = (plan.score(replace(QUICK, select=select), e) for e in epochs([2.0, 1.0]))
        assert better > worse


class TestFit:
    def test_same_seed_same_numbers_whatever_the_global_state(self) -> None:
        torch.manual_seed(1)
        first = trained(seed=4)
        torch.manual_seed(2)
        np.random.seed(2)  # noqa: NPY002
        second = trained(seed=4)
        for a, b in zip(first.head.parameters(), second.head.parameters(), strict=True):
            assert torch.equal(a, b)
        losses = [[epoch.train_loss for epoch in run.history] for run in (first, second)]
        assert losses[0] == losses[1]
        assert trained(seed=5).history[-1].train_loss != first.history[-1].train_loss

    def test_leaves_the_global_state_alone(self) -> None:
        torch.manual_seed(7)
        state = torch.get_rng_state()
        trained()
        assert torch.equal(state, torch.get_rng_state())

    def test_learns_what_can_be_learned(self) -> None:
        train, test = random_view(160, signal=1.0), random_view(80, signal=1.0, seed=9)
        run = fit(build(linear.Head, train, 4, 0), train, None, replace(QUICK, max_epochs=15), seed=0)
        assert metrics.ua(test.labels, predict(run.head, test).argmax(1)) > 0.9
        assert run.history[-1].train_loss < run.history[0].train_loss
        assert run.n_updates == 15 * 20

    @pytest.mark.usefixtures("in_float64")
    @pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
    def test_is_the_plain_loop(self, optimiser: str) -> None:
        """Against the loop written out with torch's own optimiser, dropout off."""
        recipe = replace(QUICK, optimiser=optimiser, weight_decay=0.01, clip_norm=0.5)
        view = random_view(20, signal=0.5)
        run = fit(build(mlp.Head, view, 4, 0, dropout_rate=0.0), view, None, recipe, seed=3)
        plain = build(mlp.Head, view, 4, 0, dropout_rate=0.0)
        kinds = {
            "adam": lambda p: torch.optim.Adam(p, 1e-2, weight_decay=0.01),
            "adamw": lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.01),
            "sgd": lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9, weight_decay=0.01),
        }
        theirs = kinds[optimiser](plain.parameters())
        for epoch in range(1, 5):
            for rows in plan.batches(recipe, view.labels, view.n_frames, 3, epoch):
                theirs.zero_grad()
                logits = plain(*view.batch(rows))
                nn.functional.cross_entropy(logits, torch.from_numpy(view.labels[rows])).backward()
                nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
                theirs.step()
        assert_weights_alike(run.head, plain, recipe, moved=recipe.lr * run.n_updates)

    @pytest.mark.usefixtures("in_float64")
    def test_accumulating_is_a_larger_batch(self) -> None:
        for frames in ((1, 1), (2, 3)):  # at once, and one batch after another
            view = random_view(37, signal=0.5, frames=frames)  # the last group holds batches of 4 and 1
            runs = [
                fit(build(linear.Head, view, 4, 0), view, None, recipe, seed=3)
                for recipe in (QUICK, replace(QUICK, batch_size=4, accumulate=2))
            ]
            assert runs[0].n_updates == runs[1].n_updates == 4 * 5
            assert_trained_alike(runs[1:], runs[:1], QUICK)

    @pytest.mark.usefixtures("in_float64")
    @pytest.mark.parametrize(
        "change", [{}, {"loss": "focal"}, {"loss": "arcface"}, {"balance": "class-weights"}]
    )
    def test_what_is_computed_at_once_is_what_is_accumulated(
        self, change: dict, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        view, recipe = random_view(37, signal=0.5), replace(QUICK, batch_size=4, accumulate=3, **change)
        steps: list[int] = []
        found = fit(_counting(build(linear.Head, view, 4, 0), steps), view, None, recipe, seed=3)
        monkeypatch.setattr("sercache.training.state.computes_at_once", lambda *args: False)
        n_at_once, plain = len(steps), fit(build(linear.Head, view, 4, 0), view, None, recipe, seed=3)
        # Each batch is divided by the weights of its own classes: together they would be another update.
        assert n_at_once == (10 if "balance" in change else 4) * recipe.max_epochs
        assert_trained_alike([found], [plain], recipe)

    def test_keeps_the_best_epoch(self) -> None:
        train, dev = random_view(24, signal=0.2), random_view(24, signal=0.2, seed=5)
        recipe = replace(QUICK, select="dev-loss", patience=4, max_epochs=100)
        run = fit(build(mlp.Head, train, 4, 0), train, dev, recipe, seed=0)
        losses = [epoch.dev_loss for epoch in run.history]
        assert run.best_epoch == int(np.argmin(losses)) + 1
        assert run.stopped_early
        assert len(losses) == run.best_epoch + 4
        logits = torch.from_numpy(predict(run.head, dev))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(dev.labels)).item()
        assert loss == pytest.approx(min(losses), abs=1e-6)
        assert loss < losses[-1]
        shorter = fit(
            build(mlp.Head, train, 4, 0),
            train,
            None,
            replace(QUICK, max_epochs=run.best_epoch),
            seed=0,
        )
        for a, b in zip(run.head.parameters(), shorter.head.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_last_epoch_looks_at_no_dev_set(self) -> None:
        dev = random_view(12, seed=5)
        with_dev, without = trained(dev=dev), trained()
        assert with_dev.best_epoch == without.best_epoch == QUICK.max_epochs
        assert not with_dev.stopped_early
        assert with_dev.history[0].dev_loss is not None
        assert without.history[0].dev_ua is None
        for a, b in zip(with_dev.head.parameters(), without.head.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_dev_scores_are_those_of_the_head(self) -> None:
        dev = random_view(12, seed=5)
        run = trained(dev=dev)
        logits = predict(run.head, dev)
        assert run.history[-1].dev_ua == metrics.ua(dev.labels, logits.argmax(1))
        assert run.history[-1].dev_wa == metrics.wa(dev.labels, logits.argmax(1))

    def test_buckets_and_frames_train(self) -> None:
        run = trained(replace(QUICK, bucket=2, clip_value=0.1), head_class=weighted_dense.Head)
        assert run.history[-1].train_loss < run.history[0].train_loss

    def test_balanced_losses_train(self) -> None:
        for recipe in (
            replace(QUICK, balance="class-weights"),
            replace(QUICK, balance="undersample", loss="focal"),
            replace(QUICK, balance="class-weights", loss="focal", schedule="cosine"),
        ):
            history = trained(recipe).history
            assert history[-1].train_loss < history[0].train_loss

    def test_progress_hears_of_every_epoch(self) -> None:
        received: list[int] = []
        view = random_view(8)
        fit(
            build(linear.Head, view, 4, 0),
            view,
            None,
            QUICK,
            seed=0,
            progress=lambda e: received.append(e.number),
        )
        assert received == [1, 2, 3, 4]

    def test_ctrl_c_passes_through(self) -> None:
        def interrupt(epoch: Epoch) -> None:
            raise KeyboardInterrupt

        view, state = random_view(8), torch.get_rng_state()
        with pytest.raises(KeyboardInterrupt):
            fit(build(linear.Head, view, 4, 0), view, None, QUICK, seed=0, progress=interrupt)
        assert torch.equal(state, torch.get_rng_state())

    def test_says_where_mixed_precision_is_not(self) -> None:
        assert "float32 on cpu" in trained(replace(QUICK, mixed_precision=True)).notes[0]
        assert trained().notes == ()


class TestRefusals:
    @pytest.mark.parametrize(
        "change",
        [{"select": "dev-loss"}, {"select": "dev-ua"}, {"schedule": "halve-on-plateau"}],
    )
    @pytest.mark.parametrize("dev", [None, ArrayView([], np.array([], np.int64))])
    def test_no_dev_set(self, change: dict, dev: ArrayView | None) -> None:
        with pytest.raises(RecipeError, match="needs a dev set"):
            trained(replace(QUICK, **change), dev=dev)

    def test_loss_that_is_not_finite(self) -> None:
        view = random_view(37)
        view.items[30][:] = np.nan
        step = next(
            k
            for k, rows in enumerate(plan.batches(QUICK, view.labels, view.n_frames, 0, 1), start=1)
            if 30 in rows
        )
        with pytest.raises(TrainingError, match=rf"nan in epoch 1, batch {step} of 5"):
            fit(build(linear.Head, view, 4, 0), view, None, QUICK, seed=0)

    def test_labels_that_the_head_has_no_output_for(self) -> None:
        view = random_view(8)
        with pytest.raises(TrainingError, match="labels run from 0 to 3, expected 0 to 2"):
            fit(build(linear.Head, view, 3, 0), view, None, QUICK, seed=0)

    def test_nothing_to_train_on(self) -> None:
        view = random_view(8)
        nothing = ArrayView([], np.array([], np.int64))
        with pytest.raises(TrainingError, match="0 items"):
            fit(build(linear.Head, view, 4, 0), nothing, None, QUICK, seed=0)
        with pytest.raises(TrainingError, match="0 items"):
            predict(build(linear.Head, view, 4, 0), nothing)

    def test_negative_seed(self) -> None:
        with pytest.raises(RecipeError, match="seed"):
            trained(seed=-1)

    def test_option_that_the_head_lacks(self) -> None:
        with pytest.raises(RecipeError, match="did you mean hidden"):
            build(mlp.Head, random_view(1), 4, 0, hiden=3)

    @pytest.mark.parametrize(
        "setting",
        ["lr=0", "lr=nan", "batch_size=0", "clip_norm=-1", "beta2=1", "label_smoothing=1", "patience=0"],
    )
    def test_settings_out_of_range(self, setting: str) -> None:
        with pytest.raises(RecipeError, match=setting.split("=")[0]):
            override(replace(QUICK, select="dev-loss"), [setting])

    def test_settings_that_do_not_go_together(self) -> None:
        with pytest.raises(RecipeError, match="patience"):
            override(QUICK, ["patience=3"])
        with pytest.raises(RecipeError, match="label_smoothing"):
            override(QUICK, ["loss=focal", "label_smoothing=0.1"])


class Recorder(nn.Module):
    """A head that remembers which items it was shown, by their first value."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)
        self.seen: set[float] = set()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        self.seen |= set(x[:, 0, 0, 0].tolist())
        return self.out(x[:, 0, 0])


def test_training_reads_nothing_but_what_it_was_given() -> None:
    train, dev = (random_view(9, seed=k) for k in range(2))
    run = fit(build(Recorder, train, 4, 0), train, dev, QUICK, seed=0)
    assert run.head.seen == {float(item[0, 0, 0]) for view in (train, dev) for item in view.items}


@torch.no_grad()
def test_predictions_come_in_the_order_of_the_view() -> None:
    view = random_view(11, frames=(1, 9))
    head = build(weighted_dense.Head, view, 4, 0).train()
    logits = predict(head, view, batch_size=3)
    assert head.training
    alone = torch.cat([head.eval()(*view.batch(np.array([k]))) for k in range(11)])
    assert_alike(torch.from_numpy(logits), alone)
    assert logits.dtype == np.float32


def test_pooled_views_are_read_once_and_sequences_batch_by_batch() -> None:
    for frames, n_reads in (((1, 1), 2), ((2, 5), 1 + QUICK.max_epochs * 2)):
        view = random_view(16, frames=frames)
        reads: list[int] = []
        counted = CountedView(view.items, view.labels, reads=reads)
        fit(build(linear.Head, view, 4, 0), counted, None, QUICK, seed=0)
        assert len(reads) == n_reads  # one of them a first look at a single item


@dataclass(frozen=True, kw_only=True)
class CountedView(ArrayView):
    reads: list[int]

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        self.reads.append(len(indices))
        return super().batch(indices)


def test_freed_memory_is_kept_in_a_process_that_only_trains() -> None:
    """In a process of its own: the setting cannot be taken back."""
    code = f"import runpy; print(runpy.run_path({memory.__file__!r})['keep_freed_memory']())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(platform.libc_ver()[0] == "glibc")


def test_small_heads_train_on_one_thread_and_leave_the_number_as_it_was() -> None:
    import torch

    from sercache.training.threads import SMALL, fitting_threads

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with fitting_threads(torch.device("cpu"), SMALL / 2):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with fitting_threads(torch.device("cpu"), SMALL * 2):
            assert torch.get_num_threads() == 2
        with pytest.raises(KeyboardInterrupt), fitting_threads(torch.device("cpu"), 1):
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process' peak")
@pytest.mark.slow
def test_the_peak_of_a_piece_of_work_is_metered() -> None:
    code = """
import torch
from sercache.training.memory import keep_freed_memory, peak_meter
keep_freed_memory()
del [torch.ones(100_000_000)][0]
read = peak_meter()
del [torch.ones(50_000_000)][0]
print(read())
print(peak_meter()())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    used, idle = map(int, done.stdout.split())
    assert used == pytest.approx(200e6, rel=0.1)
    assert idle < 20e6


def _counting(head: nn.Module, calls: list[int]) -> nn.Module:
    """``head``, which notes the size of every batch that it is given while training."""
    head.register_forward_pre_hook(
        lambda module, given: calls.append(len(given[0])) if module.training else None
    )
    return head

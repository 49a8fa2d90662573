"""What decides a run, as pure functions of the recipe, the labels, the seed and the epoch.

A model trained alone and one trained among others follow the same plan because both ask here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sercache.recipe import Recipe
from sercache.training.streams import stream


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training part came to."""

    number: int
    """From 1."""
    train_loss: float
    dev_loss: float | None
    """By the recipe's loss without class weights; None without a dev set, as all dev scores."""
    dev_wa: float | None
    dev_ua: float | None
    """Of classes, as ``dev_wa``; None for numbers."""
    lr: float
    seconds: float
    dev_rho: float | None = None
    """Spearman's rho, mean over targets; None for classes, 0 where it is not defined."""
    dev_ccc: float | None = None
    """Concordance correlation, mean over targets; None for classes, 0 where it is not defined."""


def batches(
    recipe: Recipe, labels: np.ndarray, n_frames: np.ndarray, seed: int, epoch: int
) -> list[np.ndarray]:
    """Item indices of each batch of an epoch: a function of its arguments alone.

    ``undersample`` draws as many items of every class as the smallest has, anew each epoch.
    """
    rng = np.random.default_rng(stream(seed, epoch, "batches"))
    rows = np.arange(len(labels))
    if recipe.balance == "undersample":
        members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
        smallest = min(len(m) for m in members)
        rows = np.concatenate([rng.permutation(m)[:smallest] for m in members])
    rows = rng.permutation(rows)
    if recipe.bucket == 1:
        return _cut(rows, recipe.batch_size)
    windows = _cut(rows, recipe.batch_size * recipe.bucket)
    by_length = [window[np.argsort(n_frames[window], kind="stable")] for window in windows]
    parts = [part for window in by_length for part in _cut(window, recipe.batch_size)]
    return [parts[k] for k in rng.permutation(len(parts))]


def drawn_batches(
    recipe: Recipe, labels: np.ndarray, n_frames: np.ndarray, n_variants: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """As ``batches``, of items that lie there in so many versions, all of one before the next: each is drawn of one."""
    if n_variants == 1:
        return batches(recipe, labels, n_frames, seed, epoch)
    n_items = len(labels) // n_variants
    drawn = np.random.default_rng(stream(seed, epoch, "variants")).integers(n_variants, size=n_items)
    rows = np.arange(n_items) + n_items * drawn
    return [rows[part] for part in batches(recipe, labels[rows], n_frames[rows], seed, epoch)]


def learning_rate(recipe: Recipe, epoch: int, dev_losses: Sequence[float | None] = ()) -> float:
    """Learning rate of an epoch (from 1), given the dev losses of those before it.

    ``halve-on-plateau``: halved after more than ``plateau_patience`` epochs in a row without a new lowest.
    """
    if recipe.schedule == "exponential":
        return float(recipe.lr * recipe.decay ** (epoch - 1))
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / recipe.max_epochs))
    if recipe.schedule == "triangle" and epoch > 1:
        step, middle = epoch - 2, max(1, recipe.max_epochs // 2)
        return recipe.lr * (
            step / middle if step < middle else (recipe.max_epochs - step) / (recipe.max_epochs - middle)
        )
    lr, lowest, waited = recipe.lr, math.inf, 0
    if recipe.schedule == "halve-on-plateau":
        for loss in dev_losses:
            lowest, waited = (loss, 0) if loss is not None and loss < lowest else (lowest, waited + 1)
            if waited > recipe.plateau_patience:
                lr, waited = lr / 2, 0
    return lr


def class_weights(recipe: Recipe, labels: np.ndarray, n_outputs: int) -> np.ndarray | None:
    """Weight (C,) of each class: U / (classes present x its count), 0 if absent; None unless recipe asks."""
    if recipe.balance != "class-weights":
        return None
    counts = np.bincount(labels, minlength=n_outputs)
    n_present = np.count_nonzero(counts)
    return (len(labels) / (n_present * np.maximum(counts, 1)) * (counts > 0)).astype(np.float32)


def score(recipe: Recipe, epoch: Epoch) -> float:
    """What ``select`` looks at, higher is better; 0 for ``last-epoch``."""
    if recipe.select == "last-epoch":
        return 0.0
    value = getattr(epoch, recipe.select.replace("-", "_"))
    assert value is not None  # fit refuses to start without a dev set
    return float(-value if recipe.select == "dev-loss" else value)


def progress_score(recipe: Recipe, epoch: Epoch) -> float:
    """What ``stop_on`` looks at, higher is better."""
    if recipe.stop_on == "selected" or recipe.patience is None:
        return score(recipe, epoch)
    assert epoch.dev_loss is not None  # fit refuses to start without a dev set
    return -epoch.dev_loss


def is_best(scores: Sequence[float]) -> bool:
    """Whether the last score beats all before it; a tie does not."""
    return all(scores[-1] > earlier for earlier in scores[:-1])


def is_over(scores: Sequence[float], patience: int | None, patience_from: int = 1) -> bool:
    """Whether ``patience`` epochs have passed since the first best score, from ``patience_from`` on."""
    best = int(np.argmax(scores)) + 1
    return patience is not None and len(scores) - max(best, patience_from - 1) >= patience


def update_groups(
    parts: list[np.ndarray], accumulate: int, *, at_once: bool = False
) -> list[list[np.ndarray]]:
    """Batches that make one update each, ``at_once`` as one batch; the last group of an epoch may be smaller."""
    groups = [parts[start : start + accumulate] for start in range(0, len(parts), accumulate)]
    return [[np.concatenate(group)] for group in groups] if at_once else groups


def computes_at_once(recipe: Recipe, n_frames: np.ndarray) -> bool:
    """Whether the batches of an update are computed as one: the same update from larger products.

    An accumulated update is the mean over its items wherever the loss is a mean over items: not under class
    weights (each batch is divided by its own weights), concordance or a second target. Sequences accumulate for the
    sake of memory; means over time have none to spare.
    """
    by_item = recipe.loss != "ccc" and recipe.balance != "class-weights" and not recipe.second_weight
    return bool(recipe.accumulate > 1 and by_item and n_frames.max(initial=1) == 1)


def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]

"""The training loop, once for all heads: build a head, fit it by its recipe, predict with it.

Same seed, same machine: same numbers; the global random state is neither used nor moved. What decides the
order of batches, the learning rate and the epoch that is kept lies in ``sercache.training.plan``.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sercache import metrics
from sercache.catalog import unknown
from sercache.errors import RecipeError, TrainingError
from sercache.nn import cross_entropy, focal_loss
from sercache.recipe import Recipe
from sercache.training.memory import Resident
from sercache.training.plan import (
    Epoch,
    batches,
    class_weights,
    is_best,
    is_over,
    learning_rate,
    score,
    update_groups,
)
from sercache.training.streams import own_randomness, stream
from sercache.training.threads import fitting_threads, products

__all__ = ["Epoch", "Fit", "View", "build", "fit", "predict"]


class View(Protocol):
    """What training reads: U items of L layers and D dims with labels. Pooled views have T = 1."""

    @property
    def n_layers(self) -> int:
        """L."""

    @property
    def dim(self) -> int:
        """D."""

    @property
    def labels(self) -> np.ndarray:
        """Class (U,) of each item, int64."""

    @property
    def n_frames(self) -> np.ndarray:
        """Real frames (U,) of each item, int64."""

    def __len__(self) -> int:
        """U."""

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Features (B, L, T, D) float32 and mask (B, T) bool; padding holds finite values."""


@dataclass(frozen=True)
class Fit:
    """A trained head and how it came about."""

    head: nn.Module
    """On the CPU, in evaluation mode, with the weights of ``best_epoch``."""
    history: tuple[Epoch, ...]
    best_epoch: int
    """The epoch whose weights were kept; with ``select=last-epoch`` the last."""
    stopped_early: bool
    n_updates: int
    seconds: float
    notes: tuple[str, ...] = ()
    """Settings of the recipe that could not be followed here, one line each."""


def build(head_class: type[nn.Module], view: View, n_outputs: int, seed: int, **options: Any) -> nn.Module:
    """A head for the shape of ``view``, its initial weights decided by ``seed`` alone.

    Raises RecipeError for an option that the head does not have.
    """
    on_offer = list(inspect.signature(head_class).parameters)[3:]
    for name in options:
        if name not in on_offer:
            raise RecipeError(unknown("option of this head", name, on_offer))
    with own_randomness(torch.device("cpu")) as reseed:
        reseed(stream(seed, 0, "weights"))
        return head_class(view.n_layers, view.dim, n_outputs, **options)


def fit(
    head: nn.Module,
    train: View,
    dev: View | None,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
    progress: Callable[[Epoch], None] | None = None,
) -> Fit:
    """Train ``head`` in place by ``recipe``; ``progress`` is called after each epoch.

    Raises RecipeError where the recipe needs a dev set and there is none, TrainingError where a loss is
    not finite or labels do not fit the head.
    """
    dev = dev if dev is not None and len(dev) else None
    place = torch.device(device)
    n_outputs = _check(head.to(place), train, dev, recipe)
    started = time.perf_counter()
    train, dev = _resident(train, place), None if dev is None else _resident(dev, place)
    weights = class_weights(recipe, train.labels, n_outputs)
    loss_of = _loss(recipe, None if weights is None else torch.from_numpy(weights).to(place))
    optimiser = _optimiser(head, recipe)
    history: list[Epoch] = []
    kept: dict[str, Tensor] = {}
    n_updates, feed = 0, _feed(train, place)
    work = products(head, recipe.batch_size, train.n_layers, float(train.n_frames.mean()))
    with own_randomness(place) as reseed, fitting_threads(place, work):
        for number in range(1, recipe.max_epochs + 1):
            epoch_started = time.perf_counter()
            reseed(stream(seed, number, "dropout"))
            lr = learning_rate(recipe, number, [epoch.dev_loss for epoch in history])
            for group in optimiser.param_groups:
                group["lr"] = lr
            groups = update_groups(
                batches(recipe, train.labels, train.n_frames, seed, number), recipe.accumulate
            )
            train_loss = _pass(head, feed, groups, recipe, loss_of, optimiser, number)
            n_updates += len(groups)
            dev_scores = _judge(head, dev, recipe, device, number)
            seconds = time.perf_counter() - epoch_started
            history.append(Epoch(number, train_loss, *dev_scores, lr=lr, seconds=seconds))
            if progress:
                progress(history[-1])
            scores = [score(recipe, epoch) for epoch in history]
            if is_best(scores) and recipe.select != "last-epoch":
                kept = {name: value.detach().clone() for name, value in head.state_dict().items()}
                best = number
            if is_over(scores, recipe.patience):
                break
    if recipe.select == "last-epoch":
        best = len(history)
    else:
        head.load_state_dict(kept)
    return Fit(
        head=head.to("cpu").eval(),
        history=tuple(history),
        best_epoch=best,
        stopped_early=len(history) < recipe.max_epochs,
        n_updates=n_updates,
        seconds=time.perf_counter() - started,
        notes=_notes(recipe, place),
    )


def predict(head: nn.Module, view: View, *, device: str = "cpu", batch_size: int = 64) -> np.ndarray:
    """Logits (U, C) float32 of every item of ``view``, in its order; always computed in float32.

    Raises TrainingError for a view without items.
    """
    if not len(view):
        raise TrainingError("got 0 items to predict, expected at least 1; check the folds")
    place = torch.device(device)
    order = np.argsort(view.n_frames, kind="stable")  # equal lengths together: least padding
    was_training = head.training
    head.to(place).eval()
    parts = []
    try:
        work = products(head, batch_size, view.n_layers, float(view.n_frames.mean()))
        with torch.inference_mode(), fitting_threads(place, work):
            for start in range(0, len(order), batch_size):
                x, mask = view.batch(order[start : start + batch_size])
                parts.append(head(x.to(place), mask.to(place)).float().cpu())
    finally:
        head.train(was_training)
    logits = torch.cat(parts).numpy()
    scattered = np.empty_like(logits)
    scattered[order] = logits
    return scattered


_Loss = Callable[[Tensor, Tensor], Tensor]
_Feed = Callable[[np.ndarray], tuple[Tensor, Tensor, Tensor]]


def _pass(
    head: nn.Module,
    feed: _Feed,
    groups: list[list[np.ndarray]],
    recipe: Recipe,
    loss_of: _Loss,
    optimiser: torch.optim.Optimizer,
    epoch: int,
) -> float:
    """One epoch of updates, one per group of batches; gives the mean training loss per item."""
    head.train()
    parameters = list(head.parameters())
    losses, sizes = [], []
    for group in groups:
        n_items = sum(len(rows) for rows in group)
        for rows in group:
            x, mask, y = feed(rows)
            autocast = recipe.mixed_precision and x.is_cuda
            with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
                logits = head(x, mask)
            loss = loss_of(logits, y)
            # Each item of an update weighs the same, whichever of its batches it came in.
            (loss * (len(rows) / n_items)).backward()
            losses.append(loss.detach())
            sizes.append(len(rows))
        if recipe.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, recipe.clip_value)
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    values = torch.stack(losses).cpu().double().numpy()  # one wait for the device per epoch, not per step
    if not np.isfinite(values).all():
        step = int(np.flatnonzero(~np.isfinite(values))[0])
        raise TrainingError(
            f"loss is {values[step]} in epoch {epoch}, batch {step + 1} of {len(values)}; expected a finite "
            "number: lower lr, set clip_norm, or look for extreme values with `sercache verify`"
        )
    return float(np.average(values, weights=sizes))


def _judge(
    head: nn.Module, dev: View | None, recipe: Recipe, device: str, epoch: int
) -> tuple[float | None, float | None, float | None]:
    """Loss, WA and UA of the dev set; None without one."""
    if dev is None:
        return None, None, None
    logits = predict(head, dev, device=device)
    loss = float(_loss(recipe, None)(torch.from_numpy(logits), torch.tensor(dev.labels)))
    if not math.isfinite(loss):
        raise TrainingError(f"dev loss is {loss} in epoch {epoch}; expected a finite number: lower lr")
    predicted = logits.argmax(1)
    return loss, metrics.wa(dev.labels, predicted), metrics.ua(dev.labels, predicted)


def _check(head: nn.Module, train: View, dev: View | None, recipe: Recipe) -> int:
    """Refuse what cannot be trained, before anything is; gives the number of outputs C."""
    if recipe.needs_dev and dev is None:
        raise RecipeError(
            f"select={recipe.select}, schedule={recipe.schedule} needs a dev set and the fold has none; give "
            "one with --dev, or set select=last-epoch, patience=none and schedule=constant"
        )
    if not len(train):
        raise TrainingError("got 0 items to train on, expected at least 1; check the folds")
    x, mask = train.batch(np.zeros(1, np.int64))
    device = next(head.parameters()).device
    with torch.inference_mode():
        n_outputs = head.eval()(x.to(device), mask.to(device)).shape[1]
    for part in (train, dev) if dev is not None else (train,):
        if part.labels.min() < 0 or part.labels.max() >= n_outputs:
            raise TrainingError(
                f"labels run from {part.labels.min()} to {part.labels.max()}, expected 0 to {n_outputs - 1}: "
                "the head has too few outputs"
            )
    return n_outputs


def _loss(recipe: Recipe, weights: Tensor | None) -> _Loss:
    """The recipe's loss as a function of logits (B, C) and labels (B,); ``weights`` (C,) by class."""
    if recipe.loss == "focal":
        return lambda logits, labels: focal_loss(logits, labels, recipe.focal_gamma, weights)
    return lambda logits, labels: cross_entropy(logits, labels, weights, recipe.label_smoothing)


def _optimiser(head: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = list(head.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, recipe.lr, momentum=recipe.beta1, weight_decay=recipe.weight_decay, fused=fused
        )
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    betas = (recipe.beta1, recipe.beta2)
    return kind(
        parameters, recipe.lr, betas=betas, eps=recipe.eps, weight_decay=recipe.weight_decay, fused=fused
    )


def _resident(view: View, device: torch.device) -> View:
    """``view`` with its features read once and kept on ``device``, where it is pooled; else itself."""
    if int(view.n_frames.max()) > 1:
        return view
    x, mask = view.batch(np.arange(len(view)))
    if not mask.all():  # an item without frames: its mean is zero
        x = torch.where(mask[:, None, :, None], x, 0.0)
    return Resident(x.to(device), view.labels, view.n_frames)


def _feed(view: View, device: torch.device) -> _Feed:
    """Batches (x, mask, labels) of ``view`` on ``device``."""
    labels = torch.tensor(view.labels)  # a copy: the view may be read-only

    def read(rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        x, mask = view.batch(rows)
        return x.to(device), mask.to(device), labels[rows].to(device)

    return read


def _notes(recipe: Recipe, device: torch.device) -> tuple[str, ...]:
    if recipe.mixed_precision and device.type != "cuda":
        return (f"mixed precision needs CUDA: trained in float32 on {device.type}",)
    return ()

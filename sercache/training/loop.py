"""One training: what an epoch of it computes, until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sercache.errors import TrainingError
from sercache.recipe import Recipe
from sercache.training.contract import Fit, Member, View, total_layers
from sercache.training.plan import Epoch
from sercache.training.state import TrainingState, begin, epoch_plan, finish, record, truths
from sercache.training.streams import own_randomness, stream
from sercache.training.threads import fitting_threads, products


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
    return train_alone(begin(Member(head, train, dev, seed), recipe, device), progress)


def train_alone(training: TrainingState, progress: Callable[[Epoch], None] | None = None) -> Fit:
    """A training that was begun, done to its end by itself: what every other way of training must equal.

    Raises TrainingError.
    """
    recipe, lengths = training.recipe, training.train.n_frames
    optimiser = optimiser_of(training.parameters, recipe)
    work = products(training.head, recipe.batch_size, total_layers(training.train), float(lengths.mean()))
    while not training.over:
        began, number = time.perf_counter(), len(training.history) + 1
        with own_randomness(training.place) as reseed, fitting_threads(training.place, work):
            reseed(stream(training.seed, number, "dropout"))
            lr, groups = epoch_plan(training)
            for group in optimiser.param_groups:
                group["lr"] = lr
            done: list[tuple[Tensor, int]] = []
            for update in updates(training, groups, optimiser):
                done += update
            epoch = record(training, mean_loss(done, number), len(groups), lr, began)
        if progress:
            progress(epoch)
    return finish(training)


def updates(
    training: TrainingState, groups: list[list[np.ndarray]], optimiser: torch.optim.Optimizer
) -> Generator[list[tuple[Tensor, int]], None, None]:
    """The updates of an epoch, one per group of batches: loss and size of each of its batches."""
    recipe, parameters = training.recipe, training.parameters
    training.head.train()
    parts = [rows for group in groups for rows in group]
    read, truth = training.feeder.feed(training.train, parts), truths([[(training, rows)] for rows in parts])
    for group in groups:
        n_items = sum(len(rows) for rows in group)
        done = []
        for rows in group:
            x, mask = next(read)
            with precision_of(recipe, training.place):
                outputs = training.head(x, mask)
            loss = training.loss_of(outputs, next(truth))
            # Each item of an update weighs the same, whichever of its batches it came in.
            (loss * (len(rows) / n_items)).backward()
            done.append((loss.detach(), len(rows)))
        if recipe.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, recipe.clip_value)
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        yield done


def precision_of(recipe: Recipe, place: torch.device) -> torch.autocast:
    """What the forward pass runs under: bfloat16 where the recipe mixes precisions and the device is CUDA."""
    kind = place.type if torch.amp.is_autocast_available(place.type) else "cpu"
    return torch.autocast(kind, torch.bfloat16, enabled=recipe.mixed_precision and kind == "cuda")


def mean_loss(done: Sequence[tuple[Tensor, int]], epoch: int) -> float:
    """Mean loss per item of batches, from the loss and size of each. Raises TrainingError where one is not finite."""
    # One wait for the device per epoch, not per step.
    values = torch.stack([loss for loss, _ in done]).cpu().double().numpy()
    if not np.isfinite(values).all():
        step = int(np.flatnonzero(~np.isfinite(values))[0])
        raise TrainingError(
            f"loss is {values[step]} in epoch {epoch}, batch {step + 1} of {len(values)}; expected a finite "
            "number: lower lr, or set clip_norm"
        )
    return float(np.average(values, weights=[size for _, size in done]))


def optimiser_of(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser, in its fused form where there is one."""
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

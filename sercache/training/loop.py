"""One training: what an epoch of it computes, until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.errors import TrainingError
from sercache.recipe import Recipe
from sercache.training.contract import Fit, Member, View, total_layers
from sercache.training.plan import Epoch
from sercache.training.recording import Recorder, StaticUpdate, is_steady, recorder_of
from sercache.training.state import TrainingState, begin, epoch_plan, finish, record, truths
from sercache.training.streams import own_randomness, stream
from sercache.training.tables import Gathering
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
    second: np.ndarray | None = None,
) -> Fit:
    """Train ``head`` in place by ``recipe``; ``progress`` is called after each epoch.

    ``second`` holds the classes (U,) of a second target (see ``Member``).

    Raises RecipeError where the recipe needs a dev set and there is none, TrainingError where a loss is
    not finite or labels do not fit the head.
    """
    return train_alone(begin(Member(head, train, dev, seed, second=second), recipe, device), progress)


def train_alone(training: TrainingState, progress: Callable[[Epoch], None] | None = None) -> Fit:
    """A training that was begun, done to its end by itself: what every other way of training must equal.

    Raises TrainingError.
    """
    recipe, lengths = training.recipe, training.train.n_frames
    recorder = recorder_of(training.place) if is_steady(training) else None
    optimiser = optimiser_of(training.parameters, recipe, recorded=recorder is not None)
    steady = None if recorder is None else _Steady(training, optimiser, recorder)
    work = products(training.head, recipe.batch_size, total_layers(training.train), float(lengths.mean()))
    while not training.over:
        began, number = time.perf_counter(), len(training.history) + 1
        with own_randomness(training.place) as reseed, fitting_threads(training.place, work):
            reseed(stream(training.seed, number, "dropout"))
            lr, groups = epoch_plan(training)
            for group in optimiser.param_groups:
                set_rate(group, lr)
            done: list[tuple[Tensor, int]] = []
            for update in updates(training, groups, optimiser) if steady is None else steady.updates(groups):
                done += update
            epoch = record(training, mean_loss(done, number), len(groups), lr, began)
        if progress:
            progress(epoch)
    return finish(training)


def updates(
    training: TrainingState, groups: list[list[np.ndarray]], optimiser: torch.optim.Optimizer
) -> Generator[list[tuple[Tensor, int]], None, None]:
    """The updates of an epoch, one per group of batches: loss and size of each of its batches."""
    training.head.train()
    parts = [rows for group in groups for rows in group]
    read, truth = training.feeder.feed(training.train, parts), truths([[(training, rows)] for rows in parts])
    for group in groups:
        n_items = sum(len(rows) for rows in group)
        done = []
        for rows in group:
            # Each item of an update weighs the same, whichever of its batches it came in.
            with precision_of(training.recipe, training.place):
                outputs = training.head(*next(read))
            done.append((_backward(training, outputs, next(truth), len(rows) / n_items), len(rows)))
        _step(training, optimiser)
        yield done


def _backward(training: TrainingState, outputs: Any, truth: tuple[Tensor, ...], share: float) -> Tensor:
    """Loss of a batch, whose ``share`` is added to the gradients."""
    loss = training.loss_of(outputs, truth)
    (loss * share).backward()
    return loss.detach()


def _step(training: TrainingState, optimiser: torch.optim.Optimizer) -> None:
    """An update by the gradients, clipped."""
    recipe, parameters = training.recipe, training.parameters
    if recipe.clip_value is not None:
        nn.utils.clip_grad_value_(parameters, recipe.clip_value)
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


class _Steady:
    """A training whose updates are one batch of means each, all but some of one size."""

    def __init__(self, training: TrainingState, optimiser: torch.optim.Optimizer, recorder: Recorder) -> None:
        self._training, self._optimiser = training, optimiser
        self._gathering: Gathering | None = None
        self._static = StaticUpdate(self._compute, recorder)

    def updates(self, groups: list[list[np.ndarray]]) -> Iterator[list[tuple[Tensor, int]]]:
        """As ``updates``."""
        training, parts = self._training, [rows for group in groups for rows in group]
        training.head.train()
        gathering = Gathering([[(training.train, rows)] for rows in parts], training.place)  # type: ignore[list-item]
        self._gathering = (
            self._gathering or gathering
        )  # what is recorded reads the tables that the first one did
        most = max(map(len, parts))
        truth = truths([[(training, rows)] for rows in parts])
        for number, (rows, true) in enumerate(zip(parts, truth, strict=True)):
            given = (*gathering.places(number), *true)
            yield [((self._static if len(rows) == most else self._compute)(given), len(rows))]

    def _compute(self, given: Sequence[Tensor]) -> Tensor:
        assert self._gathering is not None
        n_truths = len(self._training.truth)
        batch = self._gathering.means(given[:-n_truths])
        with precision_of(self._training.recipe, self._training.place):
            outputs = self._training.head(*batch)
        loss = _backward(self._training, outputs, tuple(given[-n_truths:]), 1.0)
        _step(self._training, self._optimiser)
        return loss


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


def optimiser_of(
    parameters: list[nn.Parameter], recipe: Recipe, *, recorded: bool = False
) -> torch.optim.Optimizer:
    """The recipe's optimiser, in its fused form where there is one.

    ``recorded``: its steps become part of a CUDA graph, which reads the learning rate from the device.
    """
    place = parameters[0].device
    fused, in_graph = place.type in ("cpu", "cuda"), recorded and place.type == "cuda"
    lr: Any = torch.tensor(recipe.lr, device=place) if in_graph else recipe.lr
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr, momentum=recipe.beta1, weight_decay=recipe.weight_decay, fused=fused
        )
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    betas = (recipe.beta1, recipe.beta2)
    found: Any = kind(
        parameters,
        lr,
        betas=betas,
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
        fused=fused,
        capturable=in_graph,
    )
    found._warned_capturable_if_run_uncaptured = True  # updates of other shapes are steps without a graph
    return found


def set_rate(group: dict[str, Any], lr: float) -> None:
    """Give a group of an optimiser's parameters a learning rate, where a graph may read it."""
    if torch.is_tensor(group["lr"]):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr

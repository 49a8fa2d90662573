"""A training between two epochs: how it begins, how an epoch is planned, judged and recorded, when it is over.

Ways of training many (``sercache.training.many``) differ in how they compute an epoch; the rest is said here once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.errors import RecipeError
from sercache.recipe import Recipe
from sercache.training.checks import check
from sercache.training.contract import Fit, Member, View, place_of, targets_of, variants_of
from sercache.training.feeding import Feeder
from sercache.training.losses import training_loss, with_second
from sercache.training.plan import (
    Epoch,
    class_weights,
    computes_at_once,
    drawn_batches,
    is_best,
    is_over,
    learning_rate,
    progress_score,
    score,
    update_groups,
)
from sercache.training.predicting import DevScores, judge, predict
from sercache.training.residing import resident
from sercache.training.tables import Tables

LossOf = Callable[[Any, tuple[Tensor, ...]], Tensor]
"""From what a head gives in training, and the truth of a batch, to a mean ()."""


@dataclass(eq=False)
class TrainingState:
    """A training between two epochs."""

    head: nn.Module
    train: View
    dev: View | None
    recipe: Recipe
    seed: int
    order_seed: int
    """Decides the order of batches: the seed, unless members of a fold share their batches."""
    place: torch.device
    truth: tuple[Tensor, ...]
    """Of every training item, on the CPU: classes (U,) or numbers (U, C), and classes of a second target."""
    class_weights: Tensor | None
    """(C,) on the device, where the recipe balances by them."""
    loss_of: LossOf
    feeder: Feeder
    started: float
    history: list[Epoch] = field(default_factory=list)
    kept: dict[str, Tensor] = field(default_factory=dict)
    best: int = 0
    n_updates: int = 0
    n_padded: int = 0
    """Frames of padding that were computed, of ``n_frames`` in all."""
    n_frames: int = 0
    undefined: dict[str, list[int]] = field(default_factory=dict)
    """Epochs by score that was not defined."""
    over: bool = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that are trained."""
        return [p for p in self.head.parameters() if p.requires_grad]


def begin(member: Member, recipe: Recipe, device: str, tables: Tables | None = None) -> TrainingState:
    """A training before its first epoch. Raises RecipeError, TrainingError (see ``check``).

    Pooled features are shared with the other trainings that were given the same ``tables``.
    """
    started, place = time.perf_counter(), place_of(device)
    truth = _truth(member, recipe)  # refused, if it is, before anything is brought to the device
    head, train, dev = member.head.to(place), member.train, member.dev or None  # a dev part may be empty
    n_outputs = check(head, train, dev, recipe, place)
    weights = class_weights(recipe, train.labels, n_outputs)
    weights_there = None if weights is None else torch.from_numpy(weights).to(place)
    return TrainingState(
        head=head,
        train=resident(train, place, tables),
        dev=None if dev is None else resident(dev, place, tables),
        recipe=recipe,
        seed=member.seed,
        order_seed=member.seed if member.order_seed is None else member.order_seed,
        place=place,
        truth=truth,
        class_weights=weights_there,
        loss_of=_loss(recipe, weights_there),
        feeder=Feeder(place),
        started=started,
    )


def epoch_plan(training: TrainingState) -> tuple[float, list[list[np.ndarray]]]:
    """Learning rate and batches, by update, of the next epoch."""
    recipe, number = training.recipe, len(training.history) + 1
    lr = learning_rate(recipe, number, [epoch.dev_loss for epoch in training.history])
    train, lengths = training.train, training.train.n_frames
    parts = drawn_batches(recipe, train.labels, lengths, variants_of(train), training.order_seed, number)
    training.n_frames += sum(len(rows) * int(lengths[rows].max()) for rows in parts)
    training.n_padded += sum(int((lengths[rows].max() - lengths[rows]).sum()) for rows in parts)
    at_once = computes_at_once(recipe, lengths)
    return lr, update_groups(parts, recipe.accumulate, at_once=at_once)


def record(training: TrainingState, train_loss: float, n_updates: int, lr: float, began: float) -> Epoch:
    """Judge and note down an epoch that was computed; decides which weights are kept and whether it is over."""
    recipe, number = training.recipe, len(training.history) + 1
    dev = DevScores()
    if training.dev is not None:
        outputs = predict(training.head, training.dev, device=str(training.place), feeder=training.feeder)
        dev = judge(outputs, training.dev, recipe, number)
    for name in dev.undefined:
        training.undefined.setdefault(name, []).append(number)
    epoch = Epoch(
        number=number,
        train_loss=train_loss,
        dev_loss=dev.dev_loss,
        dev_wa=dev.dev_wa,
        dev_ua=dev.dev_ua,
        lr=lr,
        seconds=time.perf_counter() - began,
        dev_rho=dev.dev_rho,
        dev_ccc=dev.dev_ccc,
    )
    training.history.append(epoch)
    training.n_updates += n_updates
    if is_best([score(recipe, each) for each in training.history]) and recipe.select != "last-epoch":
        training.kept = {name: value.detach().clone() for name, value in training.head.state_dict().items()}
        training.best = number
    stops = [progress_score(recipe, each) for each in training.history]
    training.over = number >= recipe.max_epochs or is_over(stops, recipe.patience, recipe.patience_from)
    return epoch


def finish(training: TrainingState, seconds: float | None = None) -> Fit:
    """The trained head, with the weights of its best epoch; ``seconds`` where they are not since ``begin``."""
    if training.recipe.select == "last-epoch":
        training.best = len(training.history)
    else:
        training.head.load_state_dict(training.kept)
    padding = training.n_padded / max(1, training.n_frames)
    return Fit(
        head=training.head.to("cpu").eval(),
        history=tuple(training.history),
        best_epoch=training.best,
        stopped_early=len(training.history) < training.recipe.max_epochs,
        n_updates=training.n_updates,
        seconds=time.perf_counter() - training.started if seconds is None else seconds,
        notes=_notes(training),
        timing={"padding": round(padding, 4)},
    )


def truths(batches: Sequence[Sequence[tuple[TrainingState, np.ndarray]]]) -> Iterator[tuple[Tensor, ...]]:
    """Truth (N, ...) of each batch, some items of each of its trainings; brought to the device at once for all."""
    if not batches:
        return
    pairs = [(training, torch.from_numpy(rows)) for batch in batches for training, rows in batch]
    sizes = [sum(len(rows) for _, rows in batch) for batch in batches]
    place, n_parts = pairs[0][0].place, len(pairs[0][0].truth)
    whole = [
        torch.cat([training.truth[k][rows] for training, rows in pairs]).to(place) for k in range(n_parts)
    ]
    yield from zip(*(part.split(sizes) for part in whole), strict=True)


def _loss(recipe: Recipe, weights: Tensor | None) -> LossOf:
    first = training_loss(recipe, weights)
    if not recipe.second_weight:
        return lambda outputs, truth: first(outputs[0] if isinstance(outputs, tuple) else outputs, truth[0])
    both = with_second(first, training_loss(recipe), recipe.second_weight)

    def total(outputs: Any, truth: tuple[Tensor, ...]) -> Tensor:
        if not isinstance(outputs, tuple):
            raise RecipeError(
                f"second_weight={recipe.second_weight:g} trains a second target and this head has no output "
                "for one; set second_weight=0"
            )
        return both(outputs[0], truth[0], outputs[1], truth[1])

    return total


def _truth(member: Member, recipe: Recipe) -> tuple[Tensor, ...]:
    """Of every training item. Raises RecipeError where a second target is trained that there is not."""
    targets = targets_of(member.train)
    truth = torch.tensor(member.train.labels if targets is None else targets)  # a copy: it may be read-only
    if not recipe.second_weight:
        return (truth,)
    if member.second is None:
        raise RecipeError(
            f"second_weight={recipe.second_weight:g} trains a second target and these features have none; "
            "set second_weight=0"
        )
    return truth, torch.tensor(member.second)


def _notes(training: TrainingState) -> tuple[str, ...]:
    notes = []
    if training.recipe.mixed_precision and training.place.type != "cuda":
        notes.append(f"mixed precision needs CUDA: trained in float32 on {training.place.type}")
    for name, epochs in training.undefined.items():
        first, n = epochs[0], len(epochs)
        notes.append(
            f"dev {name} was not defined in {n} of {len(training.history)} epochs, first in epoch {first}, and "
            "counted as 0 there: a target or its predictions did not vary"
        )
    return tuple(notes)

"""What cannot be trained is refused before anything is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sercache.errors import RecipeError, TrainingError
from sercache.recipe import Recipe
from sercache.training.contract import View, moved, targets_of
from sercache.training.losses import NUMERIC


def check(head: nn.Module, train: View, dev: View | None, recipe: Recipe, device: torch.device) -> int:
    """The number of outputs C, once nothing stands against training ``head`` on ``device``.

    Raises RecipeError for a recipe that does not fit the parts or the head, TrainingError for labels or
    numbers that do not.
    """
    if recipe.needs_dev and dev is None:
        raise RecipeError(
            f"select={recipe.select}, schedule={recipe.schedule} needs a dev set and the fold has none; give "
            "one with --dev, or set select=last-epoch, patience=none and schedule=constant"
        )
    if not len(train):
        raise TrainingError("got 0 items to train on, expected at least 1; check the folds")
    if not any(p.requires_grad for p in head.parameters()):
        raise RecipeError("every parameter of this head is frozen: there is nothing to train")
    x, mask = train.batch(np.zeros(1, np.int64))
    with torch.inference_mode():
        outputs = head.eval()(moved(x, device), moved(mask, device))
    n_outputs = int(outputs.shape[1])
    _check_cosines(outputs, recipe)
    for part in (train, dev) if dev is not None else (train,):
        _check_truth(part, recipe, n_outputs)
    return n_outputs


def _check_cosines(outputs: Tensor, recipe: Recipe) -> None:
    highest = float(outputs.abs().max())
    if recipe.loss == "arcface" and highest > 1.001:
        raise RecipeError(
            f"loss=arcface needs a head that gives cosines, got an output of {highest:.3g}; expected -1 to 1"
        )


def _check_truth(part: View, recipe: Recipe, n_outputs: int) -> None:
    targets = targets_of(part)
    if (targets is not None) != (recipe.loss in NUMERIC):
        kind, fitting = ("classes", "cross-entropy") if targets is None else ("numbers", "mse or ccc")
        raise RecipeError(
            f"this task gives {kind}, got loss={recipe.loss}; set loss={fitting}, or change task"
        )
    if targets is None:
        if part.labels.min() < 0 or part.labels.max() >= n_outputs:
            raise TrainingError(
                f"labels run from {part.labels.min()} to {part.labels.max()}, expected 0 to {n_outputs - 1}: "
                "the head has too few outputs"
            )
        return
    if targets.shape[1] != n_outputs:
        raise TrainingError(
            f"the head has {n_outputs} outputs for {targets.shape[1]} targets; expected as many"
        )
    if not np.isfinite(targets).all():
        n_bad = int((~np.isfinite(targets).all(1)).sum())
        raise TrainingError(
            f"{n_bad} of {len(targets)} items have a target that is no number; leave them out"
        )
    if recipe.balance != "none":
        raise RecipeError(
            f"balance={recipe.balance} evens classes out and this task gives numbers; set balance=none"
        )

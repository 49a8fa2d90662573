"""Losses by recipe: what training goes down on, and the dev loss that is reported.

Outputs are (B, C): logits, cosines (``arcface``) or numbers (``mse``, ``ccc``); truth is (B,) classes or
(B, C) numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.nn import cross_entropy, focal_loss, wide
from sercache.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs (B, C) and truth to a mean ()."""
NUMERIC = ("mse", "ccc")
_TINY = 1e-8


def training_loss(recipe: Recipe, class_weights: Tensor | None = None) -> Loss:
    """The recipe's loss; ``class_weights`` (C,) where it balances classes."""
    if recipe.loss == "focal":
        return lambda outputs, truth: focal_loss(outputs, truth, recipe.focal_gamma, class_weights)
    if recipe.loss == "arcface":
        return lambda outputs, truth: arcface(
            outputs, truth, recipe.arc_scale, recipe.arc_margin, class_weights
        )
    if recipe.loss == "mse":
        return squared_error
    if recipe.loss == "ccc":
        return concordance_loss
    return lambda outputs, truth: cross_entropy(outputs, truth, class_weights, recipe.label_smoothing)


def dev_loss(recipe: Recipe) -> Loss:
    """The recipe's loss without class weights; for ``arcface`` cross-entropy of the plain cosines.

    Source for the latter: the published code of Park et al. (their validation neither scales nor adds a
    margin).
    """
    return cross_entropy if recipe.loss == "arcface" else training_loss(recipe)


def losses_of_members(
    recipe: Recipe, outputs: Tensor, truth: Tensor, class_weights: Tensor | None, *, shared: bool
) -> Tensor:
    """The recipe's loss of each member, (K,) of outputs (K, B, C) and truth (K, B, ...), or (B, ...) where ``shared``.

    ``class_weights`` (K, C). One call for all, as each operation on a device costs its launch.
    """
    if recipe.loss == "cross-entropy" and class_weights is None:
        logits = wide(outputs)
        classes = truth.expand(len(logits), -1) if shared else truth
        each = F.cross_entropy(
            logits.flatten(0, 1), classes.flatten(), reduction="none", label_smoothing=recipe.label_smoothing
        )
        return each.view(classes.shape).mean(1)
    dims = 0, None if shared else 0, None if class_weights is None else 0
    found: Tensor = torch.func.vmap(lambda o, t, w: training_loss(recipe, w)(o, t), dims)(
        outputs, truth, class_weights
    )
    return found


def squared_error(outputs: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error () of outputs and truth (B, C)."""
    outputs = wide(outputs)
    # Up to 2.11 torch computes a loss of two dtypes, but no gradient of it.
    return F.mse_loss(outputs, truth.to(outputs.dtype))


def with_second(loss_of: Loss, second_loss: Loss, weight: float) -> Callable[..., Tensor]:
    """L + weight x L2 of outputs and truth of two targets; items whose second class is -1 have no L2."""

    def total(outputs: Tensor, truth: Tensor, second_outputs: Tensor, second: Tensor) -> Tensor:
        # By places: they are asked of a device once, where a mask is asked at each use.
        loss, held = loss_of(outputs, truth), torch.nonzero(second >= 0).squeeze(1)
        return loss + weight * second_loss(second_outputs[held], second[held]) if len(held) else loss

    return total


def arcface(
    cosines: Tensor, labels: Tensor, scale: float, margin: float, class_weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy () of scaled cosines (B, C), an angle of ``margin`` added to the true class.

    Source: Deng et al. 2019, equation 3. Beyond the angle pi - margin, where the cosine of the sum would
    rise again, the target is cos - margin x sin(margin), as in the published code of Park et al.
    """
    cosines = wide(cosines)
    true = cosines.gather(-1, labels[:, None])
    # The floor keeps the gradient of the root finite at an angle of 0.
    sines = (1 - true**2).clamp_min(_TINY).sqrt()
    moved = true * math.cos(margin) - sines * math.sin(margin)
    target = torch.where(true > math.cos(math.pi - margin), moved, true - margin * math.sin(margin))
    return cross_entropy(scale * cosines.scatter(-1, labels[:, None], target), labels, class_weights)


def concordance_loss(outputs: Tensor, truth: Tensor) -> Tensor:
    """1 - the mean over targets of the concordance correlation over a batch, () of (B, C) each.

    Source: Lin 1989, with population moments. A batch in which neither side varies counts as 0 correlation.
    """
    outputs = wide(outputs)
    truth = truth.to(outputs.dtype)
    ours, theirs = outputs - outputs.mean(0), truth - truth.mean(0)
    gap = (outputs.mean(0) - truth.mean(0)) ** 2
    spread = (ours**2).mean(0) + (theirs**2).mean(0) + gap
    return 1 - (2 * (ours * theirs).mean(0) / (spread + _TINY)).mean()

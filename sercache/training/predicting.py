"""Outputs of a head for a view, and the dev scores of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sercache import metrics
from sercache.errors import TrainingError
from sercache.recipe import Recipe
from sercache.training.contract import View, place_of, targets_of, total_layers
from sercache.training.feeding import Feeder
from sercache.training.losses import dev_loss
from sercache.training.threads import fitting_threads, products

_MEANS = 1024
"""Items with means that are predicted at a time on a device."""


def predict(
    head: nn.Module,
    view: View,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    feeder: Feeder | None = None,
) -> np.ndarray:
    """Outputs (U, C) float32 of every item of ``view``, in its order; always computed in float32.

    ``batch_size``: 64 unless it is given; more where means are predicted on a device. ``feeder`` lends the memory that
    batches are read into, where there is one already.
    Raises TrainingError for a view without items.
    """
    if not len(view):
        raise TrainingError("got 0 items to predict, expected at least 1; check the folds")
    place = place_of(device)
    if batch_size is None:
        batch_size = _MEANS if place.type != "cpu" and int(view.n_frames.max()) == 1 else 64
    order = np.argsort(view.n_frames, kind="stable")  # equal lengths together: least padding
    was_training = head.training
    head.to(place).eval()
    parts: list[Tensor] = []
    try:
        work = products(head, batch_size, total_layers(view), float(view.n_frames.mean()))
        with torch.inference_mode(), fitting_threads(place, work):
            chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
            for x, mask in (feeder or Feeder(place)).feed(view, chunks):
                outputs = head(x, mask)
                parts.append(outputs.clone())  # the batch's memory is used again
            found = torch.cat(parts).cpu().to(torch.get_default_dtype()).numpy()  # one wait for the device
    finally:
        head.train(was_training)
    scattered = np.empty_like(found)
    scattered[order] = found
    return scattered


@dataclass(frozen=True)
class DevScores:
    """Scores of one look at the dev part; None where they do not apply (see Epoch)."""

    dev_loss: float | None = None
    dev_wa: float | None = None
    dev_ua: float | None = None
    dev_rho: float | None = None
    dev_ccc: float | None = None
    undefined: tuple[str, ...] = ()
    """Scores that are not defined here, a constant prediction for example, and stand as 0."""


def judge(outputs: np.ndarray, dev: View, recipe: Recipe, epoch: int) -> DevScores:
    """Scores of outputs (U, C) for a dev part. Raises TrainingError where the loss is not finite."""
    targets = targets_of(dev)
    truth = torch.tensor(dev.labels if targets is None else targets)
    loss = float(dev_loss(recipe)(torch.from_numpy(outputs), truth))
    if not math.isfinite(loss):
        raise TrainingError(f"dev loss is {loss} in epoch {epoch}; expected a finite number: lower lr")
    if targets is None:
        predicted = outputs.argmax(1)
        return DevScores(loss, metrics.wa(dev.labels, predicted), metrics.ua(dev.labels, predicted))
    rho, rho_is = _mean_over_targets(metrics.spearman, targets, outputs)
    ccc, ccc_is = _mean_over_targets(metrics.ccc, targets, outputs)
    undefined = tuple(name for name, known in (("rho", rho_is), ("ccc", ccc_is)) if not known)
    return DevScores(loss, dev_rho=rho, dev_ccc=ccc, undefined=undefined)


def _mean_over_targets(
    metric: Callable[[np.ndarray, np.ndarray], float], targets: np.ndarray, outputs: np.ndarray
) -> tuple[float, bool]:
    """Mean of a metric over targets (U, C), NaN as 0; and whether it was a number for each of them."""
    values = np.array([metric(targets[:, c], outputs[:, c]) for c in range(targets.shape[1])])
    return float(np.nan_to_num(values, nan=0.0).mean()), not bool(np.isnan(values).any())

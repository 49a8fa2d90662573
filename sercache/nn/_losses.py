"""Losses over classes, means () of logits (B, C) and labels (B,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy () of logits (B, C); with class weights (C,) the weighted mean."""
    logits = wide(logits)
    weights = None if class_weights is None else class_weights.to(logits.dtype)
    return F.cross_entropy(logits, labels, weight=weights, label_smoothing=label_smoothing)


def focal_loss(
    logits: Tensor, labels: Tensor, gamma: float = 2.0, class_weights: Tensor | None = None
) -> Tensor:
    """Mean of -(1 - p_t)^gamma log p_t () of logits (B, C) (Lin et al. 2017, equation 4).

    With class weights (C,) the weighted mean, as in ``cross_entropy``. No alpha term: class weights are it.
    """
    log_p = wide(logits).log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1)
    # expm1 keeps the digits of 1 - p_t near p_t = 1; the floor keeps the gradient finite for gamma < 1.
    missed = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    losses = -(missed**gamma) * log_p
    if class_weights is None:
        return losses.mean()
    weights = class_weights.to(losses.dtype)[labels]
    return (weights * losses).sum() / weights.sum()


def wide(x: Tensor) -> Tensor:
    """``x``, as float32 where it is half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x

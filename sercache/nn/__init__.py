"""Masked operations, losses and the pieces that several heads share, each written once.

Shapes: x (B, L, T, D) features of B utterances, L layers, T frames, D dims; mask (B, T) bool, True where a
frame is real. Padding is cut out with ``torch.where``, never multiplied by zero: 0 x NaN is NaN.
"""

from sercache.nn._losses import cross_entropy, focal_loss
from sercache.nn._masked import (
    dropout,
    mask_of,
    masked_max,
    masked_mean,
    masked_softmax,
    weighted_sum,
)

__all__ = [
    "cross_entropy",
    "dropout",
    "focal_loss",
    "mask_of",
    "masked_max",
    "masked_mean",
    "masked_softmax",
    "weighted_sum",
]

"""Operations over real frames: x (B, L, T, D) with mask (B, T) bool, True where a frame is real.

Padding is cut out with ``torch.where``, never multiplied by zero: 0 x NaN is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.nn._together import mixed

_HALF = (torch.float16, torch.bfloat16)


def mask_of(lengths: Tensor, n_frames: int | None = None) -> Tensor:
    """Mask (B, T) of utterances with ``lengths`` (B,) frames; T is ``n_frames`` or the longest."""
    n_frames = int(lengths.max()) if n_frames is None else n_frames
    return torch.arange(n_frames, device=lengths.device) < lengths[:, None]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean (B, ..., D) over the real frames of x (B, ..., T, D).

    Half-precision input is summed in float32. An utterance without frames gives zeros.
    """
    mask = _over_frames(mask, x)
    total = torch.where(mask, x, 0.0).sum(-2, dtype=torch.float32 if x.dtype in _HALF else None)
    return (total / mask.sum(-2).clamp_min(1)).to(x.dtype)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Largest value (B, ..., D) over the real frames of x (B, ..., T, D); zeros without frames."""
    mask = _over_frames(mask, x)
    return torch.where(mask.any(-2), torch.where(mask, x, -torch.inf).amax(-2), 0.0)


def masked_softmax(scores: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax along ``dim`` over the places where ``mask`` (broadcast to ``scores``) is True.

    Other places get 0; so does everything where nothing is True.
    """
    lowest = torch.finfo(scores.dtype).min
    weights = torch.where(mask, scores, lowest).softmax(dim)
    return torch.where(mask, weights, 0.0)


def weighted_sum(x: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Sum over layers of ``weights`` (L,) times x (B, L, T, D): (B, T, D), zeros at padded frames.

    NaN in the padding moves neither the result nor what is computed from it, but it would reach the
    gradient of ``weights``: views pad with finite values.
    """
    n_items, _, n_frames, dim = x.shape
    sums = mixed(x.flatten(2), weights.to(x.dtype)).view(n_items, n_frames, dim)
    return torch.where(mask[..., None], sums, 0.0)


def weighted_mean(x: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Mean (B, D) over real frames of the sum over layers of ``weights`` (L,) times x (B, L, T, D)."""
    if x.shape[2] == 1:  # a pooled state is its own mean
        return weighted_sum(x, weights, mask).squeeze(1)
    return masked_mean(weighted_sum(x, weights, mask), mask)


def padded_to(x: Tensor, mask: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
    """x (B, ..., T, D) with zeros for padding, and its mask, both cut or filled up to ``n_frames``."""
    x, mask = x[..., :n_frames, :], mask[:, :n_frames]
    missing = n_frames - mask.shape[1]
    x = torch.where(_over_frames(mask, x), x, 0.0)
    return F.pad(x, (0, 0, 0, missing)), F.pad(mask, (0, missing))


def _over_frames(mask: Tensor, x: Tensor) -> Tensor:
    """``mask`` (B, T) as (B, 1, ..., T, 1), to lie over x (B, ..., T, D)."""
    return mask.reshape(mask.shape[0], *(1 for _ in range(x.dim() - 3)), mask.shape[1], 1)

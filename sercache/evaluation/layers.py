"""Shares of an encoder's states in what a trained head does: learned weights, or attention received."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from sercache.head import Attends, WeighsLayers
from sercache.training import View, moved


def meaning_of(head: nn.Module) -> str:
    """What this head's layer weights are, in a sentence; empty where it has none."""
    if isinstance(head, WeighsLayers):
        return "learned share of each state in the weighted sum"
    if isinstance(head, Attends):
        return "attention that each state receives: mean over test utterances, heads and queries"
    return ""


def layer_weights(head: nn.Module, view: View | None, device: str = "cpu") -> tuple[float, ...] | None:
    """Share (L,) of each state, sum 1: ``layer_weights()`` of the head, or what its ``attention`` gives.

    ``attention(x, mask)`` is (B, heads, L queries, L keys); received attention is its mean over all but
    keys (specification of Ioannides et al., section 1.6). None for heads with neither, for a single state,
    and for attention without a view.
    """
    with torch.inference_mode():
        if isinstance(head, WeighsLayers):
            shares = head.layer_weights().double().cpu()
        elif view is None or view.n_layers == 1 or not isinstance(head, Attends):
            return None
        else:
            shares = _received(head, view, device)
        shares = shares / shares.sum()
    # Weights of both signs can sum to zero: then there are no shares to speak of.
    return tuple(shares.tolist()) if len(shares) > 1 and bool(torch.isfinite(shares).all()) else None


def _received(head: nn.Module, view: View, device: str) -> torch.Tensor:
    """Attention (L,) that each state receives, summed over the items of a view."""
    place = torch.device(device)
    attention: Any = head.to(place).attention
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(view), 64):
        x, mask = view.batch(np.arange(start, min(start + 64, len(view))))
        total = total + attention(moved(x, place), moved(mask, place)).double().mean((1, 2)).sum(0).cpu()
    head.to("cpu")
    return total

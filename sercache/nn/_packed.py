"""Weighted sums of layers, of the real frames alone.

What comes after works on frames by themselves, so that no padding is read or computed at all: in a batch of 32 of
IEMOCAP's lengths a third to a half of the padded frames are padding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sercache.nn._masked import masked_mean, weighted_sum
from sercache.nn._together import have_own_batches

Mean = Callable[[Tensor], Tensor]
"""From frames, as ``weighted_frames`` lays them out, to the means (B, H) of each utterance."""


def weighted_frames(x: Tensor, weights: Tensor, mask: Tensor) -> tuple[Tensor, Mean]:
    """Frames (..., D), sums over layers of ``weights`` (L,) times x (B, L, T, D), and what gives their means.

    On a CPU the real frames (F, D), one utterance after another; elsewhere (B, T, D) with zeros in the padding, as
    many small products would take longer than one of everything, and so for members of a stack with batches of their
    own, whose lengths differ. Utterances without frames have zeros for a mean.
    """
    if x.device.type != "cpu" or x.shape[2] == 1 or have_own_batches():
        return weighted_sum(x, weights, mask), partial(masked_mean, mask=mask)
    lengths = tuple(mask.sum(1).tolist())
    frames: Tensor = _Packed.apply(x, weights[None], lengths)
    return frames[0], partial(_means, lengths=lengths)


def _means(frames: Tensor, lengths: tuple[int, ...]) -> Tensor:
    parts = zip(frames.split(lengths), lengths, strict=True)
    return torch.stack([part.sum(0) / max(n, 1) for part, n in parts])


class _Packed(torch.autograd.Function):
    """Weighted sums (K, F, D) of x (B, L, T, D) by weights (K, L)."""

    @staticmethod
    def forward(x: Tensor, weights: Tensor, lengths: tuple[int, ...]) -> Tensor:
        sums = x.new_empty(len(weights), sum(lengths), x.shape[-1])
        for item, n, part in zip(x, lengths, sums.split(lengths, 1), strict=True):
            # One product per utterance reads its real frames once, wherever the padding begins.
            torch.mm(weights.to(x.dtype), item[:, :n].flatten(1), out=part.flatten(1))
        return sums

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weights, ctx.lengths = inputs
        ctx.save_for_backward(x, weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weights = ctx.saved_tensors
        of_weights = torch.zeros_like(weights, dtype=x.dtype)
        for item, n, part in zip(x, ctx.lengths, gradient.split(ctx.lengths, 1), strict=True):
            of_weights.addmm_(part.flatten(1), item[:, :n].flatten(1).T)
        return _of_x(x, weights, gradient, ctx.lengths) if ctx.needs_input_grad[0] else None, of_weights, None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, int | None, None],
        x: Tensor,
        weights: Tensor,
        lengths: tuple[int, ...],
    ) -> tuple[Tensor, int]:
        if in_dims[0] is None:  # members' weights are further rows, and the batch they share is read once
            rows = weights if in_dims[1] is None else weights.movedim(in_dims[1], 0).flatten(0, 1)
            found: Tensor = _Packed.apply(x, rows, lengths)
            return found.unflatten(0, (info.batch_size, -1)), 0
        each = x.movedim(in_dims[0], 0)
        rows = (
            weights.expand(info.batch_size, *weights.shape)
            if in_dims[1] is None
            else weights.movedim(in_dims[1], 0)
        )
        pairs = zip(each, rows, strict=True)
        return torch.stack([_Packed.apply(item, row, lengths) for item, row in pairs]), 0


def _of_x(x: Tensor, weights: Tensor, gradient: Tensor, lengths: tuple[int, ...]) -> Tensor:
    found = x.new_zeros(x.shape)
    for item, n, part in zip(found, lengths, gradient.split(lengths, 1), strict=True):
        torch.mm(weights.T.to(x.dtype), part.flatten(1), out=item[:, :n].flatten(1))
    return found

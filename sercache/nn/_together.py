"""Operations that know how to be computed for K members of a stack at once (rules of ``torch.func.vmap``).

vmap's own rules would copy a batch that members share once for each of them, and would draw one mask of dropout
for all or from one stream for all; these read a shared batch once and draw for every member from its own stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 2**16
"""Values of a 16-bit draw."""

_generators: ContextVar[Sequence[torch.Generator] | None] = ContextVar("generators", default=None)
_own_batches: ContextVar[bool] = ContextVar("own_batches", default=False)
_longest: ContextVar[Sequence[int] | None] = ContextVar("longest", default=None)


@contextmanager
def own_streams(
    generators: Sequence[torch.Generator],
    *,
    own_batches: bool = False,
    longest: Sequence[int] | None = None,
) -> Iterator[None]:
    """Let member k of a stack draw from ``generators[k]`` in the calls of ``vmap`` inside.

    ``own_batches``: members have masks of their own as well, whose values operations cannot look at; ``longest``
    tells how many frames the longest item of each has, where they read one input.
    """
    tokens = _generators.set(generators), _own_batches.set(own_batches), _longest.set(longest)
    try:
        yield
    finally:
        _generators.reset(tokens[0])
        _own_batches.reset(tokens[1])
        _longest.reset(tokens[2])


def in_stack() -> bool:
    """Whether members of a stack are being computed together."""
    return _generators.get() is not None


def have_own_batches() -> bool:
    """Whether members of a stack are being computed whose lengths differ from member to member."""
    return _own_batches.get()


class _Kept(torch.autograd.Function):
    """Mask of dropout in the shape of x: 0 or 1 / (1 - p)."""

    @staticmethod
    def forward(x: Tensor, p: float, mask: Tensor | None) -> Tensor:
        return _draw(x, p, None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        return None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, None, int | None], x: Tensor, p: float, mask: Tensor | None
    ) -> tuple[Tensor, int]:
        one = x if in_dims[0] is None else x.movedim(in_dims[0], 0)[0]
        streams: Sequence[torch.Generator | None] = _generators.get() or [None] * info.batch_size
        if len(streams) != info.batch_size:
            raise ValueError(
                f"got {len(streams)} streams for {info.batch_size} members, expected one for each"
            )
        if mask is None or in_dims[2] is None:
            return _draw_each(one, p, streams), 0
        masks, longest = mask.movedim(in_dims[2], 0), _longest.get()
        if longest is None:
            longest = masks.sum(2).amax(1).tolist()  # one wait for the device, for all members
        longest = [min(n, masks.shape[2]) for n in longest]  # a head may cut what it reads
        if one.device.type != "cpu":
            return _draw_each(one, p, streams, longest), 0
        members = zip(streams, masks, strict=True)
        return torch.stack([_draw_frames(one, p, *each) for each in members]), 0


class _Mixed(torch.autograd.Function):
    """Weighted sums (B, N) of x (B, L, N) by weights (L,)."""

    @staticmethod
    def forward(x: Tensor, weights: Tensor) -> Tensor:
        # One matrix product per utterance reads x once; einsum and mul-sum were 5 to 10 times slower.
        return torch.bmm(weights.expand(len(x), 1, -1), x).squeeze(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weights = ctx.saved_tensors
        of_x = gradient[:, None] * weights[:, None] if ctx.needs_input_grad[0] else None
        # As a row times x turned: reads x once; x times a column took six to ten times as long.
        of_weights = torch.bmm(gradient[:, None], x.mT).sum((0, 1)) if ctx.needs_input_grad[1] else None
        return of_x, of_weights

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], x: Tensor, weights: Tensor
    ) -> tuple[Tensor, int]:
        rows = weights[None] if in_dims[1] is None else weights.movedim(in_dims[1], 0)  # (K or 1, L)
        if in_dims[0] is None:  # K sums of each utterance by one product: x is read once for all
            return torch.bmm(rows.expand(len(x), -1, -1), x), 1
        x = x.movedim(in_dims[0], 0)
        rows = rows[:, None].expand(info.batch_size, x.shape[1], -1)
        return torch.matmul(rows[:, :, None], x).squeeze(2), 0


class _Products(torch.autograd.Function):
    """Products (K, N, M) of a (K, N, D) and b (K, D, M), or (K, M, D) where ``turned``, each by itself.

    On a CPU K products one after another are faster than one batched product (docs/decisions/0007), and their
    gradients come out as an optimiser reads them, without a copy.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, turned: bool) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.turned = turned
        return _one_by_one(a, b.mT if turned else b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (a, b), (g,), turned = ctx.saved_tensors, gradients, ctx.turned
        of_a = _one_by_one(g, b if turned else b.mT) if ctx.needs_input_grad[0] else None
        of_b = (_one_by_one(g.mT, a) if turned else _one_by_one(a.mT, g)) if ctx.needs_input_grad[1] else None
        return of_a, of_b, None


class _Product(torch.autograd.Function):
    """Product (N, M) of a (N, D) and b (D, M), or (M, D) where ``turned``."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, turned: bool) -> Tensor:
        return a @ (b.mT if turned else b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.turned = inputs[2]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (a, b), (g,), turned = ctx.saved_tensors, gradients, ctx.turned
        of_a = g @ (b if turned else b.mT) if ctx.needs_input_grad[0] else None
        of_b = (g.mT @ a if turned else a.mT @ g) if ctx.needs_input_grad[1] else None
        return of_a, of_b, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None, None], a: Tensor, b: Tensor, turned: bool
    ) -> tuple[Tensor, int]:
        a, b = (
            each.expand(info.batch_size, *each.shape) if place is None else each.movedim(place, 0)
            for each, place in zip((a, b), in_dims, strict=False)
        )
        found: Tensor = _Products.apply(a, b, turned)
        return found, 0


def _one_by_one(a: Tensor, b: Tensor) -> Tensor:
    found = a.new_empty(*a.shape[:2], b.shape[2])
    for each in zip(a.unbind(), b.unbind(), found.unbind(), strict=True):
        torch.mm(each[0], each[1], out=each[2])
    return found


def product(a: Tensor, b: Tensor) -> Tensor:
    """Product (N, M) of matrices a (N, D) and b (D, M)."""
    if a.device.type != "cpu":
        return a @ b
    found: Tensor = _Product.apply(a, b, False)
    return found


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Linear map (..., H) of x (..., D) by weight (H, D) and bias (H,)."""
    if x.device.type != "cpu":
        return F.linear(x, weight, bias)
    found: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), weight, True)
    return (found + bias).view(*x.shape[:-1], -1)


def mixed(x: Tensor, weights: Tensor) -> Tensor:
    """Sums (B, N) over layers of ``weights`` (L,) times x (B, L, N); K members' read a shared x once."""
    found: Tensor = _Mixed.apply(x, weights)
    return found


def dropout(x: Tensor, p: float, training: bool, mask: Tensor | None = None) -> Tensor:
    """``x`` with a share ``p`` of its elements at zero and the others scaled up while training; else ``x``.

    Members of a stack draw as each would alone (see ``own_streams``); where x are frames as ``weighted_frames``
    gives them, that takes their ``mask`` (B, T). On a CPU ``p`` is rounded to 1/65536 and four elements share one
    draw of 64 bits: torch's own draws each element by itself, which was a fifth of the time of weighted-dense.
    """
    if not training or p == 0:
        return x
    kept: Tensor = _Kept.apply(x, p, mask)
    return x * kept


def _draw_frames(x: Tensor, p: float, generator: torch.Generator | None, mask: Tensor) -> Tensor:
    """On a CPU, what a member with frames x (B, T, D) of its own ``mask`` draws alone: for real frames only."""
    found = torch.zeros_like(x)
    found[mask] = _draw(x[mask], p, generator)
    return found


def _draw_each(
    x: Tensor,
    p: float,
    streams: Sequence[torch.Generator | None],
    longest: Sequence[int] | None = None,
) -> Tensor:
    """What each of K members draws alone for x, (K, ...); of x (B, T, D) for its ``longest`` frames, else zeros."""
    if x.device.type == "cpu":
        return torch.stack([_draw(x, p, stream) for stream in streams])
    found = x.new_empty(len(streams), *x.shape)
    for k, (own, stream) in enumerate(zip(found.unbind(), streams, strict=True)):
        n_frames = None if longest is None or longest[k] == x.shape[1] else longest[k]
        if n_frames is None:
            own.bernoulli_(1 - p, generator=stream)
            continue
        # In memory such as it has alone.
        drawn = x.new_empty(len(x), n_frames, *x.shape[2:]).bernoulli_(1 - p, generator=stream)
        own[:, :n_frames], own[:, n_frames:] = drawn, 0
    return found.div_(1 - p)  # once for all: each operation on a device costs its launch


def _draw(x: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    if x.device.type != "cpu":
        return torch.empty_like(x).bernoulli_(1 - p, generator=generator).div_(1 - p)
    n_dropped = min(round(p * _LEVELS), _LEVELS - 1)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= n_dropped - _LEVELS // 2
    return kept * torch.tensor(_LEVELS / (_LEVELS - n_dropped), dtype=x.dtype)

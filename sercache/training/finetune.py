"""An encoder's blocks and a head trained as one, from a cached state up.

B utterances, T frames, D feature size. The cache holds the state below the trained blocks; the frozen part
of the encoder is never run again.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sercache.nn import masked_mean


class FineTuned(nn.Module):
    """Encoder blocks below a head: from the cached state (B, 1, T, D) to the head's outputs (B, C).

    Of several inputs the first goes through the blocks, the others straight to the head.
    """

    STACKS = False
    """A copy of the encoder for every member would not fit: members are trained one after another."""

    def __init__(self, tail: nn.Module, head: nn.Module, *, frames: bool) -> None:
        """``frames``: whether the head reads sequences; else means over the real frames."""
        super().__init__()
        self.tail, self.head, self.frames = tail, head, frames
        trained = sum(p.numel() for p in tail.parameters() if p.requires_grad)
        self.notes = (
            *getattr(head, "notes", ()),
            f"{trained:,} parameters of the encoder are trained with the head",
        )

    def forward(self, x: Any, mask: Any) -> Any:
        """Outputs of the head over the states that the blocks give."""
        return self.head(*self._inputs(x, mask))

    def embed(self, x: Any, mask: Any) -> Tensor:
        """Vectors (B, D) of heads that have them, over the states that the blocks give."""
        found: Tensor = self.head.embed(*self._inputs(x, mask))  # type: ignore[operator]
        return found

    def _inputs(self, x: Any, mask: Any) -> tuple[Any, Any]:
        if not isinstance(x, tuple):
            return self._states(x, mask)
        first, first_mask = self._states(x[0], mask[0])
        return (first, *x[1:]), (first_mask, *mask[1:])

    def _states(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.tail(x, mask)
        if self.frames:
            return states, mask
        return masked_mean(states, mask)[:, :, None], torch.ones_like(mask[:, :1])


def finetuned(head_class: type[nn.Module], tail: Any, *, frames: bool) -> Callable[..., nn.Module]:
    """``head_class`` on top of trained blocks, to be built as a head is; each starts from a copy of ``tail``.

    ``tail`` gives ``tail.states`` of ``tail.dim``; the view's own shape is that of the cached state.
    """

    def make(n_layers: Any, dim: Any, n_outputs: int, **options: Any) -> nn.Module:
        shape: tuple[Any, Any] = len(tail.states), tail.dim
        if isinstance(dim, tuple):
            shape = (shape[0], *n_layers[1:]), (shape[1], *dim[1:])
        return FineTuned(copy.deepcopy(tail), head_class(*shape, n_outputs, **options), frames=frames)

    make.__signature__ = inspect.signature(head_class)  # type: ignore[attr-defined]
    return make

"""An encoder's blocks and a head trained as one, from a cached state up.

B utterances, T frames, D feature size. The cache holds the state below the trained blocks; the frozen part
of the encoder is never run again.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sercache.head import Embeds, TrainsBelow, notes_of
from sercache.nn import masked_mean
from sercache.training.adapting import Adapting, LowRank, adapt


def tail_name(number: int) -> str:
    """What the blocks below input ``number``, counted from 0, are called among the weights of a training."""
    return "tail" if number == 0 else f"tail{number + 1}"


class FineTuned(nn.Module):
    """Encoder blocks below a head: from the cached state (B, 1, T, D) to the head's outputs (B, C).

    Of several inputs each goes through blocks of its own or, where its encoder stays frozen, straight to the
    head.
    """

    STACKS = False
    """A copy of the encoder for every member would not fit: members are trained one after another."""

    def __init__(self, tails: Sequence[nn.Module | None], head: nn.Module, frames: Sequence[bool]) -> None:
        """``tails``: the blocks below each input, None where there are none; ``frames``: whether the head reads
        sequences of an input, else means over the real frames.

        Raises ValueError where the head says that an encoder is not to be trained.
        """
        super().__init__()
        self.head, self.frames = head, tuple(frames)
        for k, tail in enumerate(tails):
            if tail is not None:
                self.add_module(tail_name(k), tail)
        if isinstance(head, TrainsBelow):
            head.trained_below(tuple(tail is not None for tail in tails))
        self.notes = (*notes_of(head), *_notes(tails))

    def tail_of(self, number: int) -> nn.Module | None:
        """The blocks below input ``number``, counted from 0."""
        return dict(self.named_children()).get(tail_name(number))

    def forward(self, x: Any, mask: Any) -> Any:
        """Outputs of the head over the states that the blocks give."""
        return self.head(*self._inputs(x, mask))

    def embed(self, x: Any, mask: Any) -> Tensor:
        """Vectors (B, D) of heads that have them, over the states that the blocks give."""
        assert isinstance(self.head, Embeds)
        return self.head.embed(*self._inputs(x, mask))

    def read(self, number: int, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the head reads of input ``number``, counted from 0: states (B, L, T, D') and their mask (B, T)."""
        tail = self.tail_of(number)
        if tail is None:
            return x, mask
        states = tail(x, mask)
        if reads_padding(tail):  # which is of no use above
            longest = int(mask.sum(1).max())
            states, mask = states[:, :, :longest], mask[:, :longest]
        if self.frames[number]:
            return states, mask
        return masked_mean(states, mask)[:, :, None], torch.ones_like(mask[:, :1])

    def _inputs(self, x: Any, mask: Any) -> tuple[Any, Any]:
        if not isinstance(x, tuple):
            return self.read(0, x, mask)
        pairs = [self.read(k, *each) for k, each in enumerate(zip(x, mask, strict=True))]
        return tuple(states for states, _ in pairs), tuple(own for _, own in pairs)


def reads_padding(tail: nn.Module) -> bool:
    """Whether blocks attend to what their encoder pads recordings with: a cache of clip rule ``whole`` holds it."""
    return bool(getattr(tail, "READS_PADDING", False))


def finetuned(
    head_class: type[nn.Module],
    tails: Sequence[Any],
    frames: Sequence[bool],
    how: Adapting = Adapting(),  # noqa: B008 - frozen
) -> Callable[..., nn.Module]:
    """``head_class`` on top of trained blocks, to be built as a head is; each starts from copies of ``tails``.

    ``tails`` and ``frames`` have an entry for each input, see FineTuned. A tail gives ``tail.states`` of
    ``tail.dim``; the view's own shape is that of the cached state. ``how`` the tails are trained is said for all.
    """

    def make(n_layers: Any, dim: Any, n_outputs: int, **options: Any) -> nn.Module:
        several = isinstance(dim, tuple)
        cached = zip(n_layers, dim, strict=True) if several else [(n_layers, dim)]
        shapes = [
            own if tail is None else (len(tail.states), tail.dim)
            for own, tail in zip(cached, tails, strict=True)
        ]
        shape = tuple(zip(*shapes, strict=True)) if several else shapes[0]
        copies = [copy.deepcopy(tail) for tail in tails]
        head = head_class(*shape, n_outputs, **options)
        for own in copies:
            if own is not None:
                adapt(own, how)
        return FineTuned(copies, head, frames)

    make.__signature__ = inspect.signature(head_class)  # type: ignore[attr-defined]
    make.__wrapped__ = head_class  # type: ignore[attr-defined]
    return make


def _notes(tails: Sequence[nn.Module | None]) -> list[str]:
    """How much of each encoder is trained."""
    lines = []
    for number, tail in enumerate(tails, 1):
        if tail is not None:
            trained = sum(p.numel() for p in tail.parameters() if p.requires_grad)
            which = f" of input {number}" if len(tails) > 1 else ""
            thin = next((part for part in tail.modules() if isinstance(part, LowRank)), None)
            how = (
                ""
                if thin is None
                else f", as products of rank {thin.down.out_features} beside frozen weights"
            )
            lines.append(f"{trained:,} parameters of the encoder{which} are trained with the head{how}")
    return lines

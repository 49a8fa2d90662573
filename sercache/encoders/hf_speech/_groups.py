"""Utterances that attend side by side: on CUDA in padded groups of like length, on the CPU singly.

A group is laid out once for all blocks. Padding is masked as a key and dropped as a query, so an utterance
attends to itself alone in either form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_FILLED = 0.85
"""Smallest share of a group's frames that an utterance fills."""
_NEAR = 16
"""Frames by which an utterance may fall short of its group in any case, so that short ones share one."""
_ALIGNED = 8
"""Padded lengths are multiples of it, which the fused kernels ask of a mask."""


def side_by_side(x: Tensor) -> bool:
    """Whether utterances are worked on in groups, which a GPU needs and a CPU loses by."""
    return x.device.type != "cpu"


def room(n: int, device: torch.device) -> Tensor:
    """(n,) float32 on the CPU, uninitialised, from which a transfer to ``device`` need not be waited for."""
    return torch.empty(n, pin_memory=device.type == "cuda")


def sent(x: Tensor, device: torch.device) -> Tensor:
    """What was written into a ``room``, on ``device``; torch gives its memory out again once the copy is done."""
    return x.to(device, non_blocking=True)


def moved(x: Tensor, device: torch.device) -> Tensor:
    """``x`` of the CPU on ``device``; on CUDA without waiting for what is computed there."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x


def spans(lengths: Sequence[int]) -> list[slice]:
    """Where each utterance lies among packed frames."""
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


@dataclass(frozen=True)
class Single:
    """One utterance, read and written as views."""

    rows: slice
    n: int = 1
    mask: Tensor | None = None

    @property
    def n_frames(self) -> int:
        """Frames T."""
        return self.rows.stop - self.rows.start

    def take(self, x: Tensor, *, turned: bool = False) -> Tensor:
        """(1, T, ...) of packed frames (F, ...); ``turned``: the last frame first."""
        own = x[self.rows]
        return (own.flip(0) if turned else own)[None]

    def put(self, mixed: Tensor, start: int, found: Tensor) -> None:
        """Write ``found`` (1, Q, ...), the frames from ``start`` on, into packed frames."""
        first = self.rows.start + start
        mixed[first : first + found.shape[1]] = found[0]


@dataclass(frozen=True)
class Padded:
    """Utterances padded to one length."""

    rows: Tensor
    """(B, T) of each frame among the packed ones; of padding the number of packed frames, F."""
    mask: Tensor
    """(B, 1, 1, T): 0 for a frame, minus infinity for padding, added to the scores of a key."""

    @property
    def n(self) -> int:
        """Utterances B."""
        return self.rows.shape[0]

    @property
    def n_frames(self) -> int:
        """Frames T, padding included."""
        return self.rows.shape[1]

    def take(self, x: Tensor, *, turned: bool = False) -> Tensor:
        """(B, T, ...) of packed frames (F, ...); ``turned``: the last first. Padding repeats a frame."""
        rows = self.rows.clamp(max=len(x) - 1)
        return x[rows.flip(1) if turned else rows]

    def put(self, mixed: Tensor, start: int, found: Tensor) -> None:
        """Write ``found`` (B, Q, ...), the frames from ``start`` on, into (F + 1, ...); the last row is waste."""
        mixed[self.rows[:, start : start + found.shape[1]]] = found


Group = Single | Padded


def singly(lengths: Sequence[int]) -> list[Group]:
    """Each utterance by itself."""
    return [Single(rows) for rows in spans(lengths)]


def padded(lengths: Sequence[int], device: torch.device, dtype: torch.dtype) -> list[Group]:
    """Groups of like length, longest first, together all utterances."""
    starts = torch.tensor([0, *lengths[:-1]]).cumsum(0).tolist()
    order = sorted(range(len(lengths)), key=lambda k: -lengths[k])
    members: list[list[int]] = []
    for k in order:
        longest = lengths[members[-1][0]] if members else 0
        if not members or lengths[k] < min(_FILLED * longest, longest - _NEAR):
            members.append([])
        members[-1].append(k)
    return [
        _group([starts[k] for k in group], [lengths[k] for k in group], sum(lengths), device, dtype)
        for group in members
    ]


def _group(
    starts: Sequence[int], lengths: Sequence[int], n_all: int, device: torch.device, dtype: torch.dtype
) -> Padded:
    ahead = torch.arange(-(-max(lengths) // _ALIGNED) * _ALIGNED)
    is_frame = ahead < torch.tensor(lengths)[:, None]  # (B, T)
    rows = torch.where(is_frame, torch.tensor(starts)[:, None] + ahead, n_all)
    mask = torch.zeros(is_frame.shape, dtype=dtype).masked_fill_(~is_frame, float("-inf"))
    return Padded(moved(rows, device), moved(mask[:, None, None], device))

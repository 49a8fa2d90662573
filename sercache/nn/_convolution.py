"""Convolutions over time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_DEPTH = 3
"""Convolutions of 3 frames each: an output reads as many frames to either side."""


@dataclass(frozen=True)
class StretchedFrames:
    """Frames of a padded batch that its convolutions can tell apart, one utterance after another.

    Of each utterance its real frames, and as many zeros as stand for all of its padding: what the convolutions give
    amid zeros is the same in all of them, and what they give at the end of the map is not.
    """

    frames: Tensor
    """(F, D), a frame of zeros between utterances."""
    gaps: Tensor
    """Places of those."""
    places: Tensor
    """(B x T,) where what each frame of the batch is given lies among the F."""
    shape: tuple[int, int]
    """(B, T)."""

    @classmethod
    def of(cls, x: Tensor, lengths: Tensor) -> StretchedFrames:
        """Those of x (B, T, D), zeros from ``lengths`` (B,) on. Worked out on the CPU: one wait for a device."""
        n_items, n_frames, _ = x.shape
        real = lengths.cpu()[:, None]
        n_kept = (real + 2 * _DEPTH).clamp_max(n_frames)  # (B, 1)
        starts = (n_kept + 1).cumsum(0) - n_kept - 1
        times, items = torch.arange(n_frames), torch.arange(n_items)[:, None]
        # The first zeros as they come, then the last that all before the end are like, then the end.
        amid, from_end = n_kept - _DEPTH, n_kept - n_frames + times
        own = torch.where(times < real + _DEPTH, times, torch.maximum(amid, from_end)).minimum(n_kept - 1)
        own = torch.where(n_kept == n_frames, times, own)
        gaps = (starts + n_kept)[:, 0]
        read = torch.empty(int((n_kept + 1).sum()), dtype=torch.int64)
        kept = times < n_kept
        read[(starts + times)[kept]] = (items * n_frames + times)[kept]
        read[gaps] = 0
        told = torch.cat([read, gaps, (starts + own).flatten()]).to(x.device)
        read, gaps, places = told.split([len(read), len(gaps), own.numel()])
        frames = x.flatten(0, 1).index_select(0, read).index_fill_(0, gaps, 0.0)
        return cls(frames, gaps, places, (n_items, n_frames))


class ConvFront(nn.Module):
    """Three convolutions over time with ReLU, then the larger of every two frames: (B, T // 2, W / 4).

    Widths W, W / 2, W / 4, kernels of 3 frames, zeros at both ends. Source: published code of Mohapatra et
    al. 2023 (their text says that the convolutions widen; they narrow). Raises ValueError for W below 4.
    """

    def __init__(self, dim: int, width: int = 768) -> None:
        super().__init__()
        if width < 4:
            raise ValueError(
                f"the convolutions have {width}, {width // 2}, {width // 4} filters; set width to 4 or more"
            )
        sizes = (dim, width, width // 2, width // 4)
        self.dim = sizes[-1]
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, 3, padding=1) for before, after in pairwise(sizes)
        )

    def forward(self, x: Tensor | StretchedFrames) -> Tensor:
        """(B, T // 2, W / 4) of x (B, T, D), or of what its convolutions can tell apart (docs/decisions/0067)."""
        if isinstance(x, Tensor):
            channels = x.transpose(1, 2)
            for conv in self.convs:
                channels = F.relu(conv(channels))
        else:
            channels = x.frames.T[None]
            for conv in self.convs:
                channels = F.relu(conv(channels).index_fill_(2, x.gaps, 0.0))  # each ends in zeros of its own
            channels = channels[0].index_select(1, x.places).unflatten(1, x.shape).transpose(0, 1)
        return F.max_pool1d(channels, 2).transpose(1, 2)

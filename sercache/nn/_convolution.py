"""Convolutions over time."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


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

    def forward(self, x: Tensor) -> Tensor:
        """(B, T // 2, W / 4) of x (B, T, D)."""
        channels = x.transpose(1, 2)
        for conv in self.convs:
            channels = F.relu(conv(channels))
        return F.max_pool1d(channels, 2).transpose(1, 2)

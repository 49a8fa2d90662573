"""Positional convolution over packed frames: by discrete Fourier transforms where the kernel is long.

The published checkpoints convolve along time with a kernel of 128 frames. As products of spectra over
blocks of 256 frames (overlap-save) that takes a seventh of the time of ``Conv1d`` and rounds less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from sercache.encoders._exact import full_float32
from sercache.encoders.hf_speech import _groups

_LONG = 32
"""Kernel (frames) from which spectra pay."""
_GROUP = 32
"""Blocks that are transformed at a time, for the memory."""


class PackedPositions:
    """Position embeddings (F, D) for packed frames (F, D), each utterance by itself."""

    def __init__(self, module: Any) -> None:
        """``module``: the stock positional convolution; its weight norm is folded, once and for all."""
        _fold_weight_norm(module)
        self.module = module
        self.spectra = _Spectra(module.conv) if _takes_spectra(module) else None

    def __call__(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """(F, D), after the activation."""
        if _groups.side_by_side(x) and getattr(self.module, "batch_norm", None) is None:
            return self._side_by_side(x, lengths)
        parts = x.split(list(lengths))
        if self.spectra is None:
            with full_float32():
                return torch.cat([self.module(part[None])[0] for part in parts])
        return self.module.activation(self.spectra(parts))

    def _side_by_side(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """One convolution over all utterances, with half a kernel of zeros between them: their padding."""
        layers = list(getattr(self.module, "layers", [self.module]))
        gap = max(layer.conv.kernel_size[0] for layer in layers) // 2
        gaps = gap * torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
        rows = _groups.moved(torch.arange(len(x)) + gaps, x.device)
        laid = x.new_zeros(len(x) + gap * (len(lengths) - 1), x.shape[1])
        laid[rows] = x
        if self.spectra is not None:
            return self.module.activation(self.spectra([laid]))[rows]
        if layers == [self.module]:
            with full_float32():
                return self.module(laid[None])[0, rows]
        is_frame = laid.new_zeros(len(laid)).index_fill_(0, rows, 1)
        y = laid.T[None]
        with full_float32():
            for layer in layers:  # what a layer puts into the gaps must not reach the next
                y = torch.where(is_frame > 0, layer(y), 0.0)
        return y[0].T[rows]


def _takes_spectra(module: Any) -> bool:
    """Whether ``module`` is one long convolution, in float32: in half precision the stock one is used."""
    if not hasattr(module, "conv") or getattr(module, "batch_norm", None) is not None:
        return False
    return module.conv.kernel_size[0] >= _LONG and module.conv.weight.dtype == torch.float32


class _Spectra:
    """Grouped correlation with a long kernel, as products over frequencies."""

    def __init__(self, conv: nn.Conv1d) -> None:
        self.kernel, self.groups, self.bias = conv.kernel_size[0], conv.groups, conv.bias
        self.size = 2 ** (2 * self.kernel - 1).bit_length()
        self.hop = self.size - self.kernel + 1
        weight = conv.weight.detach().unflatten(0, (self.groups, -1))  # (groups, out, in, kernel)
        self.weight = torch.fft.rfft(weight, self.size).conj().permute(3, 0, 2, 1).contiguous()

    def __call__(self, parts: Sequence[Tensor]) -> Tensor:
        """Utterances (T, D) to packed frames (F, D)."""
        counts = [-(-len(part) // self.hop) for part in parts]
        n_blocks = sum(counts)
        y = parts[0].new_empty(n_blocks, self.hop, parts[0].shape[1])
        done = 0
        for blocks in _groups_of(_GROUP, [self._blocks(*each) for each in zip(parts, counts, strict=True)]):
            y[done : done + len(blocks)] = self._correlate(blocks)
            done += len(blocks)
        each = zip(parts, y.split(counts), strict=True)
        y = torch.cat([found.flatten(0, 1)[: len(part)] for part, found in each])
        return y if self.bias is None else y.add_(self.bias)

    def _blocks(self, part: Tensor, n_blocks: int) -> Tensor:
        """(n_blocks, D, size) of the utterance with half a kernel of zeros before it, a view of its copy."""
        before = self.kernel // 2
        after = (n_blocks - 1) * self.hop + self.size - before - len(part)
        return F.pad(part, (0, 0, before, after)).unfold(0, self.size, self.hop)

    def _correlate(self, blocks: Tensor) -> Tensor:
        x = torch.fft.rfft(blocks).unflatten(1, (self.groups, -1))  # (blocks, groups, in, frequencies)
        y = (x.permute(3, 1, 0, 2).contiguous() @ self.weight).permute(2, 1, 3, 0).flatten(1, 2)
        return torch.fft.irfft(y, self.size)[..., : self.hop].transpose(1, 2)


def _groups_of(n: int, parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The rows of all parts, ``n`` at a time; only so many are ever copied."""
    waiting: list[Tensor] = []
    for part in parts:
        for piece in part.split(n):
            if sum(map(len, waiting)) + len(piece) > n:
                yield torch.cat(waiting)
                waiting = []
            waiting.append(piece)
    yield torch.cat(waiting)


def _fold_weight_norm(parent: nn.Module) -> None:
    """Put a plain convolution in the place of each weight-normed one: the stock module computes its weight
    anew in every pass.
    """
    for name, conv in list(parent.named_children()):
        if not parametrize.is_parametrized(conv, "weight"):
            continue
        assert isinstance(conv, nn.Conv1d)
        folded = nn.Conv1d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size[0],
            padding=int(conv.padding[0]),
            groups=conv.groups,
            device="meta",
        )
        folded.weight = nn.Parameter(conv.weight.detach(), requires_grad=False)
        folded.bias = conv.bias
        setattr(parent, name, folded)

"""The convolutional front end of wav2vec 2.0 and its kin, frames before channels.

A strided convolution over (N, C) rows is a few matrix products: taps are taken in groups of at most one
stride, so that a group's windows do not overlap and its matrix is a view of the input. That runs near the
GEMM peak, where ``Conv1d`` over (C, N) does not, and keeps LayerNorm over C free of transposes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders.hf_speech._dense import activate

_CHUNK = 64
"""Output frames that are convolved at a time, so that the widest layer stays in the processor's cache and
long recordings take no more memory than short ones. Chunks share their halo: cutting changes nothing."""
_CHUNK_CUDA = 3000


@dataclass(frozen=True)
class _Layer:
    """One convolution with what follows it."""

    weight: Tensor
    """(kernel, C_in, C_out)."""
    bias: Tensor | None
    stride: int
    norm: nn.Module | None
    """LayerNorm over channels, GroupNorm of one channel per group over time, or none."""
    activation: nn.Module

    @property
    def kernel(self) -> int:
        return self.weight.shape[0]


class FrontEnd:
    """Waves (N,) to frames (T, C), equal to the stock feature extractor run on one wave at a time."""

    def __init__(self, feature_extractor: Any) -> None:
        self.layers = [_layer(module) for module in feature_extractor.conv_layers]
        self.dim = self.layers[-1].weight.shape[2]
        self.hop = math.prod(layer.stride for layer in self.layers)
        """Samples from one frame to the next."""
        self.field = 1
        """Samples that one frame sees."""
        for layer in reversed(self.layers):
            self.field = (self.field - 1) * layer.stride + layer.kernel

    @torch.no_grad()
    def __call__(self, wave: Tensor) -> Tensor:
        """Frames (T, C) of one wave (N,) float32, in the dtype of the weights."""
        first = self._first_layer(wave)
        return self._convolved(wave, self._n_outputs(len(wave)), [first, *self.layers[1:]])

    @torch.no_grad()
    def packed(self, waves: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
        """Frames (F, C) of waves (N_i,) float32, one after another, and how many each has."""
        side_by_side = waves[0].is_cuda and not isinstance(self.layers[0].norm, nn.GroupNorm)
        parts = self._side_by_side(waves) if side_by_side else [self(wave) for wave in waves]
        return torch.cat(parts), [len(part) for part in parts]

    def _side_by_side(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Frames (T, C) of each wave, from one pass over all: no loop over utterances on CUDA.

        Each wave begins at a multiple of the hop, so that the strides of every layer meet it as they do
        alone; frames that straddle two waves are dropped.
        """
        lengths = [self._n_outputs(len(wave)) for wave in waves]
        slots = [-(-len(wave) // self.hop) for wave in waves]
        room = max(0, self.field - self.hop)  # what the last frame may see behind its own slot
        laid = waves[0].new_zeros(sum(slots) * self.hop + room)
        begins = [0, *itertools.accumulate(slots)]
        for wave, begin in zip(waves, begins, strict=False):
            laid[begin * self.hop : begin * self.hop + len(wave)] = wave
        frames = self._convolved(laid, self._n_outputs(len(laid)), self.layers)
        return [frames[begin : begin + n] for begin, n in zip(begins, lengths, strict=False)]

    def _convolved(self, wave: Tensor, n_frames: int, layers: Sequence[_Layer]) -> Tensor:
        """The first ``n_frames`` frames (T, C) of ``wave`` (N,), a chunk at a time."""
        dtype = layers[0].weight.dtype
        frames = wave.new_empty(n_frames, self.dim, dtype=dtype)
        chunk = _CHUNK_CUDA if wave.is_cuda else _CHUNK
        for start in range(0, n_frames, chunk):
            stop = min(start + chunk, n_frames)
            x = wave[start * self.hop : (stop - 1) * self.hop + self.field, None].to(dtype)
            for layer in layers:
                x = _convolve(x, layer)
            frames[start:stop] = x
        return frames

    def _n_outputs(self, n: int) -> int:
        for layer in self.layers:
            n = (n - layer.kernel) // layer.stride + 1
        return n

    def _first_layer(self, wave: Tensor) -> _Layer:
        """The first layer, its GroupNorm over the whole of ``wave`` folded into weight and bias.

        Mean and variance of w·x over all windows x follow from the mean and the covariance of the windows,
        kernel numbers and kernel² numbers, which are summed in float64.
        """
        layer = self.layers[0]
        if not isinstance(layer.norm, nn.GroupNorm):
            return layer
        weight = layer.weight[:, 0].double()  # (kernel, C)
        windows = wave.double().unfold(0, layer.kernel, layer.stride)  # (T, kernel)
        mean = windows.mean(0)
        covariance = (windows - mean).T @ (windows - mean) / len(windows)
        variance = torch.einsum("kc,kl,lc->c", weight, covariance, weight).clamp_min(0)
        scale = layer.norm.weight.double() / (variance + layer.norm.eps).sqrt()
        # The convolution's own bias cancels against the mean that is taken off.
        bias = layer.norm.bias.double() - (mean @ weight) * scale
        dtype = layer.weight.dtype
        folded = (weight * scale)[:, None].to(dtype)
        return _Layer(folded, bias.to(dtype), layer.stride, None, layer.activation)


def _layer(module: Any) -> _Layer:
    conv = module.conv
    weight = conv.weight.detach().permute(2, 1, 0).contiguous()
    bias = None if conv.bias is None else conv.bias.detach()
    return _Layer(weight, bias, conv.stride[0], getattr(module, "layer_norm", None), module.activation)


def _convolve(x: Tensor, layer: _Layer) -> Tensor:
    """(N, C_in) to (T, C_out)."""
    y = _product(x, layer.weight, layer.stride, layer.bias)
    if layer.norm is not None:
        y = layer.norm(y)
    return activate(y, layer.activation)


def _product(x: Tensor, weight: Tensor, stride: int, bias: Tensor | None) -> Tensor:
    kernel, channels, _ = weight.shape
    n_frames = (len(x) - kernel) // stride + 1
    if channels == 1:  # windows of a few samples: a copy is cheaper than thin products
        rows = x[:, 0].unfold(0, kernel, stride)
        return F.linear(rows, weight[:, 0].T, bias)
    y = None
    for tap in range(0, kernel, stride):
        taps = weight[tap : tap + stride].flatten(0, 1)
        rows = x.as_strided(
            (n_frames, len(taps)), (stride * channels, 1), x.storage_offset() + tap * channels
        )
        if y is not None:
            y.addmm_(rows, taps)
        else:
            y = rows @ taps if bias is None else torch.addmm(bias, rows, taps)
    assert y is not None
    return y

"""The convolutional front end of wav2vec 2.0 and its kin, frames before channels.

A strided convolution over (N, C) rows is a few matrix products: taps are taken in groups of at most one
stride, so that a group's windows do not overlap and its matrix is a view of the input. That runs near the
GEMM peak, where ``Conv1d`` over (C, N) does not, and keeps LayerNorm over C free of transposes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders.hf_speech import _groups
from sercache.encoders.hf_speech._dense import activate

_CHUNK = 64
"""Output frames that are convolved at a time, so that the widest layer stays in the processor's cache and
long recordings take no more memory than short ones. Chunks share their halo: cutting changes nothing."""
_CHUNK_CUDA = 3000
_MOMENT_ROWS = 2**17
"""Windows that statistics over time are summed over at a time, in float64."""


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
    scale: Tensor | None = None
    shift: Tensor | None = None
    """(B, C) each: GroupNorm of each of several waves, laid side by side."""
    owner: Tensor | None = None
    """Wave of each frame of the front end; None: no scale and shift."""
    per_owner: int = 1
    """Outputs of this layer in a frame of the front end."""

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

    def is_of(self, weight: Tensor) -> bool:
        """Whether these weights are of the dtype of ``weight`` and on its device."""
        own = self.layers[0].weight
        return (own.dtype, own.device) == (weight.dtype, weight.device)

    @torch.no_grad()
    def __call__(self, wave: Tensor) -> Tensor:
        """Frames (T, C) of one wave (N,) float32, in the dtype of the weights."""
        first = self._first_layer(wave)
        return self._convolved(wave, self._n_outputs(len(wave)), [first, *self.layers[1:]])

    @torch.no_grad()
    def packed(self, waves: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
        """Frames (F, C) of waves (N_i,) float32, one after another, and how many each has."""
        lengths = [self._n_outputs(len(wave)) for wave in waves]
        if _groups.side_by_side(waves[0]):
            return self._side_by_side(waves, lengths), lengths
        return torch.cat([self(wave) for wave in waves]), lengths

    def _side_by_side(self, waves: Sequence[Tensor], lengths: Sequence[int]) -> Tensor:
        """Frames (F, C) from one pass over all waves: no loop over utterances on CUDA.

        Each wave begins at a multiple of the hop, so that the strides of every layer meet it as they do
        alone; frames that straddle two waves are dropped.
        """
        slots = [-(-len(wave) // self.hop) for wave in waves]
        laid = torch.cat(
            [F.pad(wave, (0, slot * self.hop - len(wave))) for wave, slot in zip(waves, slots, strict=True)]
        )
        first, owner = self.layers[0], None
        if isinstance(first.norm, nn.GroupNorm):
            rows = [(len(wave) - first.kernel) // first.stride + 1 for wave in waves]
            scale, shift = _over_time(first, nn.utils.rnn.pad_sequence(list(waves), batch_first=True), rows)
            of_slot = torch.arange(len(waves)).repeat_interleave(torch.tensor(slots))
            owner = _groups.moved(of_slot, laid.device)
            bare = replace(first, bias=None, norm=None)
            first = replace(bare, scale=scale, shift=shift, owner=owner, per_owner=self.hop // first.stride)
        frames = self._convolved(laid, self._n_outputs(len(laid)), [first, *self.layers[1:]])
        begins = itertools.accumulate(slots, initial=0)
        kept = [torch.arange(begin, begin + n) for begin, n in zip(begins, lengths, strict=False)]
        return frames[_groups.moved(torch.cat(kept), frames.device)]

    def _convolved(self, wave: Tensor, n_frames: int, layers: Sequence[_Layer]) -> Tensor:
        """The first ``n_frames`` frames (T, C) of ``wave`` (N,), a chunk at a time."""
        dtype = layers[0].weight.dtype
        frames = wave.new_empty(n_frames, self.dim, dtype=dtype)
        chunk = _CHUNK if wave.device.type == "cpu" else _CHUNK_CUDA
        for start in range(0, n_frames, chunk):
            stop = min(start + chunk, n_frames)
            x = wave[start * self.hop : (stop - 1) * self.hop + self.field, None].to(dtype)
            for layer in layers:
                x = _convolve(x, layer, start)
            frames[start:stop] = x
        return frames

    def _n_outputs(self, n: int) -> int:
        for layer in self.layers:
            n = (n - layer.kernel) // layer.stride + 1
        return n

    def _first_layer(self, wave: Tensor) -> _Layer:
        """The first layer, its GroupNorm over the whole of ``wave`` folded into weight and bias."""
        layer = self.layers[0]
        if not isinstance(layer.norm, nn.GroupNorm):
            return layer
        n_rows = (len(wave) - layer.kernel) // layer.stride + 1
        scale, shift = _over_time(layer, wave[None], [n_rows])
        folded = (layer.weight.double() * scale).to(layer.weight.dtype)
        return replace(layer, weight=folded, bias=shift[0].to(folded.dtype), norm=None)


def _over_time(layer: _Layer, waves: Tensor, n_rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Scale and shift (B, C), float64, that GroupNorm over time gives w·x in each of waves (B, N).

    Mean and variance of w·x over all windows x follow from the mean and the covariance of the windows,
    kernel numbers and kernel² numbers, which are summed in float64 a stretch at a time. A wave has
    ``n_rows`` windows; what lies behind them is padding. The convolution's own bias cancels.
    """
    assert isinstance(layer.norm, nn.GroupNorm)
    counts = _groups.moved(torch.tensor(n_rows), waves.device)
    step = max(1, _MOMENT_ROWS // len(waves))

    def stretches() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, max(n_rows), step):
            stop = min(start + step, max(n_rows))
            part = waves[:, start * layer.stride : (stop - 1) * layer.stride + layer.kernel].double()
            is_row = torch.arange(start, stop, device=waves.device) < counts[:, None]
            yield part.unfold(1, layer.kernel, layer.stride), is_row[..., None]

    weight = layer.weight[:, 0].double()  # (kernel, C)
    total = weight.new_zeros(len(waves), 1, layer.kernel)
    for windows, is_row in stretches():
        total += torch.where(is_row, windows, 0.0).sum(1, keepdim=True)
    mean = total / counts[:, None, None]
    products = weight.new_zeros(len(waves), layer.kernel, layer.kernel)
    for windows, is_row in stretches():
        centred = torch.where(is_row, windows - mean, 0.0)
        products += centred.mT @ centred
    covariance = products / counts[:, None, None]
    variance = torch.einsum("kc,bkl,lc->bc", weight, covariance, weight).clamp_min(0)
    scale = layer.norm.weight.double() / (variance + layer.norm.eps).sqrt()
    return scale, layer.norm.bias.double() - (mean[:, 0] @ weight) * scale


def _layer(module: Any) -> _Layer:
    conv = module.conv
    weight = conv.weight.detach().permute(2, 1, 0).contiguous()
    if (
        weight.dtype != torch.float32
    ):  # products in half precision have a fast path for (out, in) in memory only
        weight = conv.weight.detach().permute(0, 2, 1).contiguous().permute(1, 2, 0)
    bias = None if conv.bias is None else conv.bias.detach()
    return _Layer(weight, bias, conv.stride[0], getattr(module, "layer_norm", None), module.activation)


def _convolve(x: Tensor, layer: _Layer, first_frame: int) -> Tensor:
    """(N, C_in) to (T, C_out); ``first_frame`` of the whole front end is where x begins."""
    y = _product(x, layer.weight, layer.stride, layer.bias)
    if layer.owner is not None:
        rows = torch.arange(len(y), device=y.device).div(layer.per_owner, rounding_mode="floor") + first_frame
        owner = layer.owner[rows.clamp_(max=len(layer.owner) - 1)]
        assert layer.scale is not None
        assert layer.shift is not None
        y = torch.addcmul(layer.shift.to(y.dtype)[owner], y, layer.scale.to(y.dtype)[owner])
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

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

from sercache import kernels
from sercache.encoders.hf_speech import _groups
from sercache.encoders.hf_speech._dense import activate, is_exact_gelu

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
    fused: bool = False
    """Whether LayerNorm and GELU are one kernel."""

    @property
    def kernel(self) -> int:
        return self.weight.shape[0]


@dataclass(frozen=True)
class Laid:
    """Waves side by side on a device: each begins at a multiple of the hop, as alone, and zeros lie between."""

    samples: Tensor
    """(N,) float32."""
    lengths: Sequence[int]
    """Samples of each wave."""
    hop: int

    @property
    def slots(self) -> list[int]:
        """Hops that each wave takes."""
        return [-(-length // self.hop) for length in self.lengths]

    def waves(self) -> list[Tensor]:
        """Each wave (N_i,), a view."""
        slots = self.samples.split([slot * self.hop for slot in self.slots])
        return [slot[:length] for slot, length in zip(slots, self.lengths, strict=True)]


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

    def fuse(self) -> str | None:
        """Normalise and activate in one kernel where that can be, on the device of the weights; else says why not."""
        able = [
            isinstance(layer.norm, nn.LayerNorm) and is_exact_gelu(layer.activation) for layer in self.layers
        ]
        reason = _why_not_fused(self.layers[able.index(True)]) if any(able) else None
        if reason is None:
            each = zip(self.layers, able, strict=True)
            self.layers = [replace(layer, fused=can) for layer, can in each]
        return reason

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
    def packed(self, waves: Sequence[Tensor] | Laid) -> tuple[Tensor, list[int]]:
        """Frames (F, C) of waves (N_i,) float32, one after another, and how many each has."""
        if isinstance(waves, Laid):
            return self._side_by_side(waves)
        if _groups.side_by_side(waves[0]):
            slots = [F.pad(wave, (0, -len(wave) % self.hop)) for wave in waves]
            return self._side_by_side(Laid(torch.cat(slots), [len(wave) for wave in waves], self.hop))
        return torch.cat([self(wave) for wave in waves]), [self._n_outputs(len(wave)) for wave in waves]

    def _side_by_side(self, waves: Laid) -> tuple[Tensor, list[int]]:
        """Frames (F, C) from one pass over all waves, no loop over utterances on CUDA, and how many each has.

        The strides of every layer meet a wave as they do alone; frames that straddle two waves are dropped.
        """
        laid, slots = waves.samples, waves.slots
        lengths = [self._n_outputs(length) for length in waves.lengths]
        first, owner = self.layers[0], None
        if isinstance(first.norm, nn.GroupNorm):
            rows = [(length - first.kernel) // first.stride + 1 for length in waves.lengths]
            scale, shift = _over_time(first, nn.utils.rnn.pad_sequence(waves.waves(), batch_first=True), rows)
            of_slot = torch.arange(len(slots)).repeat_interleave(torch.tensor(slots))
            owner = _groups.moved(of_slot, laid.device)
            bare = replace(first, bias=None, norm=None)
            first = replace(bare, scale=scale, shift=shift, owner=owner, per_owner=self.hop // first.stride)
        frames = self._convolved(laid, self._n_outputs(len(laid)), [first, *self.layers[1:]])
        begins = itertools.accumulate(slots, initial=0)
        kept = [torch.arange(begin, begin + n) for begin, n in zip(begins, lengths, strict=False)]
        return frames[_groups.moved(torch.cat(kept), frames.device)], lengths

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
        _scale_by_wave(y, layer, first_frame)
    if layer.fused:
        norm: Any = layer.norm
        return kernels.normalised_gelu_(y, norm.weight, norm.bias, norm.eps)
    if layer.norm is not None:
        y = layer.norm(y)
    return activate(y, layer.activation)


def _scale_by_wave(y: Tensor, layer: _Layer, first_frame: int) -> None:
    """Scale and shift y (N, C), whose first row is that of a frame, in its memory by the wave of each frame.

    Scale and shift are laid out for a frame, not for each of its rows: there are 64 in published front ends.
    """
    assert layer.owner is not None
    assert layer.scale is not None
    assert layer.shift is not None
    n_whole = len(y) // layer.per_owner
    frames = torch.arange(first_frame, first_frame + n_whole + 1, device=y.device)
    owner = layer.owner[frames.clamp_(max=len(layer.owner) - 1)]
    scale, shift = (each.to(y.dtype)[owner][:, None] for each in (layer.scale, layer.shift))  # (frames, 1, C)
    whole = y[: n_whole * layer.per_owner].unflatten(0, (n_whole, layer.per_owner))
    rest = y[n_whole * layer.per_owner :][None]
    for part, of in ((whole, slice(n_whole)), (rest, slice(n_whole, None))):
        torch.addcmul(shift[of], part, scale[of], out=part)


@torch.no_grad()
def _why_not_fused(layer: _Layer) -> str | None:
    """Why a layer's LayerNorm and GELU are not one kernel, or None: what that gives was compared."""
    norm: Any = layer.norm
    reason = kernels.missing(norm.weight.device)
    if reason is not None:
        return reason
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(133, len(norm.weight), generator=draws).to(norm.weight.dtype)
    x = 3 * _groups.moved(x, norm.weight.device) + 1
    plain = activate(norm(x), layer.activation)
    expected = F.gelu(
        F.layer_norm(x.double(), norm.normalized_shape, norm.weight.double(), norm.bias.double(), norm.eps)
    )
    try:
        found = kernels.normalised_gelu_(x.clone(), norm.weight, norm.bias, norm.eps)
    except torch.OutOfMemoryError:
        raise
    except Exception as fault:  # a compiler raises anything
        return kernels.in_words(fault)
    ours, theirs = (float((each - expected).square().mean().sqrt()) for each in (found, plain))
    return None if ours <= kernels.WORSE * theirs else kernels.differs(ours, theirs)


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

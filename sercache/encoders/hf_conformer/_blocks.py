"""Conformer blocks (Gulati et al., 2020) over packed frames, from the stock modules' own weights.

Dense layers take the frames of all utterances at once. The depthwise convolution sees each utterance
between zeros of its own, which is what running it alone means; the stock mask lets padding in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders._exact import full_float32
from sercache.encoders.hf_conformer._attention import Attention, PackTimes

_ROWS = 1024
"""Frames that pass a feed-forward layer at a time, so that its wide intermediate result stays small."""
_KNOWN = ("Wav2Vec2ConformerEncoderLayer", "Wav2Vec2BertEncoderLayer", "ParakeetEncoderBlock")

_WAV2VEC2 = (
    "ffn1_layer_norm", "ffn1", "self_attn_layer_norm", "self_attn",
    "ffn2_layer_norm", "ffn2", "final_layer_norm",
)  # fmt: skip
_PARAKEET = (
    "norm_feed_forward1", "feed_forward1", "norm_self_att", "self_attn",
    "norm_feed_forward2", "feed_forward2", "norm_out",
)  # fmt: skip
"""The parts of a block in the order in which they work."""


def fault(blocks: nn.ModuleList) -> str | None:
    """Why these blocks cannot be run packed, or None."""
    for block in blocks:
        if type(block).__name__ not in _KNOWN:
            return f"{type(block).__name__} is not known to the packed path"
    return None


class ConformerBlock:
    """One block: half a feed-forward layer, attention, convolution, half a feed-forward layer, LayerNorm."""

    def __init__(self, module: Any) -> None:
        parakeet = hasattr(module, "norm_feed_forward1")
        parts = [getattr(module, name) for name in (_PARAKEET if parakeet else _WAV2VEC2)]
        self.norm_1, self.feed_forward_1, self.norm_attention = parts[:3]
        self.attention = Attention(parts[3])
        self.norm_2, self.feed_forward_2, self.norm_out = parts[4:]
        convolution = module.conv if parakeet else module.conv_module
        self.norm_convolution = module.norm_conv if parakeet else convolution.layer_norm
        self.convolution = Convolution(convolution)

    def __call__(self, x: Tensor, positions: PackTimes) -> Tensor:
        """(F, D) to (F, D)."""
        x = _by_rows(self.feed_forward_1, self.norm_1(x)).mul_(0.5).add_(x)
        x = self.attention(self.norm_attention(x), positions).add_(x)
        x = self.convolution(self.norm_convolution(x), positions.lengths).add_(x)
        x = _by_rows(self.feed_forward_2, self.norm_2(x)).mul_(0.5).add_(x)
        return self.norm_out(x)


class Convolution:
    """Gated pointwise, depthwise along time, norm, activation, pointwise."""

    def __init__(self, module: Any) -> None:
        self.first, self.depthwise, self.last = (
            module.pointwise_conv1, module.depthwise_conv, module.pointwise_conv2
        )  # fmt: skip
        norms = ("depthwise_layer_norm", "batch_norm", "norm")
        self.norm = next(getattr(module, name) for name in norms if hasattr(module, name))
        self.activation = module.activation
        # w2v-BERT 2.0 convolves causally: it pads the input by hand, on the left alone.
        self.after = int(self.depthwise.padding[0])
        self.before: int = self.after or self.depthwise.kernel_size[0] - 1

    def __call__(self, x: Tensor, lengths: list[int]) -> Tensor:
        """(F, D) to (F, D)."""
        x = F.glu(F.linear(x, self.first.weight[:, :, 0], self.first.bias), dim=1)
        x = self.activation(self.norm(self._along_time(x, lengths)))
        return F.linear(x, self.last.weight[:, :, 0], self.last.bias)

    def _along_time(self, x: Tensor, lengths: list[int]) -> Tensor:
        """Depthwise convolution of all utterances on one line, with gaps as wide as the padding."""
        gap = max(self.before, self.after)
        starts = [gap]
        for length in lengths:
            starts.append(starts[-1] + length + gap)
        rows = torch.cat([torch.arange(n) + start for n, start in zip(lengths, starts, strict=False)])
        rows = rows.to(x.device)
        line = x.new_zeros(starts[-1], x.shape[1])
        line[rows] = x
        with full_float32():  # tails come this way too
            weight, bias = self.depthwise.weight, self.depthwise.bias
            y = F.conv1d(line.T[None], weight, bias, groups=self.depthwise.groups)[0]
        return y.T[rows - self.before]


def _by_rows(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``layer`` over (F, D) in equal parts of at most ``_ROWS`` frames."""
    if x.device.type != "cpu" or len(x) <= _ROWS:
        return layer(x)
    return torch.cat([layer(part) for part in x.tensor_split(-(-len(x) // _ROWS))])

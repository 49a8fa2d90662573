"""WeNet's Conformer encoder (Gulati et al., 2020; Yao et al., 2021) over packed frames.

Modules carry the names of WeNet's, so that a checkpoint's tensors fit. Utterances lie one after another,
(F, D): dense layers take all frames at once, attention and the depthwise convolution one utterance at a
time. WeNet calls its attention relative, yet scores use the table of absolute positions without a shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.encoders.hf_speech._attention import spans
from sercache.encoders.wenet._config import SUBSAMPLING, ConformerConfig

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "swish": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "selu": F.selu,
    "hardtanh": F.hardtanh,
}
_CHUNK = 500
"""Subsampled frames that are computed at a time: the convolutions' images are large."""


class Conformer(nn.Module):
    """The encoder. Every parameter and buffer is a tensor of the checkpoint."""

    def __init__(self, config: ConformerConfig, *, has_cmvn: bool) -> None:
        super().__init__()
        self.config = config
        self.global_cmvn = _Cmvn(config.input_dim) if has_cmvn else None
        self.embed = _Subsampling(config)
        self.encoders = nn.ModuleList(_Block(config) for _ in range(config.num_blocks))
        self.after_norm = nn.LayerNorm(config.output_size, eps=config.norm_eps)

    def forward(self, fbanks: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) for filterbanks (T_i, mels): ``input``, ``1`` … ``L`` and ``final``."""
        dtype = self.after_norm.weight.dtype
        parts = []
        for fbank in fbanks:
            normalised = fbank if self.global_cmvn is None else self.global_cmvn(fbank)
            parts.append(self.embed(normalised.to(dtype)))
        lengths = [len(part) for part in parts]
        x = torch.cat(parts) * math.sqrt(self.config.output_size)
        yield "input", x
        positions = _sinusoids(max(lengths), self.config.output_size).to(x)
        for number, block in enumerate(self.encoders, start=1):
            x = block(x, lengths, positions)
            yield str(number), x
        if self.config.normalize_before:
            yield "final", self.after_norm(x)


class _Cmvn(nn.Module):
    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("istd", torch.ones(n_mels))

    def forward(self, fbank: Tensor) -> Tensor:
        return (fbank - self.get_buffer("mean")) * self.get_buffer("istd")


class _Subsampling(nn.Module):
    """Convolutions over time and frequency, flattened channel by channel, and a linear layer."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_bins = config.input_dim
        channels = 1
        for kernel, stride in SUBSAMPLING[config.input_layer]:
            layers += [nn.Conv2d(channels, config.output_size, kernel, stride), nn.ReLU()]
            n_bins = (n_bins - kernel) // stride + 1
            channels = config.output_size
        self.conv = nn.Sequential(*layers)
        linear = nn.Linear(channels * n_bins, config.output_size)
        if config.input_layer == "conv2d":
            self.out: nn.Module = nn.Sequential(linear)
        else:
            self.linear: nn.Module = linear
        self.config = config

    def forward(self, fbank: Tensor) -> Tensor:
        """(T, mels) to (T', D), a stretch at a time."""
        project = self.out if self.config.input_layer == "conv2d" else self.linear
        size, step = self.config.window
        n_frames = self.config.n_frames(len(fbank))
        parts = []
        for start in range(0, n_frames, _CHUNK):
            last = min(start + _CHUNK, n_frames) - 1
            image = self.conv(fbank[None, None, start * step : last * step + size])  # (1, D, T', bins)
            parts.append(project(image[0].transpose(0, 1).flatten(1)))
        return torch.cat(parts)


class _Block(nn.Module):
    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.config = config
        self.self_attn = _Attention(config)
        self.feed_forward = _FeedForward(config)
        self.norm_mha = _norm(config)
        self.norm_ff = _norm(config)
        if config.macaron_style:
            self.feed_forward_macaron = _FeedForward(config)
            self.norm_ff_macaron = _norm(config)
        if config.use_cnn_module:
            self.conv_module = _Convolution(config)
            self.norm_conv = _norm(config)
            self.norm_final = _norm(config)

    def forward(self, x: Tensor, lengths: Sequence[int], positions: Tensor) -> Tensor:
        config = self.config
        share = 0.5 if config.macaron_style else 1.0
        if config.macaron_style:
            x = self._around(self.norm_ff_macaron, x, lambda y: share * self.feed_forward_macaron(y))
        x = self._around(self.norm_mha, x, lambda y: self.self_attn(y, lengths, positions))
        if config.use_cnn_module:
            x = self._around(self.norm_conv, x, lambda y: self.conv_module(y, lengths))
        x = self._around(self.norm_ff, x, lambda y: share * self.feed_forward(y))
        return self.norm_final(x) if config.use_cnn_module else x

    def _around(self, norm: nn.Module, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """``part`` with its residual connection, normalised before or after."""
        if self.config.normalize_before:
            return x + part(norm(x))
        return norm(x + part(x))


class _FeedForward(nn.Module):
    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.w_1 = nn.Linear(config.output_size, config.linear_units)
        self.w_2 = nn.Linear(config.linear_units, config.output_size)
        self.activation = _ACTIVATIONS[config.activation_type]

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.activation(self.w_1(x)))


class _Attention(nn.Module):
    """Scores ((q + u) k + (q + v) p) / sqrt(d), p the projected position of the key."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        size, self.n_heads = config.output_size, config.attention_heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(self.n_heads, size // self.n_heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(self.n_heads, size // self.n_heads))
        self.chunk = 0 if config.use_dynamic_chunk else max(0, config.static_chunk_size)

    def forward(self, x: Tensor, lengths: Sequence[int], positions: Tensor) -> Tensor:
        query, key, value = self.linear_q(x), self.linear_k(x), self.linear_v(x)
        placed = self.linear_pos(positions)
        mixed = torch.empty_like(query)
        for rows in spans(lengths):
            part = placed[: rows.stop - rows.start]
            # (q + u) k + (q + v) p = q (k + p) + (u k + v p): a key of its own, and a bias per key.
            q, k, v = (self._heads(each) for each in (query[rows], key[rows] + part, value[rows]))
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=self._bias(key[rows], part))
            mixed[rows] = out[0].transpose(0, 1).flatten(1)
        return self.linear_out(mixed)

    def _bias(self, key: Tensor, placed: Tensor) -> Tensor:
        """(1, H, T, T): what each key adds to its scores; minus infinity where the query does not see it."""
        k, p = (each.unflatten(1, (self.n_heads, -1)) for each in (key, placed))  # (T, H, d)
        per_key = (k * self.pos_bias_u + p * self.pos_bias_v).sum(-1).T / math.sqrt(k.shape[-1])
        bias = per_key[None, :, None].expand(1, -1, len(key), -1)
        if not self.chunk:
            return bias
        frame = torch.arange(len(key), device=key.device)
        unseen = frame >= (frame[:, None] // self.chunk + 1) * self.chunk
        return bias.masked_fill(unseen, -math.inf)

    def _heads(self, x: Tensor) -> Tensor:
        """(T, D) to (1, H, T, d)."""
        return x.unflatten(1, (self.n_heads, -1)).transpose(0, 1)[None]


class _Convolution(nn.Module):
    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        size, kernel = config.output_size, config.cnn_module_kernel
        self.pointwise_conv1 = nn.Conv1d(size, 2 * size, 1)
        self.depthwise_conv = nn.Conv1d(size, size, kernel, groups=size)
        # Always with 1e-5, whatever norm_eps says: WeNet builds this norm with PyTorch's default.
        self.norm = (nn.BatchNorm1d if config.cnn_module_norm == "batch_norm" else nn.LayerNorm)(size)
        self.pointwise_conv2 = nn.Conv1d(size, size, 1)
        self.activation = _ACTIVATIONS[config.activation_type]
        self.causal, self.kernel = config.causal, kernel

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        gated = F.glu(_pointwise(self.pointwise_conv1, x), dim=1)
        x = torch.cat([self._along_time(gated[rows]) for rows in spans(lengths)])
        return _pointwise(self.pointwise_conv2, self.activation(self.norm(x)))

    def _along_time(self, x: Tensor) -> Tensor:
        """(T, D) of one utterance, padded and convolved."""
        if self.causal:
            # WeNet pads a causal module with zeros before the gate, which makes a constant of them.
            nothing = F.glu(_pointwise(self.pointwise_conv1, x.new_zeros(1, x.shape[1])), dim=1)
            padded = torch.cat([nothing.expand(self.kernel - 1, -1), x])
        else:
            padded = F.pad(x, (0, 0, self.kernel // 2, self.kernel // 2))
        return self.depthwise_conv(padded.T[None])[0].T


def _pointwise(layer: nn.Conv1d, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight[:, :, 0], layer.bias)


def _norm(config: ConformerConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.output_size, eps=config.norm_eps)


def _sinusoids(n_frames: int, size: int) -> Tensor:
    """(T, D) float32: sine and cosine in turns, of absolute positions."""
    frequency = torch.exp(torch.arange(0, size, 2, dtype=torch.float32) * -(math.log(10_000.0) / size))
    angle = torch.arange(n_frames, dtype=torch.float32)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)

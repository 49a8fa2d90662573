"""data2vec 2.0 audio over packed frames, a state at a time.

Utterances lie one after another, (F, D), in the blocks each with its extra tokens before its T frames: (F + B E, D).
Dense layers take all rows at once; what looks along time is applied to one utterance at a time, so that none is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.encoders.data2vec2._model import Data2Vec2
from sercache.encoders.hf_speech import _groups
from sercache.encoders.hf_speech._convolutions import FrontEnd
from sercache.encoders.hf_speech._dense import add_feed_forward, add_linear, lay_out_weights
from sercache.encoders.hf_speech._groups import Group
from sercache.encoders.hf_speech._positions import PackedPositions

_BIAS_BYTES = 64 * 2**20
"""Largest bias (B, H, Q, T) that is laid out at a time: long recordings stay in memory."""
_BIAS_BYTES_CUDA = 2**30
_SMALLEST_BLOCK = 64
"""Queries; the attention kernels lose half their speed on fewer."""


class PackedFrames:
    """The forward pass."""

    def __init__(self, model: Data2Vec2, device: torch.device, dtype: torch.dtype) -> None:
        """``model``: in float32 on the CPU; it is taken over and brought to ``device`` in ``dtype``."""
        slopes = _slopes(model)
        self.slopes = None if slopes is None else slopes.to(device)
        audio = model.to(device=device, dtype=dtype).audio
        self.front = FrontEnd(audio.front_layers())
        self.project = audio.project_features
        self.positions = PackedPositions(audio.relative_positional_encoder)
        self.norm = audio.context_encoder["norm"]
        self.blocks: list[Any] = [*audio.context_encoder["blocks"], *model.blocks]
        self.n_heads, self.n_extra = model.config.n_heads, model.config.n_extra_tokens
        self.tokens = audio.extra_tokens[0] if self.n_extra else None
        """(E, D)."""
        lay_out_weights(model)

    @torch.no_grad()
    def __call__(self, waves: Sequence[Tensor], states: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) for ``states``, given in order; nothing above the last is computed."""
        for name, x in self._all(waves):
            if name in states:
                yield name, x
            if name == states[-1]:
                return

    def _all(self, waves: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        x, lengths = self.front.packed(waves)
        yield "conv", x
        x = self.project(x)
        yield "projection", x
        x = self.norm(x + self.positions(x, lengths))
        yield "input", x
        frames = None
        if self.tokens is not None:
            # The norm before block 1 is over features alone, so that the tokens may be normalised by themselves.
            tokens = self.norm(self.tokens)
            x = torch.cat([part for own in x.split(lengths) for part in (tokens, own)])
            lengths = [length + self.n_extra for length in lengths]
            frames = _groups.moved(_behind(lengths, self.n_extra), x.device)
        attend = _Attention(lengths, x, self.n_heads, self.n_extra)
        for number, block in enumerate(self.blocks):
            slopes = None if self.slopes is None else self.slopes[number % len(self.slopes)]
            mixed = attend(block.attn["qkv"](x), slopes)
            x = block.norm1(add_linear(x, mixed, block.attn["proj"]))
            x = block.norm2(add_feed_forward(x, x, block.mlp))
            yield str(number + 1), x if frames is None else x[frames]


class _Attention:
    """Scaled dot-product attention with a bias that falls with distance (ALiBi, Press et al., 2022), to both sides.

    Extra tokens have no place in time: between one and anything there is no distance. The bias is laid out for a block
    of queries at a time.
    """

    def __init__(self, lengths: Sequence[int], like: Tensor, n_heads: int, n_extra: int) -> None:
        """``lengths``: rows of each utterance, its tokens among them; ``like``: device, dtype."""
        self.n_heads, self.n_extra = n_heads, n_extra
        side_by_side = _groups.side_by_side(like)
        self.groups = (
            _groups.padded(lengths, like.device, like.dtype) if side_by_side else _groups.singly(lengths)
        )
        room = (_BIAS_BYTES_CUDA if side_by_side else _BIAS_BYTES) // like.element_size()
        per_query = [group.n * n_heads * group.n_frames for group in self.groups]
        self.blocks = [
            min(group.n_frames, max(_SMALLEST_BLOCK, room // each))
            for group, each in zip(self.groups, per_query, strict=True)
        ]
        """Queries at a time, of each group."""
        # One buffer for all blocks and layers: fresh memory would cost more than what is written into it.
        each = zip(self.groups, self.blocks, strict=True)
        self.buffer = like.new_empty(max(n_heads * block * group.n_frames for group, block in each))

    def __call__(self, qkv: Tensor, slopes: Tensor | None) -> Tensor:
        """(rows, D), before the projection, of (rows, 3 D); ``slopes`` (H,) of the bias by frame."""
        query, key, value = qkv.unflatten(1, (3, self.n_heads, -1)).unbind(1)  # (rows, H, d)
        mixed = torch.empty_like(query, memory_format=torch.contiguous_format)
        if _groups.side_by_side(qkv):  # padded rows are put behind the last
            mixed = mixed.new_empty(len(query) + 1, *query.shape[1:])
        for group, block in zip(self.groups, self.blocks, strict=True):
            q, k, v = (group.take(part).transpose(1, 2) for part in (query, key, value))  # (B, H, T, d)
            for start in range(0, group.n_frames, block):
                here = slice(start, start + block)
                bias = group.mask if slopes is None else self._bias(group, here, slopes)
                out = F.scaled_dot_product_attention(q[:, :, here], k, v, attn_mask=bias)
                group.put(mixed, start, out.transpose(1, 2))
        return mixed[: len(query)].flatten(1)

    def _bias(self, group: Group, queries: slice, slopes: Tensor) -> Tensor:
        """(1, H, Q, T), or (B, H, Q, T) where utterances are padded."""
        place = torch.arange(group.n_frames, device=slopes.device) - self.n_extra
        own = place[queries]
        distance = (own[:, None] - place).abs().masked_fill((own[:, None] < 0) | (place < 0), 0)  # (Q, T)
        shape = (len(slopes), *distance.shape)
        bias = self.buffer[: math.prod(shape)].view(shape)
        torch.mul(slopes[:, None, None].to(bias.dtype), distance.to(bias.dtype), out=bias)
        return bias[None] if group.mask is None else bias + group.mask


def _behind(lengths: Sequence[int], n_extra: int) -> Tensor:
    """Rows of the frames where each utterance has ``n_extra`` tokens before its own."""
    return torch.cat([torch.arange(rows.start + n_extra, rows.stop) for rows in _groups.spans(lengths)])


def _slopes(model: Data2Vec2) -> Tensor | None:
    """(L or 1, H) float32: bias of a key per frame of its distance, for each block; None where there is none."""
    config = model.config
    if not config.n_alibi_heads:
        return None
    scale = model.audio.alibi_scale.detach().float().clamp_min(0).flatten(1)  # (L or 1, H or 1)
    found = -torch.tensor(_by_head(config.n_alibi_heads)) * scale
    return F.pad(found, (0, config.n_heads - config.n_alibi_heads))


def _by_head(n_heads: int) -> list[float]:
    """A geometric row from 2^(-8/n) for powers of two; else that of the next lower, and every other of the higher."""
    lower = 2 ** (n_heads.bit_length() - 1)
    found = [2.0 ** (-8 * (k + 1) / lower) for k in range(lower)]
    return found + [2.0 ** (-8 * (2 * k + 1) / (2 * lower)) for k in range(n_heads - lower)]

"""Self-attention of Conformers over packed frames: each utterance attends to itself alone.

Relative positions enter as a bias by distance. For a block of n queries of an utterance of T frames, the
products of the queries with T + n - 1 distances are one matrix (H, n, T + n - 1) in which row i of the bias
is a window that starts n - 1 - i columns in: a view, which the attention kernel reads without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.encoders.hf_speech._attention import spans

_QUERIES = 256
"""Queries at a time: their bias stays in the processor's cache, and few distances are computed in vain."""
_QUERIES_CUDA = 2048

Scores = Callable[[Tensor, int, int], Tensor]
"""(scaled queries (H, n, D / H), first distance, their number) to (H, n, number of distances)."""


class PackTimes:
    """What the attention of a pack needs to know about time, computed once for all blocks."""

    def __init__(self, embed: Any, kind: str, lengths: Sequence[int], like: Tensor) -> None:
        """``embed``: the stock module of position embeddings in float32, or None; ``like``: packed frames."""
        self.kind, self.lengths, self.longest = kind, list(lengths), max(lengths)
        if kind not in ("relative", "rotary"):
            return
        if hasattr(embed, "cached_sequence_length"):
            embed.cached_sequence_length = None  # what it kept may be of another device, or of another dtype
        found = embed(torch.empty(1, self.longest, 1, device=like.device)).to(like.dtype)
        if kind == "relative":
            self.table = found[0]
            """(2 longest - 1, D): the key ``longest - 1`` frames before the query first."""
        else:
            places = torch.cat([torch.arange(length, device=like.device) for length in lengths])
            self.cosine, self.sine = found[:, :, 0][:, places]
            """(F, 1, D / H) each."""

    def rotated(self, x: Tensor, n_heads: int) -> Tensor:
        """(F, D) with each head's features turned by the angle of its frame."""
        per_head = x.unflatten(1, (n_heads, -1))
        begin, end = per_head.chunk(2, dim=2)
        turned = torch.cat((-end, begin), dim=2)
        return (per_head * self.cosine + turned * self.sine).flatten(1)


class Attention:
    """The attention of one block, with the stock module's own weights."""

    def __init__(self, module: Any) -> None:
        parakeet = hasattr(module, "q_proj")
        names = ("q_proj", "k_proj", "v_proj", "o_proj") if parakeet else (
            "linear_q", "linear_k", "linear_v", "linear_out"
        )  # fmt: skip
        self.query, self.key, self.value, self.out = (getattr(module, name) for name in names)
        self.n_heads = module.config.num_attention_heads
        self.scaling = module.scaling
        self.distances = getattr(module, "distance_embedding", None)
        """Embeddings of clipped distances, key minus query (w2v-BERT 2.0)."""
        self.reach = (
            getattr(module, "left_max_position_embeddings", 0),
            getattr(module, "right_max_position_embeddings", 0),
        )
        self.by_distance = getattr(module, "relative_k_proj" if parakeet else "linear_pos", None)
        """Projection of sinusoids (Dai et al., 2019, section 3.3)."""
        self.content_bias = getattr(module, "bias_u" if parakeet else "pos_bias_u", None)
        self.distance_bias = getattr(module, "bias_v" if parakeet else "pos_bias_v", None)

    def __call__(self, x: Tensor, positions: PackTimes) -> Tensor:
        """(F, D) to (F, D)."""
        turned = positions.rotated(x, self.n_heads) if positions.kind == "rotary" else x
        query, key, value = self.query(turned), self.key(turned), self.value(x)
        scores = self._scores(positions)
        mixed = torch.empty_like(query)
        block = _QUERIES_CUDA if x.device.type != "cpu" else _QUERIES
        for rows in spans(positions.lengths):
            keys, values = (_heads(part[rows], self.n_heads)[None] for part in (key, value))
            for start in range(rows.start, rows.stop, block):
                here = slice(start, min(start + block, rows.stop))
                queries = _heads(query[here], self.n_heads)
                bias = None
                if scores is not None:
                    bias = self._bias(
                        scores, queries, here.start - rows.start, keys.shape[2], positions.longest
                    )
                if self.content_bias is not None:
                    queries = queries + self.content_bias[:, None]
                out = F.scaled_dot_product_attention(
                    queries[None], keys, values, attn_mask=bias, scale=self.scaling
                )
                mixed[here] = out[0].transpose(0, 1).flatten(1)
        return self.out(mixed)

    def _scores(self, positions: PackTimes) -> Scores | None:
        """How queries are scored against distances in this block; None where only content counts."""
        if self.by_distance is not None:
            keys = _heads(self.by_distance(positions.table), self.n_heads).transpose(1, 2)
            assert self.distance_bias is not None
            bias = self.distance_bias[:, None] * self.scaling
            return lambda queries, first, n: (queries + bias) @ keys[:, :, first : first + n]
        if self.distances is not None:
            return lambda queries, first, n: self._clipped(queries, first - (positions.longest - 1), n)
        return None

    def _clipped(self, queries: Tensor, first: int, n: int) -> Tensor:
        """Scores of the n distances from ``first`` on, which all count as the farthest beyond the reach."""
        assert self.distances is not None
        before, after = self.reach
        low, high = (min(max(place, -before), after) for place in (first, first + n - 1))
        found = queries @ self.distances.weight[low + before : high + before + 1].T
        beyond = max(min(-before - first, n - 1), 0)
        return F.pad(found, (beyond, n - found.shape[2] - beyond), mode="replicate")

    def _bias(self, scores: Scores, queries: Tensor, start: int, n_frames: int, longest: int) -> Tensor:
        """(1, H, n, T) for the n queries from frame ``start`` on, a view of their scores."""
        n = queries.shape[1]
        width = n_frames + n - 1
        found = scores(queries * self.scaling, longest - start - n, width).contiguous()
        shape, strides = (self.n_heads, n, n_frames), (n * width, width - 1, 1)
        windows = found.as_strided(shape, strides, found.storage_offset() + n - 1)
        # The fused kernels of CUDA want aligned rows.
        return (windows.contiguous() if found.device.type != "cpu" else windows)[None]


def _heads(x: Tensor, n_heads: int) -> Tensor:
    """(T, D) to (H, T, D / H)."""
    return x.unflatten(1, (n_heads, -1)).transpose(0, 1)

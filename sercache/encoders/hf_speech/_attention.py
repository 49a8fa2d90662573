"""Self-attention over packed frames: each utterance attends to itself alone, so that none is padded.

F packed frames, H attention heads, d features of a head (D = H d), B utterances of a group, Q queries.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache import kernels
from sercache.encoders._exact import full_float32
from sercache.encoders.hf_speech import _groups
from sercache.encoders.hf_speech._groups import Group, padded, singly, spans

__all__ = ["Attention", "over", "spans"]

_BIAS_BYTES = 64 * 2**20
"""Largest position bias (B, H, Q, T) that is laid out at a time: long recordings stay in memory."""
_BIAS_BYTES_CUDA = 2**30
_SMALLEST_BLOCK = 64
"""Queries; the attention kernels lose half their speed on fewer."""

Attention = Callable[[Any, Tensor], Tensor]
"""(attention module, packed frames (F, D)) to (F, D), before the module's ``out_proj``."""


def over(first: Any, lengths: Sequence[int], like: Tensor, *, fused: bool = False) -> Attention:
    """The attention for packed frames of ``lengths`` on the device and in the dtype of ``like``.

    ``first`` is the stock module of block 1, which in WavLM holds the table of distances for all blocks; ``fused``:
    whether WavLM's goes through one kernel (``why_not_fused`` is None).
    """
    if fused:
        return Fused(first, lengths, like.device)
    if not hasattr(first, "rel_attn_embed") and _takes_varlen(like):
        return Varlen(lengths, like.device)
    groups = padded(lengths, like.device, like.dtype) if _groups.side_by_side(like) else singly(lengths)
    return Gated(first, groups) if hasattr(first, "rel_attn_embed") else Plain(groups)


class Plain:
    """Scaled dot-product attention, from the stock module's own weights."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    def __call__(self, attention: Any, x: Tensor) -> Tensor:
        """Signature of ``Attention``."""
        query, key, value = _projected(attention, x)
        mixed = _room(query)
        for group in self.groups:
            q, k, v = (group.take(part).transpose(1, 2) for part in (query, key, value))  # (B, H, T, d)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=group.mask, scale=attention.scaling)
            group.put(mixed, 0, out.transpose(1, 2))
        return mixed[: len(x)].flatten(1)


class Gated:
    """WavLM's attention (Chen et al., 2022, eq. 4-7): a bias by distance, gated by the query frame.

    The bias is laid out for a block of queries at a time. As it depends on key minus query alone, the block
    is a window sliding over one row of distances; keys and values are turned round in time so that the
    window slides forwards, which a view can express.
    """

    def __init__(self, attention: Any, groups: Sequence[Group]) -> None:
        """``attention``: the stock module of block 1."""
        self.groups = groups
        self.longest = max(group.n_frames for group in groups)
        self.by_distance = _by_distance(attention, torch.arange(self.longest - 1, -self.longest, -1))
        """(H, 2 longest - 1): bias of a key ``longest - 1`` frames ahead first."""
        limit = _BIAS_BYTES_CUDA if self.by_distance.device.type != "cpu" else _BIAS_BYTES
        per_query = [group.n * attention.num_heads * group.n_frames for group in groups]
        room = limit // self.by_distance.element_size()
        self.blocks = [
            min(group.n_frames, max(_SMALLEST_BLOCK, room // each))
            for group, each in zip(groups, per_query, strict=True)
        ]
        """Queries at a time, of each group."""
        # One buffer for all blocks and layers: fresh memory would cost more than what is written into it.
        largest = max(block * each for block, each in zip(self.blocks, per_query, strict=True))
        self.buffer = self.by_distance.new_empty(largest)

    def __call__(self, attention: Any, x: Tensor) -> Tensor:
        """Signature of ``Attention``."""
        query, key, value = _projected(attention, x)
        gate = _gate(attention, x)
        mixed = _room(query)
        for group, block in zip(self.groups, self.blocks, strict=True):
            queries, scales = group.take(query), group.take(gate)
            keys, values = (group.take(part, turned=True).transpose(1, 2) for part in (key, value))
            for start in range(0, group.n_frames, block):
                here = slice(start, start + block)
                out = F.scaled_dot_product_attention(
                    queries[:, here].transpose(1, 2),
                    keys,
                    values,
                    attn_mask=self._bias(group, here, scales[:, here]),
                    scale=attention.scaling,
                )
                group.put(mixed, start, out.transpose(1, 2))
        return mixed[: len(x)].flatten(1)

    def _bias(self, group: Group, queries: slice, gate: Tensor) -> Tensor:
        """(B, H, Q, T) for keys in reversed order; ``gate`` (B, Q, H)."""
        n_frames = group.n_frames
        first = self.longest - n_frames
        row = self.by_distance[:, first : first + 2 * n_frames - 1]
        windows = row.unfold(1, n_frames, 1)[:, queries]  # (H, Q, T), a view
        shape = (group.n, *windows.shape)
        bias = self.buffer[: group.n * windows.numel()].view(shape)
        torch.mul(gate.transpose(1, 2)[..., None], windows, out=bias)
        return bias if group.mask is None else bias.add_(group.mask.flip(-1))


class Fused:
    """WavLM's attention in two kernels: no group, no padding, and no bias in memory. Half precision on CUDA.

    The bias is that of the nearest key at ``max_distance``, for all beyond it are in the last bucket.
    """

    def __init__(self, attention: Any, lengths: Sequence[int], device: torch.device) -> None:
        """``attention``: the stock module of block 1."""
        reach = max(int(attention.max_distance), attention.num_buckets // 4)
        self.by_distance = _by_distance(attention, torch.arange(-reach, reach + 1)).float()
        """(H, 2 reach + 1): bias of a key ``reach`` frames back first."""
        self.tiles = _groups.moved(kernels.tiles(lengths), device)

    def __call__(self, attention: Any, x: Tensor) -> Tensor:
        """Signature of ``Attention``."""
        query, key, value = _projected(attention, x)
        scale, gated = float(attention.scaling), attention.gru_rel_pos_linear
        gate = kernels.gates(
            x.unflatten(1, (attention.num_heads, -1)).contiguous(),
            gated.weight,
            gated.bias,
            attention.gru_rel_pos_const.flatten(),
        )
        return kernels.gated_attention(query, key, value, gate, self.by_distance, self.tiles, scale).flatten(
            1
        )


@torch.no_grad()
def why_not_fused(attention: Any, device: torch.device) -> str | None:
    """Why WavLM's attention cannot go through one kernel on ``device``, or None: what it gives was compared.

    ``attention`` is the stock module of block 1, on the device and in half precision: in full float32 the kernel's
    products spill kilobytes of registers a thread. Both ways are measured against the plain one in float32, on short
    and long utterances.
    """
    weight = attention.q_proj.weight
    reason = kernels.missing(device)
    if reason is not None:
        return reason
    lengths = (int(attention.max_distance) + 200, 1, 33)
    draws = torch.Generator().manual_seed(0)
    x = _groups.moved(torch.randn(sum(lengths), weight.shape[1], generator=draws).to(weight.dtype), device)
    try:
        found = over(attention, lengths, x, fused=True)(attention, x)
    except torch.OutOfMemoryError:
        raise
    except Exception as fault:  # a compiler raises anything
        return kernels.in_words(fault)
    whole = copy.deepcopy(attention).float()
    with full_float32():
        expected = over(whole, lengths, x.float())(whole, x.float())
    ours, plain = (
        float((each.float() - expected).square().mean().sqrt())
        for each in (found, over(attention, lengths, x)(attention, x))
    )
    return None if ours <= kernels.WORSE * plain else kernels.differs(ours, plain)


class Varlen:
    """CUDA's attention over packed frames, in half precision: one kernel for all utterances."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.bounds = _groups.moved(torch.tensor([0, *lengths]).cumsum(0).int(), device)
        self.longest = max(lengths)

    def __call__(self, attention: Any, x: Tensor) -> Tensor:
        """Signature of ``Attention``."""
        from torch.nn.attention.varlen import varlen_attn

        query, key, value = _projected(attention, x)
        # The scale of this kernel is 1/sqrt(d); releases differ in whether another can be given.
        query = query * (attention.scaling * query.shape[-1] ** 0.5) if _rescaled(attention) else query
        bounds, longest = self.bounds, self.longest
        mixed = varlen_attn(query, key, value, bounds, bounds, longest, longest)
        assert isinstance(mixed, Tensor)
        return mixed.flatten(1)


def _takes_varlen(like: Tensor) -> bool:
    """Whether this torch and this GPU (Ampere or later) have the kernel for tensors such as ``like``."""
    if like.device.type != "cuda" or like.dtype not in (torch.float16, torch.bfloat16):
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401 - releases before 2.10 lack it
    except ImportError:
        return False
    return torch.cuda.get_device_capability(like.device)[0] >= 8


def _rescaled(attention: Any) -> bool:
    head_dim = attention.q_proj.out_features // attention.num_heads
    return abs(attention.scaling * head_dim**0.5 - 1) > 1e-6


def _projected(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value, (F, H, d) each."""
    query, key, value = (
        linear(x).unflatten(1, (attention.num_heads, -1))
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return query, key, value


def _by_distance(attention: Any, ahead: Tensor) -> Tensor:
    """(H, N): WavLM's bias of keys that lie ``ahead`` (N,) frames of the query."""
    # On the CPU, because buckets come from a logarithm that must round alike everywhere.
    buckets = attention._relative_positions_bucket(ahead)
    table: nn.Embedding = attention.rel_attn_embed
    return table(_groups.moved(buckets, table.weight.device)).T.contiguous()


def _room(query: Tensor) -> Tensor:
    """Uninitialised (F + 1, H, d): padded groups write their padding into the last row."""
    return query.new_empty(len(query) + 1, *query.shape[1:])


def _gate(attention: Any, x: Tensor) -> Tensor:
    """(F, H): by how much each frame, as a query, scales the bias of each head."""
    per_head = x.unflatten(1, (attention.num_heads, -1))
    pairs = attention.gru_rel_pos_linear(per_head).unflatten(2, (2, 4)).sum(-1)
    keep, scale = pairs.sigmoid().unbind(-1)
    return keep * (scale * attention.gru_rel_pos_const.flatten() - 1) + 2

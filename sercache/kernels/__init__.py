"""Kernels of our own for graphics cards, in Triton, which CUDA's builds of torch bring along.

What they compute has a plain way in torch, which is taken where a kernel is missing, cannot be compiled or differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "WORSE",
    "differs",
    "gated_attention",
    "gates",
    "in_words",
    "missing",
    "normalised_gelu_",
    "pooled",
    "tiles",
]

WORSE = 1.5
"""By how much more than the plain way in the same precision a kernel may err: the spread of two draws of rounding."""
_OLDEST = 8
"""Compute capability (Ampere) from which products in bfloat16 exist."""
_QUERIES, _KEYS, _WARPS = 64, 32, 4
"""Of a program of attention: the largest tile that keeps to the registers for 64 features of a head; twice the keys
spill 56 to 270 bytes a thread, twice the queries up to 970."""
_COLUMNS, _FRAMES = 64, 32
"""Of a program of pooling."""
_NUMBERS = 1024
"""Of a program that normalises rows, by one warp: on an H100 79 % of the rate of a copy, 4096 by four gave 70 %."""
_PAIRS = 32
"""Of frame and head, of a program that computes gates."""


def missing(device: torch.device) -> str | None:
    """Why kernels cannot run on ``device``, or None where they can."""
    import torch

    from sercache.kernels import _language

    if device.type != "cuda":
        return f"kernels are for CUDA, not for {device.type}"
    if _language.tl is None:
        return "this build of torch came without Triton"
    if torch.cuda.get_device_capability(device)[0] < _OLDEST:
        return f"{torch.cuda.get_device_name(device)} is older than Ampere"
    return None


def in_words(fault: Exception) -> str:
    """One line of what a compiler, or a driver, raised."""
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[0]}" if lines else type(fault).__name__


def differs(ours: float, plain: float) -> str:
    """That a kernel errs by more than WORSE times what the plain way in the same precision does, RMS of each."""
    return f"the kernel errs by {ours:.1e}, the plain way by {plain:.1e}"


def tiles(lengths: Sequence[int]) -> Tensor:
    """(3, n) int32 of utterances packed one after another: first and last + 1 frame of the utterance of each tile of
    queries, and its first query. A tile never reaches into another utterance.
    """
    import torch

    found = [
        (stop - length, stop, first)
        for length, stop in zip(lengths, accumulate(lengths), strict=True)
        for first in range(stop - length, stop, _QUERIES)
    ]
    return torch.tensor(found, dtype=torch.int32).T.contiguous()


def gated_attention(
    query: Tensor, key: Tensor, value: Tensor, gate: Tensor, table: Tensor, of: Tensor, scale: float
) -> Tensor:
    """Attention (F, H, d) of packed utterances to themselves, with the bias ``gate[q, h] * table[h, k - q]``.

    ``query``, ``key`` and ``value`` (F, H, d) contiguous, of half precision; ``gate`` (F, H) float32; ``table``
    (H, 2 reach + 1) float32, the bias of a key ``reach`` frames back first; distances beyond are as the farthest.
    ``of``: the ``tiles`` on the device. Sums, scores and bias are float32.
    """
    import torch

    from sercache.kernels._attention import attend

    _, n_heads, n_features = query.shape
    out = torch.empty_like(query)
    with _current(query.device):
        attend[(of.shape[1], n_heads)](
            query,
            key,
            value,
            gate,
            table,
            out,
            of,
            of.shape[1],
            scale,
            n_heads * n_features,
            table.shape[1] // 2,
            n_features,
            HEAD=max(16, 1 << (n_features - 1).bit_length()),
            QUERIES=_QUERIES,
            KEYS=_KEYS,
            num_warps=_WARPS,
        )
    return out


def gates(x: Tensor, weight: Tensor, bias: Tensor, strength: Tensor) -> Tensor:
    """(F, H) float32: by how much each frame of ``x`` (F, H, d), contiguous, as a query of a head scales WavLM's bias.

    ``weight`` (8, d) and ``bias`` (8,) of the gate's linear map, ``strength`` (H,). Source: Chen et al. 2022, eq. 5-7.
    """
    import torch

    from sercache.kernels._gating import gate

    n_frames, n_heads, n_features = x.shape
    out = x.new_empty(n_frames, n_heads, dtype=torch.float32)
    n_rows = n_frames * n_heads
    with _current(x.device):
        gate[(-(-n_rows // _PAIRS),)](
            x,
            weight,
            bias,
            strength,
            out,
            n_rows,
            n_heads,
            n_features,
            *weight.stride(),
            ROWS=_PAIRS,
            HEAD=1 << (n_features - 1).bit_length(),
        )
    return out


def pooled(packed: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances over time (B, D), float64, of packed frames (F, D) between ``bounds`` (B + 1,) int32."""
    import torch

    from sercache.kernels._pooling import pool

    n_utterances, dim = len(bounds) - 1, packed.shape[1]
    mean, variance = packed.new_empty(2, n_utterances, dim, dtype=torch.float64).unbind()
    with _current(packed.device):
        pool[(n_utterances, -(-dim // _COLUMNS))](
            packed, bounds, mean, variance, packed.stride(0), dim, COLUMNS=_COLUMNS, FRAMES=_FRAMES
        )
    return mean, variance


def normalised_gelu_(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """The exact GELU of LayerNorm over the last axis of ``x`` (N, C), contiguous, in its memory."""
    from sercache.kernels._normalising import normalise_gelu

    n_rows, dim = x.shape
    columns = 1 << (dim - 1).bit_length()
    rows = max(1, _NUMBERS // columns)
    with _current(x.device):
        normalise_gelu[(-(-n_rows // rows),)](
            x, weight, bias, n_rows, dim, eps, ROWS=rows, COLUMNS=columns, num_warps=1
        )
    return x


def _current(device: torch.device) -> Any:
    """``device`` as the one that Triton starts kernels on."""
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

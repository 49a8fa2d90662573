"""Dense layers over packed frames with little besides the products themselves.

On the processor a product of a thousand frames is so fast that fresh memory for its result, an own pass for a
bias or for a sum, and a weight matrix in the slower of its two layouts are what is left to save.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_ROWS = 1024
"""Frames that pass a feed-forward layer at a time on the CPU: the product is as fast as over all, and its wide
intermediate result stays small."""


def lay_out_weights(model: nn.Module) -> None:
    """Give float32 weights of linear layers on the CPU the layout (in, out) in memory; values and shapes stay.

    MKL multiplies by them 2 % faster than in the layout (out, in) that a checkpoint has. In half precision the
    same costs a factor of nine: there is no fast path for it.
    """
    for part in model.modules():
        if isinstance(part, nn.Linear):
            weight = part.weight.data
            if weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.is_contiguous():
                part.weight.data = weight.t().contiguous().t()


def add_linear(base: Tensor, x: Tensor, linear: nn.Linear) -> Tensor:
    """``base`` + ``linear(x)``, (F, D) each; the sum costs no pass of its own."""
    y = base.clone() if linear.bias is None else base + linear.bias
    return y.addmm_(x, linear.weight.t())


def add_feed_forward(base: Tensor, x: Tensor, layer: Any) -> Tensor:
    """``base`` + the stock feed-forward ``layer`` of ``x``, (F, D) each."""
    wide, narrow = layer.intermediate_dense, layer.output_dense
    y = base.clone() if narrow.bias is None else base + narrow.bias
    n_parts = 1 if x.device.type != "cpu" else -(-len(x) // _ROWS)
    memory = x.new_empty(-(-len(x) // n_parts), wide.out_features)
    for rows, sums in zip(x.tensor_split(n_parts), y.tensor_split(n_parts), strict=True):
        inner = memory[: len(rows)]
        if wide.bias is None:
            torch.mm(rows, wide.weight.t(), out=inner)
        else:
            torch.addmm(wide.bias, rows, wide.weight.t(), out=inner)
        sums.addmm_(activate(inner, layer.intermediate_act_fn), narrow.weight.t())
    return y


def is_exact_gelu(activation: nn.Module) -> bool:
    """Whether it is the GELU of the error function, which transformers wraps."""
    return getattr(activation, "act", None) is F.gelu


def activate(x: Tensor, activation: nn.Module) -> Tensor:
    """``activation(x)``, in the memory of ``x`` where it is the exact GELU."""
    if is_exact_gelu(activation):
        return torch.ops.aten.gelu_(x)
    return activation(x)

"""float32 that is float32: no TensorFloat-32 while an encoder computes.

cuDNN's convolutions round float32 to TensorFloat-32 (10 bits) by default, products do where a program asked for it.
Features that depend on such a setting are neither those of the CPU nor those of an utterance alone. The settings are
changed around each step of an encoder and given back between them: they belong to the program, not to us.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Encode = Callable[..., "Iterator[tuple[str, Tensor]]"]


@contextmanager
def full_float32() -> Iterator[None]:
    """No TensorFloat-32 in convolutions and products; half precision is not touched."""
    import torch

    cudnn, products = torch.backends.cudnn, torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("highest")
        with cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(products)


def exact(encode: Encode) -> Encode:
    """An encoder's ``encode`` with ``full_float32`` around all that it computes, and around nothing else."""

    @functools.wraps(encode)
    def steps(
        self: Any, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        with full_float32():  # what is refused is refused here, and front ends prepare their waves
            found = encode(self, waves, states)
        return _stepped(found)

    return steps


def _stepped(found: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    while True:
        with full_float32():
            step = next(found, None)
        if step is None:
            return
        yield step

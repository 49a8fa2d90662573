"""Triton, which CUDA's builds of torch bring along and others lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import triton
    from triton import language
except ImportError:
    triton = language = None

tl: Any = language
"""The words of a kernel; None without Triton."""


def kernel(function: Callable[..., None]) -> Any:
    """``function`` in Triton's language, to be compiled on its first call; itself where there is no Triton."""
    return function if triton is None else triton.jit(function)

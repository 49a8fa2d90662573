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


def kernel(*varying: str) -> Callable[[Callable[..., None]], Any]:
    """For a function in Triton's language, to be compiled on its first call; it stays itself where there is no Triton.

    ``varying``: numbers that are other ones with every pack. No code of its own is made for those that are 1 or a
    multiple of 16: it would be compiled amid a run, and might round otherwise.
    """

    def made(function: Callable[..., None]) -> Any:
        return function if triton is None else triton.jit(function, do_not_specialize=list(varying))

    return made

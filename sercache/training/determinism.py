"""Repeatable arithmetic on every device."""

from __future__ import annotations

import os


def be_deterministic() -> None:
    """Have torch use repeatable operations only, and raise where it has none; for the whole process.

    On a CPU nothing changes: the same seed gives the same numbers there anyway. cuBLAS needs its workspace
    fixed before it is first used.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Else all memory that is taken is filled first: a launch each on a card. What is taken here is written, then read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False

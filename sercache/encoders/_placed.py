"""Who an encoder is, and where it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Placed:
    """What every encoder with weights is made with, beside its module."""

    name: str
    """What it was asked for by: a short name, hub id or folder."""
    identity: Mapping[str, Any]
    """All that decides its numbers."""
    device: torch.device
    dtype: torch.dtype
    """Of weights and arithmetic."""

"""A linear head that ends its process in training, with the seeds that SERCACHE_TEST_DEADLY names: ``1,2``."""

from __future__ import annotations

import os
import signal

import torch
from torch import Tensor

from sercache.heads import linear
from sercache.training.streams import stream

SOURCE, BASELINE, RECIPE, SETUP = "of the tests", True, linear.RECIPE, linear.SETUP


class Head(linear.Head):
    """Knows its seed by that of its weights."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__(n_layers, dim, n_outputs)
        seeds = [int(seed) for seed in os.environ.get("SERCACHE_TEST_DEADLY", "").split(",") if seed]
        self.is_deadly = torch.initial_seed() in [stream(seed, 0, "weights") for seed in seeds]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C)."""
        if self.is_deadly and self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x, mask)

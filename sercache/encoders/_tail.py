"""What the tails of all families have in common: blocks that are left out at random in training."""

from __future__ import annotations

import torch
from torch import nn


class BlockDrop(nn.Module):
    """Layer drop (Fan et al. 2020, LayerDrop): in training a block is left out with probability ``p``.

    What is drawn comes from the CPU's generator whatever computes, so that a seed means the same blocks everywhere.
    Nothing is drawn where ``p`` is 0, or in evaluation.
    """

    p = 0.0

    def falls(self) -> bool:
        """Whether the next block is left out, for all utterances of the batch: its state is then its input."""
        return self.training and self.p > 0 and float(torch.rand((), device="cpu")) < self.p

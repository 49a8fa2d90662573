"""Attention blocks in parallel over frames, fused, and ArcFace: emotions (Park et al. 2023, emotion network).

One state (T, D): ReLU, Linear D, then K blocks side by side on the same frames, each multi-head
self-attention (4 heads, dropout 0.1, no residual) and the largest value over time; the K vectors, each times
its own fusion weights, initially N(0, 1), are summed; cosines to a centre per class. 2,956,800, 5,319,936,
7,683,072 and 10,046,208 parameters for K = 1 to 4, D = 768 and 4 classes. With ``arcface=False`` a linear map
gives logits (4 parameters more): train it with ``--set loss=cross-entropy``.

The published system trains wav2vec 2.0's Transformer too; its frozen CNN output is what the cache holds
(``finetune_from="conv"``). Training the head alone on frozen states is not the paper.

Deviations: attention and pooling see real frames only (the published code passes no mask, so that its scores
depend on the company in a batch); recordings over 15 s keep their first 15 s (theirs a random crop, also in
the test), those under 3 s are repeated until they last 3 s as the text says (the code's rule stops short).
As in the code, dev is drawn from the training sessions, as many utterances of each class as 20 % of the
smallest (``balanced20``), the kept epoch is the one with the best dev WA, and patience counts dev losses from
epoch 50 on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.nn import ArcFace, AttentionBlocks, only_state
from sercache.recipe import Recipe, Setup

SOURCE = "Park et al. 2023, Speaker-specific emotion representations in wav2vec 2.0 (emotion network)"
PRINTED = ("park2023 table3", "park2023 table6")

ONE_STATE = True

RECIPE = Recipe(
    loss="arcface",
    arc_scale=30.0,
    arc_margin=0.3,
    optimiser="adam",
    lr=3e-5,
    weight_decay=1e-8,
    beta1=0.9,
    beta2=0.98,
    eps=1e-6,
    schedule="exponential",
    decay=0.98,
    batch_size=6,
    accumulate=4,
    max_epochs=150,
    select="dev-wa",
    patience=10,
    patience_from=50,
    stop_on="dev-loss",
    clip_norm=100.0,
    balance="undersample",
)

SETUP = Setup(
    encoder="wav2vec2-base",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="balanced20",
    states="final",
    frames=True,
    clip="repeat:3+trim:15",
    seeds=(1000,),
    finetune_from="conv",
)


class Head(nn.Module):
    """Emotion network of the paper; gives cosines (B, C), or logits with ``arcface=False``."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        blocks: int = 4,
        heads: int = 4,
        dropout_rate: float = 0.1,
        arcface: bool = True,
    ) -> None:
        super().__init__()
        only_state(n_layers)
        if blocks < 1:
            raise ValueError(f"at least one attention block is needed, got {blocks}")
        self.attend = AttentionBlocks(dim, blocks, heads, dropout_rate)
        self.fusion = nn.Parameter(torch.randn(blocks, dim))
        self.classify = ArcFace(dim, n_outputs) if arcface else nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Cosines or logits (B, C) of x (B, 1, T, D)."""
        return self.classify(self.embed(x, mask))

    def embed(self, x: Tensor, mask: Tensor) -> Tensor:
        """Emotion vectors E (B, D)."""
        return (self.attend(x[:, 0], mask) * self.fusion).sum(1)

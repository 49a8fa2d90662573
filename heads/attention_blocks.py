"""Attention blocks in parallel over frames, fused, and ArcFace: emotions (Park et al. 2023, emotion network).

One state (T, D): ReLU, Linear D, then K blocks side by side on the same frames, each multi-head
self-attention (4 heads, dropout 0.1, no residual) and the largest value over time; the K vectors, each times
its own fusion weights, initially N(0, 1), are summed; cosines to a centre per class. 2,956,800, 5,319,936,
7,683,072 and 10,046,208 parameters for K = 1 to 4, D = 768 and 4 classes. With ``arcface=False`` a linear map
gives logits (4 parameters more): train it with ``--set loss=cross-entropy``.

The published system trains wav2vec 2.0's Transformer too; its frozen CNN output is what the cache holds
(``finetune_from="conv"``). Training the head alone on frozen states is not the paper.

Where text and code of the paper differ is in ``READINGS``, which holds what is common to its three heads too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sercache.nn import ArcFace, AttentionBlocks, only_state
from sercache.readings import NOT_SAID, Reading
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
CODE = "github.com/ParkSomin23/2023-speaker_specific_emotion_SER at fe2ba18"
OF_ALL = (
    Reading("gradient clipping", "values at 100", "norm at 100; no step where it is nan", "norm at 100",
            as_text={"clip_norm": None, "clip_value": 100.0}, as_code={"clip_norm": 100.0, "clip_value": None}),
    Reading("epsilon of Adam", NOT_SAID, "1e-6", "1e-6", as_text={"eps": 1e-8}, as_code={"eps": 1e-6}),
    Reading("padding", NOT_SAID, "read as frames by encoder, attention and pooling", "masked", True,
            alone="outputs would depend on which recordings share a batch"),
    Reading("recordings over 15 s", "cut to 15 s", "15 s from anywhere, drawn anew each time, also in the test",
            "the first 15 s", True, alone="features are computed once"),
    Reading("waveform", NOT_SAID, "as it is read", "normalised where the checkpoint's preprocessor says so", True,
            alone="it decides the features, before there is a head"),
    Reading("UA", "its formula is precision", "mean recall", "mean recall"),
    Reading("seed", NOT_SAID, "1000", "1000"),
)  # fmt: skip
"""Common to the three heads of the paper."""
OF_EMOTIONS = (
    Reading("recordings under 3 s", "repeated until they last 3 s", "int(3 / length) copies in all: may stay shorter",
            "as the text", True, alone="it decides the features, before there is a head"),
    Reading("dev part of IEMOCAP", NOT_SAID, "of each class as many utterances as 20 % of the smallest; same speakers",
            "as the code"),
    Reading("batch", "6", "6 or 7, in parts of about equal size", "6, the last smaller"),
)  # fmt: skip
"""Common to both emotion networks."""
READINGS = (
    *OF_ALL,
    *OF_EMOTIONS,
    Reading("epoch that is kept", NOT_SAID, "highest dev WA", "highest dev WA"),
    Reading("early stopping counts", "10 epochs", "10 epochs, from epoch 50 on, by dev loss", "as the code",
            as_text={"patience_from": 1}, as_code={"patience_from": 50}),
)  # fmt: skip
OPTIONS = {
    "blocks": "attention blocks side by side",
    "heads": "attention heads of each block",
    "dropout_rate": "share that dropout leaves out, of attention",
    "arcface": "cosines to a centre for each class; False: logits, with --set loss=cross-entropy",
}


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

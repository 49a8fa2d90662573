"""Three convolutions, an LSTM, attention of its last states: shares of emotions (Mohapatra et al. 2023, arch. 2).

One state (T, W), filled up with zeros to 398 frames (797 for the 40 log-mel energies). The convolutions of
``cnn-lstm``; LayerNorm over the whole pooled map (199, 192), padding included; two LSTM layers of 512; the
last states of both layers through Linear 512 are the query, the outputs keys and values; softmax of their
products over sqrt(512) over the real frames; LayerNorm over that vector of 199; its sum of the outputs; Linear
256, 128, 64 with ReLU and LayerNorm, Linear 1 with ReLU. One network per emotion: ``Setup.target`` chooses
it; without, every output has a network of its own. 7,788,751 parameters for W = 1024, 7,198,927 for 768,
5,598,429 for 40 with 797 frames.

``variant="paper"`` leaves out the LayerNorms; padding is then read by the convolutions alone. After the
LayerNorm the attention is no distribution: weights may be negative. Where text and code of the paper differ is
in ``READINGS``; the code's last ReLU is kept. Some initial weights leave it dead for every input: the
prediction is then 0 for good, rho counts as 0, and another seed is needed. A recording of one frame keeps one
pooled frame.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.heads import cnn_lstm
from sercache.nn import (
    ConvFront,
    StretchedFrames,
    mask_of,
    masked_softmax,
    only_state,
    over_frames,
    padded_to,
)
from sercache.readings import NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = (
    "Mohapatra et al. 2023, Effect of Attention and Self-Supervised Speech Embeddings on Non-Semantic Speech "
    "Tasks (architecture 2)"
)
PRINTED = ("mohapatra2023 table1",)

ONE_STATE = True

RECIPE = Recipe(loss="mse", optimiser="adam", lr=1e-4, batch_size=128, max_epochs=150, select="dev-rho")

SETUP = Setup(
    encoder="hubert-large",
    dataset="hume-prosody",
    protocol="fixed:dev",
    states="final",
    frames=True,
    task="shares",
    max_frames=398,
    seeds=(999,),
)
CODE = cnn_lstm.CODE
READINGS = (
    *cnn_lstm.OF_BOTH,
    Reading("LayerNorms", NOT_SAID, "over the pooled map, padding included, the attention's weights, each dense layer",
            "as the code", True, as_text={"option variant": "paper"}, as_code={"option variant": "code"}),
    Reading("a further LayerNorm (199, 512)", NOT_SAID, "built and never used", "left out"),
    Reading("scale of the attention's scores", "divided by the length W_l; called scaled dot-product", "1/sqrt(512)",
            "1/sqrt(512)", True, alone="the text's words and its formula do not agree"),
    Reading("sizes of the dense layers", "as architecture 1 up to the LSTM", "256, 128, 64, 1", "as the code"),
    Reading("seed", NOT_SAID, "66 for boredom and concentration, 999 for the others", "as the code in the tables"),
)  # fmt: skip
ADDED = ("final_relu",)
SMALL = {"width": 48, "hidden": 64, "max_frames": 30}

MAX_FRAMES = 398
MAX_FRAMES_LOG_MEL = 797
"""For the 40 log-mel energies, of 10 ms."""
OPTIONS = {
    **cnn_lstm.OPTIONS,
    "variant": "with LayerNorms, over padding too (code), or without (paper)",
}


class Head(nn.Module):
    """A network per output; gives values (B, C)."""

    STACKS = True
    """Recurrent networks run by ``sercache.nn``, which has a rule for a stack."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        width: int = 768,
        hidden: int = 512,
        max_frames: int | None = None,
        variant: Literal["paper", "code"] = "code",
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        only_state(n_layers)
        if variant not in ("paper", "code"):
            raise ValueError(f"variant is paper or code, got {variant!r}")
        published = MAX_FRAMES_LOG_MEL if dim == 40 else MAX_FRAMES
        self.max_frames = published if max_frames is None else max_frames
        if self.max_frames < 2:
            raise ValueError(f"frames are pooled by twos: max_frames is 2 or more, got {self.max_frames}")
        self.normed = variant == "code"
        n_pooled = self.max_frames // 2 if self.normed else None
        self.final_relu = final_relu
        self.networks = nn.ModuleList(_Network(dim, width, hidden, n_pooled) for _ in range(n_outputs))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Values (B, C) of x (B, 1, T, D); frames beyond ``max_frames`` are not read."""
        # Without LayerNorms only the two frames of padding count that the convolutions of real frames read.
        n_frames = self.max_frames if self.normed else min(self.max_frames, max(x.shape[2] + 2, 2))
        frames, mask = padded_to(x[:, 0], mask, n_frames)
        n_pooled = (mask.sum(1) // 2).clamp_min(1)
        stretched = StretchedFrames.of(frames, mask.sum(1))
        values = torch.cat([network(stretched, n_pooled) for network in self.networks], 1)
        return F.relu(values) if self.final_relu else values


class _Network(nn.Module):
    """Regressor of one emotion; without LayerNorms where ``n_pooled``, the length of the map, is None."""

    def __init__(self, dim: int, width: int, hidden: int, n_pooled: int | None) -> None:
        super().__init__()
        self.front = ConvFront(dim, width)
        self.lstm = nn.LSTM(self.front.dim, hidden, num_layers=2, batch_first=True)
        self.query = nn.Linear(2 * hidden, hidden)
        self.norm_map = _norm(n_pooled, (n_pooled, self.front.dim))
        self.norm_attention = _norm(n_pooled, (1, n_pooled))
        sizes = (hidden, *(max(hidden // part, 1) for part in (2, 4, 8)))
        layers = [
            (nn.Linear(before, after), nn.ReLU(), _norm(n_pooled, (after,)))
            for before, after in pairwise(sizes)
        ]
        self.out = nn.Sequential(*(layer for part in layers for layer in part), nn.Linear(sizes[-1], 1))

    def forward(self, frames: StretchedFrames, n_pooled: Tensor) -> Tensor:
        """(B, 1) of frames of (B, T, D), of which ``n_pooled`` (B,) pairs count."""
        maps = self.norm_map(self.front(frames))
        outputs, last = over_frames(self.lstm, maps, n_pooled)
        query = self.query(last.transpose(0, 1).flatten(1))[:, None]
        scores = query @ outputs.transpose(1, 2) * outputs.shape[-1] ** -0.5
        weights = masked_softmax(scores, mask_of(n_pooled, outputs.shape[1])[:, None])
        # Outputs in the padding are zeros: what the LayerNorm gives them there weighs nothing.
        return self.out((self.norm_attention(weights) @ outputs)[:, 0])


def _norm(n_pooled: int | None, shape: tuple[int | None, ...]) -> nn.Module:
    return nn.Identity() if n_pooled is None else nn.LayerNorm([size for size in shape if size is not None])

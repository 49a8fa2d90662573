"""Weighted average of layers, two dense layers per frame, mean over time (Pepino et al. 2021, Dense).

Layer weights are 13 scalars alpha, initially 1, applied as sum(alpha_i f_i) / sum(alpha_i); then dropout,
Linear 128, ReLU, dropout, Linear 128, ReLU, mean over the real frames, Linear C. Dropout (0.2) sits before
each dense layer, as in the models that the authors published. Keras initialisation: Glorot uniform, zero
biases. 115,473 parameters for 13 x 768 and 4 classes; with a single layer there is nothing to weigh and no
alpha: 115,460.

RAVDESS sequences are cut to 250 frames, IEMOCAP's to 400: each corpus of the paper has its own set-up. Where
text and code of the paper differ is in ``READINGS``. The other two heads of the paper take recipe, set-up and
what is common of these from here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.nn import dropout, linear, weighted_frames
from sercache.readings import NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Pepino, Riera, Ferrer 2021, Emotion Recognition from Speech Using wav2vec 2.0 Embeddings (Dense)"
PRINTED = ("pepino2021 table1", "pepino2021 table2", "pepino2021 issa")

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-4,
    clip_value=1.0,
    batch_size=32,
    max_epochs=100,
    select="dev-loss",
    patience=4,
)

SETUP = Setup(
    encoder="wav2vec2-base",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="last",
    states="projection+blocks",
    frames=True,
    clip="trim:15",
    normalise="speaker",
    max_frames=400,
    seeds=(123, 1234, 2345, 3456, 4567),
)
CODE = "github.com/habla-liaa/ser-with-w2v2 at f778fd8"
OF_ALL = (
    Reading("learning rate", "1e-3", "1e-4, in every configuration and stored model", "1e-4",
            as_text={"lr": 1e-3}, as_code={"lr": 1e-4}),
    Reading("gradient clipping", NOT_SAID, "each element at 1 (Keras' clipvalue)", "as the code",
            as_text={"clip_value": None}, as_code={"clip_value": 1.0}),
    Reading("longest training", NOT_SAID, "100 epochs", "100 epochs"),
    Reading("layer weights in the numerator", "alpha", "|alpha|, over the sum of alpha", "alpha", True,
            as_text={"option variant": "paper"}, as_code={"option variant": "code"}),
    Reading("place of dropout", NOT_SAID, "before each dense layer, none before the last", "as the code"),
    Reading("last batch of an epoch", NOT_SAID, "filled up with the first utterances", "smaller"),
    Reading("dev part of IEMOCAP", "one of the four training sessions", "the last of them (seed 1234)", "the last"),
    Reading("IEMOCAP", "four classes", "5,473 turns whose forced alignment holds a word", "as the code"),
    Reading("RAVDESS", "actors 1-20, 20-22 and 22-24", "speech and song, actors 1-20, 21-22 and 23-24",
            "as the code"),
    Reading("speakers of IEMOCAP's normalisation", "the speaker", "who wears the markers: two voices under one name",
            "who talks", True, alone="its groups are no speakers"),
    Reading("variance of the normalisation", NOT_SAID, "a running one, slightly too small", "exact", True,
            alone="it depends on the order in which files are read"),
    Reading("waveform", NOT_SAID, "as it is read", "normalised where the checkpoint's preprocessor says so", True,
            alone="it decides the features, before there is a head"),
    Reading("score", "mean and deviation over 5 seeds", "UA of the predictions of all folds together, by seed",
            "as the code"),
)  # fmt: skip
"""Common to the three heads of the paper."""
READINGS = (
    *OF_ALL,
    Reading("spectrogram", "25 ms every 10 ms", "every 20 ms; RAVDESS at 48 kHz, so every 6.7 ms",
            "every 20 ms at 16 kHz", True, alone="features of their own: spectrogram-48k, a row of table 1"),
    Reading("eGeMAPS to 20 ms", "mean of two frames", "two frames of zeros behind an even length", "mean of two", True,
            alone="it decides the features, before there is a head"),
)  # fmt: skip
UPDATES = 10_300  # at most: three sessions of five of 5,473 turns, 100 epochs
OPTIONS = {
    "hidden": "units of each dense layer",
    "dropout_rate": "share that dropout leaves out, before each dense layer",
    "variant": "how layer weights are summed: as they are (paper), or by their absolute values (code)",
}


def other_corpora(setup: Setup) -> dict[str, Setup]:
    """Set-ups of the paper's second corpus, RAVDESS: speech and song, calm merged into neutral.

    Actors 1-20 / 21-22 / 23-24.
    """
    ravdess = replace(
        setup,
        dataset="ravdess",
        protocol="fixed:pepino",
        dev="none",
        task="7class",
        clip="none",
        max_frames=250,
    )
    return {"ravdess": ravdess}


SETUPS = other_corpora(SETUP)


class Head(nn.Module):
    """Dense model of the paper; gives logits (B, C)."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        hidden: int = 128,
        dropout_rate: float = 0.2,
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__()
        if variant not in ("paper", "code"):
            raise ValueError(f"variant is paper or code, got {variant!r}")
        self.variant = variant
        self.dropout_rate = dropout_rate
        self.alpha = nn.Parameter(torch.ones(n_layers)) if n_layers > 1 else None
        self.dense1 = nn.Linear(dim, hidden)
        self.dense2 = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, n_outputs)
        for layer in (self.dense1, self.dense2, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D); pooled states are sequences of one frame."""
        frames, mean = weighted_frames(x, self.layer_weights(), mask)
        for dense in (self.dense1, self.dense2):
            frames = dropout(frames, self.dropout_rate, self.training, mask)
            frames = F.relu(linear(frames, dense.weight, dense.bias))
        return self.out(mean(frames))

    def layer_weights(self) -> Tensor:
        """Share (L,) of each layer; they sum to 1."""
        if self.alpha is None:
            return self.out.weight.new_ones(1)
        shares = self.alpha.abs() if self.variant == "code" else self.alpha
        return shares / self.alpha.sum()

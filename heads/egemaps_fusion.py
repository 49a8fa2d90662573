"""Weighted wav2vec 2.0 states beside eGeMAPS, frame by frame (Pepino et al. 2021, Fusion).

Two inputs. First the encoder's states: weighted average with alpha, initially 1, as sum(alpha_i f_i) /
sum(alpha_i), dropout, Linear 128, ReLU. Second the 25 low-level descriptors of eGeMAPS, averaged to the
encoder's 20 ms: dropout, Linear 128, ReLU. Both side by side (256), dropout, Linear 128, ReLU, mean over the
real frames, Linear C. Keras initialisation: Glorot uniform, zero biases. 135,185 parameters for 13 x 768
beside 25 and 4 classes.

The two sequences of an utterance differ by a frame or two: both are cut to the shorter. Where text and code of
the paper differ is in ``READINGS``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.heads import weighted_dense
from sercache.nn import dropout, masked_mean, side_by_side, weighted_sum
from sercache.readings import NOT_SAID, Reading

SOURCE = "Pepino, Riera, Ferrer 2021, Emotion Recognition from Speech Using wav2vec 2.0 Embeddings (Fusion)"
PRINTED = ("pepino2021 table2",)

INPUTS = 2

RECIPE = weighted_dense.RECIPE
SETUP = replace(weighted_dense.SETUP, normalise="global", beside=("egemaps-20ms",))
SETUPS = weighted_dense.other_corpora(SETUP)
CODE = weighted_dense.CODE
READINGS = (
    *weighted_dense.OF_ALL,
    Reading("frames of two sequences that differ by one or two", NOT_SAID, "one mask for both", "the shorter of both",
            True, alone="which mask it is, is not clear from the code"),
    Reading("eGeMAPS to 20 ms", "mean of two frames", "two frames of zeros behind an even length", "mean of two", True,
            alone="it decides the features, before there is a head"),
)  # fmt: skip
UPDATES = weighted_dense.UPDATES
OPTIONS = weighted_dense.OPTIONS


class Head(nn.Module):
    """Fusion model of the paper; gives logits (B, C) of two inputs."""

    def __init__(
        self,
        n_layers: tuple[int, int],
        dim: tuple[int, int],
        n_outputs: int,
        hidden: int = 128,
        dropout_rate: float = 0.2,
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__()
        if variant not in ("paper", "code"):
            raise ValueError(f"variant is paper or code, got {variant!r}")
        shapes = side_by_side(n_layers, dim, INPUTS)
        self.variant = variant
        self.dropout_rate = dropout_rate
        self.alphas = nn.ParameterList(torch.ones(n) for n, _ in shapes if n > 1)
        self.weighted = tuple(n > 1 for n, _ in shapes)
        self.branches = nn.ModuleList(nn.Linear(size, hidden) for _, size in shapes)
        self.dense = nn.Linear(INPUTS * hidden, hidden)
        self.out = nn.Linear(hidden, n_outputs)
        for layer in (*self.branches, self.dense, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: tuple[Tensor, Tensor], mask: tuple[Tensor, Tensor]) -> Tensor:
        """Logits (B, C) of x (B, L, T, D) and mask (B, T) of each input."""
        n_frames = min(each.shape[1] for each in mask)
        both = mask[0][:, :n_frames] & mask[1][:, :n_frames]
        parts = [
            self._dense(branch, weighted_sum(each[:, :, :n_frames], shares, both))
            for branch, each, shares in zip(self.branches, x, self._shares(), strict=True)
        ]
        return self.out(masked_mean(self._dense(self.dense, torch.cat(parts, -1)), both))

    def layer_weights(self) -> Tensor:
        """Share (L,) of each layer of the first input; they sum to 1."""
        return self._shares()[0]

    def _shares(self) -> list[Tensor]:
        alphas = iter(self.alphas)
        return [self._normed(next(alphas)) if has else self.out.weight.new_ones(1) for has in self.weighted]

    def _normed(self, alpha: Tensor) -> Tensor:
        return (alpha.abs() if self.variant == "code" else alpha) / alpha.sum()

    def _dense(self, layer: nn.Module, x: Tensor) -> Tensor:
        return F.relu(layer(dropout(x, self.dropout_rate, self.training)))

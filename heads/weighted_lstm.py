"""Weighted average of layers, a dense layer and an LSTM over frames, mean over time (Pepino et al. 2021, LSTM).

As the Dense model of ``weighted-dense``, with an LSTM in place of the second dense layer: layer weights
alpha, initially 1, applied as sum(alpha_i f_i) / sum(alpha_i); dropout, Linear 128, ReLU, dropout, LSTM 128
(forward in time), ReLU, mean over the real frames, Linear C. Keras initialisation: Glorot uniform, orthogonal
recurrent map, zero biases but a forget bias of 1. Keras' LSTM has one bias (torch's has two): here it is the
last column of the input map, on an input that is always 1. 230,545 parameters for 13 x 768 and 4 classes.

Sequences are cut to 400 frames on IEMOCAP, 250 on RAVDESS. Where text and code of the paper differ is in
``READINGS``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.heads import weighted_dense
from sercache.nn import dropout, masked_mean, over_frames, weighted_sum
from sercache.readings import Reading

SOURCE = "Pepino, Riera, Ferrer 2021, Emotion Recognition from Speech Using wav2vec 2.0 Embeddings (LSTM)"
PRINTED = ("pepino2021 table2",)

RECIPE = replace(weighted_dense.RECIPE, batch_size=16)
SETUP = replace(weighted_dense.SETUP, normalise="global")
SETUPS = weighted_dense.other_corpora(SETUP)
CODE = weighted_dense.CODE
READINGS = (
    *weighted_dense.OF_ALL,
    Reading("batch", "32", "16 in the script of this model", "16",
            as_text={"batch_size": 32}, as_code={"batch_size": 16}),
    Reading("after the LSTM", "nothing", 'a ReLU: what its "activation: relu" becomes', "as the code", True,
            as_text={"option relu_after_lstm": False}, as_code={"option relu_after_lstm": True}),
    Reading("normalisation", "global (table 2)", "no version of the run script switches it on: by speaker", "global",
            True, as_text={"normalise": "global"}, as_code={"normalise": "speaker"}),
)  # fmt: skip
ADDED = ("relu_after_lstm",)
SMALL = {"hidden": 24}
UPDATES = 20_500  # at most: three sessions of five of 5,473 turns, 100 epochs
OPTIONS = {
    **weighted_dense.OPTIONS,
    "hidden": "units of the dense layer and of the LSTM",
    "dropout_rate": "share that dropout leaves out, before the dense layer and the LSTM",
    "relu_after_lstm": "whether a ReLU follows the LSTM",
}


class Head(nn.Module):
    """LSTM model of the paper; gives logits (B, C)."""

    STACKS = True
    """Recurrent networks run by ``sercache.nn``, which has a rule for a stack."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        hidden: int = 128,
        dropout_rate: float = 0.2,
        variant: Literal["paper", "code"] = "paper",
        relu_after_lstm: bool = True,
    ) -> None:
        super().__init__()
        self.relu_after_lstm = relu_after_lstm
        if variant not in ("paper", "code"):
            raise ValueError(f"variant is paper or code, got {variant!r}")
        self.variant = variant
        self.dropout_rate = dropout_rate
        self.alpha = nn.Parameter(torch.ones(n_layers)) if n_layers > 1 else None
        self.dense = nn.Linear(dim, hidden)
        self.lstm = nn.LSTM(hidden + 1, hidden, bias=False, batch_first=True)
        self.out = nn.Linear(hidden, n_outputs)
        for layer in (self.dense, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        _as_keras(self.lstm)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D); pooled states are sequences of one frame."""
        frames = self._dropped(weighted_sum(x, self.layer_weights(), mask))
        frames = self._dropped(F.relu(self.dense(frames)))
        outputs, _ = over_frames(self.lstm, F.pad(frames, (0, 1), value=1.0), mask.sum(1))
        return self.out(masked_mean(F.relu(outputs) if self.relu_after_lstm else outputs, mask))

    def layer_weights(self) -> Tensor:
        """Share (L,) of each layer; they sum to 1."""
        if self.alpha is None:
            return self.out.weight.new_ones(1)
        shares = self.alpha.abs() if self.variant == "code" else self.alpha
        return shares / self.alpha.sum()

    def _dropped(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout_rate, self.training)


@torch.no_grad()
def _as_keras(lstm: nn.LSTM) -> None:
    """Keras' initial weights; the bias is the last column of the input map."""
    input_map, recurrent_map = (dict(lstm.named_parameters())[f"weight_{kind}_l0"] for kind in ("ih", "hh"))
    hidden = lstm.hidden_size
    nn.init.xavier_uniform_(input_map[:, :-1])
    nn.init.orthogonal_(recurrent_map)
    bias = input_map[:, -1]
    bias.zero_()
    bias[hidden : 2 * hidden] = 1.0  # gates are in torch's order: input, forget, cell, output

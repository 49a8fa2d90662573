"""Three convolutions, an LSTM, mean over time: shares of emotions (Mohapatra et al. 2023, architecture 1).

One state (T, W). Conv1d 768, 384, 192 of 3 frames, each with ReLU; the larger of every two frames; two LSTM
layers of 512 forward in time; mean over the first floor(T / 2) outputs; Linear 256, 64, 8, 1, each with ReLU.
One network per emotion: ``Setup.target`` chooses it; without, every output has a network of its own.
7,162,001 parameters for W = 1024, 6,572,177 for 768, 4,894,865 for 40. PyTorch's default initialisation.

Where text and code of the paper differ is in ``READINGS``; the code's last ReLU is kept.
Half of all initial weights leave the last ReLU dead for every input: the prediction is then 0 for good, rho
counts as 0, and another seed is needed. Sequences are filled up with zeros to 398 frames (797 for the 40
log-mel energies), whose convolved values reach the last real frame; only the two frames of padding that are
read are computed here, which is the same. A recording of one frame keeps one pooled frame.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sercache.nn import ConvFront, StretchedFrames, mask_of, masked_mean, only_state, over_frames, padded_to
from sercache.readings import NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = (
    "Mohapatra et al. 2023, Effect of Attention and Self-Supervised Speech Embeddings on Non-Semantic Speech "
    "Tasks (architecture 1)"
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
    seeds=(2711,),
)
CODE = "github.com/payalmohapatra/EmotionShare_ACMMM23 at be2489a"
OF_BOTH = (
    Reading("convolutions", '"increase the feature size"', "768, 384, 192: they narrow", "as the code", True,
            alone="the text gives no sizes"),
    Reading("after the last linear map", NOT_SAID, "a ReLU", "as the code", True,
            as_text={"option final_relu": False}, as_code={"option final_relu": True}),
    Reading("end of training", "early stopping on the validation data", "150 epochs, rho on devel after each",
            "150 epochs, the one with the best rho on devel is kept"),
    Reading("sizes for inputs of 768 and 40", NOT_SAID, "scripts for HuBERT Large alone", "the same sizes"),
    Reading("waveform", NOT_SAID, "torchaudio's bundle: normalised in newer releases", "normalised", True,
            alone="it decides the features, before there is a head"),
    Reading("acoustic features", "40 mel filters, in table 1 MFCC", "not published", "40 log-mel energies every 10 ms"),
)  # fmt: skip
"""Common to the two heads of the paper."""
READINGS = (*OF_BOTH, Reading("seed", NOT_SAID, "2711", "2711"))
ADDED = ("final_relu",)
SMALL = {"width": 48, "hidden": 64, "max_frames": 30}

MAX_FRAMES = 398
MAX_FRAMES_LOG_MEL = 797
"""For the 40 log-mel energies, of 10 ms."""
OPTIONS = {
    "width": "filters of the first convolution; the others have a half and a quarter",
    "hidden": "units of each layer of the LSTM",
    "max_frames": "frames that a sequence is filled up or cut to; none: 398, or 797 where D is 40",
    "final_relu": "whether a ReLU at the end keeps outputs from being negative",
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
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        only_state(n_layers)
        published = MAX_FRAMES_LOG_MEL if dim == 40 else MAX_FRAMES
        self.max_frames = published if max_frames is None else max_frames
        if self.max_frames < 2:
            raise ValueError(f"frames are pooled by twos: max_frames is 2 or more, got {self.max_frames}")
        self.networks = nn.ModuleList(_Network(dim, width, hidden, final_relu) for _ in range(n_outputs))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Values (B, C) of x (B, 1, T, D); frames beyond ``max_frames`` are not read."""
        # Three convolutions of 3 frames read two frames of padding; what lies beyond moves nothing.
        n_frames = min(self.max_frames, max(x.shape[2] + 2, 2))
        frames, mask = padded_to(x[:, 0], mask, n_frames)
        n_pooled = (mask.sum(1) // 2).clamp_min(1)
        stretched = StretchedFrames.of(frames, mask.sum(1))
        return torch.cat([network(stretched, n_pooled) for network in self.networks], 1)


class _Network(nn.Module):
    """Regressor of one emotion."""

    def __init__(self, dim: int, width: int, hidden: int, final_relu: bool) -> None:
        super().__init__()
        self.front = ConvFront(dim, width)
        self.lstm = nn.LSTM(self.front.dim, hidden, num_layers=2, batch_first=True)
        sizes = (hidden, max(hidden // 2, 8), max(hidden // 8, 8), max(hidden // 64, 8), 1)
        layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        parts = [layer for pair in layers for layer in pair]
        self.out = nn.Sequential(*(parts if final_relu else parts[:-1]))

    def forward(self, frames: StretchedFrames, n_pooled: Tensor) -> Tensor:
        """(B, 1) of frames of (B, T, D), of which ``n_pooled`` (B,) pairs count."""
        outputs, _ = over_frames(self.lstm, self.front(frames), n_pooled)
        return self.out(masked_mean(outputs, mask_of(n_pooled, outputs.shape[1])))

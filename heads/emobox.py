"""EmoBox's head: a layer on each frame of the last hidden state, mean over time, a linear layer (Ma et al. 2024).

As in its code (SuperbBaseModel): Linear 256, ReLU, mean over the real frames, Linear C; PyTorch's default
initialisation. The ReLU stands before the mean, so that full sequences are read. Before it each recording is brought
to mean 0 and variance 1 over all its frames and dimensions together, one number each, as its extraction does where it
is called with ``--output_norm``.

The code evaluates the test part after every epoch and chooses none of these; here the dev part chooses. What is read
in more than one way is in ``READINGS``: of the paper no more than its tables were at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.nn import linear, only_state, weighted_frames
from sercache.readings import Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Ma et al. 2024, EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and Benchmark"
PRINTED = ("emobox2024 table4",)
ONE_STATE = True

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-4,
    schedule="triangle",
    clip_norm=5.0,
    batch_size=32,
    max_epochs=20,
    select="dev-wa",
)

SETUP = Setup(
    encoder="whisper-large-v3",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="random20",
    states="final",
    frames=True,
    seeds=(1993,),
)

CODE = "github.com/emo-box/EmoBox at 08280f2, examples/sb; SpeechBrain 0.5.16"
_UNREAD = "not checked"
READINGS = (
    Reading("epoch that is scored", _UNREAD, "each is tested on the test part, none is chosen",
            "the best on dev, by accuracy"),
    Reading("dev part", _UNREAD, "a fifth of the training part drawn by utterance, where no list names one; as it is "
            "published, that function ends in a KeyError", "a fifth of each class, drawn by utterance"),
    Reading("units of the layer on each frame", _UNREAD, "256 in the configurations, 128 in the README's call", "256"),
    Reading("epochs", _UNREAD, "20 in the configurations, 100 in the README's call", "20"),
    Reading("learning rate", _UNREAD, "1e-4 in epoch 1, 0 in epoch 2, then up by a tenth to 1e-4 in epoch 12 and down",
            "as the code"),
    Reading("gradient clipping", _UNREAD, "norm 5, SpeechBrain's default", "as the code"),
    Reading("seed", _UNREAD, "1993 in the configurations, 1234 in the README's call", "1993"),
    Reading("frames of a recording", _UNREAD, "mean 0 and variance 1 over all of them together, where --output_norm is "
            "given, as in the README's call", "as in that call; option output_norm=false leaves it out"),
    Reading("frames of Whisper", _UNREAD, "those that the recording fills: samples // 320",
            "the last one too, which it fills in part", True, alone="it decides the features, before there is a head"),
    Reading("recordings of more than 30 s", _UNREAD, "left out of all parts",
            "left out where folds are its lists, kept where folds are made by a rule"),
)  # fmt: skip
OPEN = ("select", "hidden", "output_norm", "max_epochs", "seeds")
OPTIONS = {
    "hidden": "units of the layer on each frame",
    "output_norm": "whether a recording's frames are brought to mean 0 and variance 1, all together",
}


class Head(nn.Module):
    """One hidden layer on each frame of one state, then the mean; gives logits (B, C)."""

    def __init__(
        self, n_layers: int, dim: int, n_outputs: int, hidden: int = 256, output_norm: bool = True
    ) -> None:
        super().__init__()
        only_state(n_layers)
        self.output_norm = output_norm
        self.pre = nn.Linear(dim, hidden)
        self.post = nn.Linear(hidden, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, 1, T, D)."""
        x = normalised(x, mask) if self.output_norm else x
        frames, mean = weighted_frames(x, x.new_ones(1), mask)
        return linear(
            mean(F.relu(linear(frames, self.pre.weight, self.pre.bias))), self.post.weight, self.post.bias
        )


def normalised(x: Tensor, mask: Tensor, eps: float = 1e-5) -> Tensor:
    """x (B, L, T, D), each layer of an utterance at mean 0 and variance 1 over its real frames, zeros elsewhere.

    That of ``torch.nn.functional.layer_norm`` over (T, D) of the utterance alone.
    """
    real = mask[:, None, :, None]
    n = (mask.sum(1) * x.shape[-1]).clamp_min(1)[:, None, None, None]
    mean = torch.where(real, x, 0.0).sum((2, 3), keepdim=True) / n
    centred = torch.where(real, x - mean, 0.0)
    variance = centred.square().sum((2, 3), keepdim=True) / n
    return centred * (variance + eps).rsqrt()

"""One attention block over frames and ArcFace: speakers (Park et al. 2023, speaker identification network).

One state (T, D): multi-head self-attention (dropout 0.1, no residual), the largest value over time, cosines
to a centre per speaker. 3,323,136 parameters for D = 768 and the 1,251 speakers of VoxCeleb1. With
``arcface=False`` a linear map gives logits (3,324,387): train it with ``--set loss=cross-entropy``.

``variant="paper"`` has 4 attention heads, ``"code"`` 1. The published system trains
wav2vec 2.0's Transformer too, from its frozen CNN output (``finetune_from="conv"``); training the head alone
on frozen states is not the paper. ``embed`` gives the speaker vector that ``speaker-specific`` reads.

Where text and code of the paper differ is in ``READINGS``.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from sercache.heads import attention_blocks
from sercache.nn import ArcFace, AttentionBlock, only_state
from sercache.readings import NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Park et al. 2023, Speaker-specific emotion representations in wav2vec 2.0 (speaker identification)"
PRINTED = ("park2023 table2",)

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
    batch_size=16,
    accumulate=2,
    max_epochs=50,
    select="dev-wa",
    patience=5,
    stop_on="dev-loss",
    clip_norm=100.0,
)

SETUP = Setup(
    encoder="wav2vec2-base",
    dataset="voxceleb1",
    protocol="fixed:official",
    states="final",
    frames=True,
    task="speaker",
    clip="trim:15",
    seeds=(1000,),
    finetune_from="conv",
)
CODE = attention_blocks.CODE
READINGS = (
    *attention_blocks.OF_ALL,
    Reading("attention heads", "4", "1 (pool_head of the run), whose weights the joint network reads into 4", "4", True,
            as_text={"option variant": "paper"}, as_code={"option variant": "code"}),
    Reading("epoch that is kept", NOT_SAID, "highest dev WA", "highest dev WA"),
    Reading("undersampling", "of emotions", "of emotions alone", "none here"),
    Reading("test of the cross-entropy row", "the official split", "16 files in the archived script", "as the text"),
)  # fmt: skip
OPTIONS = {
    "heads": "attention heads; none: those of the variant, 4 (paper) or 1 (code)",
    "dropout_rate": "share that dropout leaves out, of attention",
    "arcface": "cosines to a centre for each speaker; False: logits, with --set loss=cross-entropy",
    "variant": "as the paper's text or as its authors' code has it",
}


class Head(nn.Module):
    """Speaker identification of the paper; gives cosines (B, C), or logits with ``arcface=False``."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        heads: int | None = None,
        dropout_rate: float = 0.1,
        arcface: bool = True,
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__()
        only_state(n_layers)
        if variant not in ("paper", "code"):
            raise ValueError(f"variant is paper or code, got {variant!r}")
        published = 4 if variant == "paper" else 1
        self.attend = AttentionBlock(dim, published if heads is None else heads, dropout_rate)
        self.classify = ArcFace(dim, n_outputs) if arcface else nn.Linear(dim, n_outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Cosines or logits (B, C) of x (B, 1, T, D)."""
        return self.classify(self.embed(x, mask))

    def embed(self, x: Tensor, mask: Tensor) -> Tensor:
        """Speaker vectors H_id (B, D)."""
        return self.attend(x[:, 0], mask)

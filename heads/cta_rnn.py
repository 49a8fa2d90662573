"""A GRU for every block, then attention over blocks and over time at once (Chen and Zhang 2022, CTA-RNN).

Each of the L blocks (T, D) goes through two bidirectional GRU layers of 256 of its own. Per head (8 of 64):
alpha_t weighs the blocks by their means over time, alpha_c the frames by their means over blocks, each with a
learned query; their outer product weighs every frame of every block; the weighted sum goes through the value
map; the heads side by side through Linear C. 29,174,788 parameters for 12 x 512 and 4 classes (a GRU for 1024
dims has 3,151,872: with 24 blocks 75.6 M). In the paper alpha_c has the length of time and alpha_t that of
the blocks.

Nothing between weights and value map is non-linear: the sums over frames and blocks come first, and the value
map acts on 8 vectors instead of L x T. Exact, forward and backward.

The other six heads of the paper are trained as this one is, and take its recipe, its set-up and what is open
in all of them (``READINGS``) from here.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from sercache.nn import BiGRU, BlockTimeAttention, bigru_of_each, many_blocks
from sercache.readings import NO_CODE, NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Chen and Zhang 2022, CTA-RNN (CTA-RNN)"
PRINTED = ("chen2022 table3",)

RECIPE = Recipe(
    optimiser="adam",
    lr=1e-3,
    schedule="halve-on-plateau",
    plateau_patience=10,
    batch_size=32,
    bucket=8,
    max_epochs=50,
    select="dev-ua",
)

SETUP = Setup(
    encoder="wenet-gigaspeech",
    dataset="iemocap",
    protocol="leave-one-speaker-out",
    dev="other-speaker",
    states="blocks",
    frames=True,
)
OF_ALL = (
    Reading("biases of the attention", "none in the equations", NO_CODE, "none"),
    Reading("padding", NOT_SAID, NO_CODE, "masked in attention and means"),
    Reading("classifier", NOT_SAID, NO_CODE, "one linear map, no dropout"),
    Reading("loss", NOT_SAID, NO_CODE, "unweighted cross-entropy"),
    Reading("epoch that is kept", "the best models", NO_CODE, "highest dev UA; the dev loss rules the learning rate"),
    Reading("batches", "32", NO_CODE, "32, of like length within windows of 8"),
    Reading("longest recording", NOT_SAID, NO_CODE, "none is cut"),
    Reading("score within a corpus", "UA over the folds", NO_CODE, "mean of the folds"),
    Reading("seed", NOT_SAID, NO_CODE, "0"),
    Reading("checkpoints", "trained on Librispeech and Gigaspeech", NO_CODE,
            "yours; WeNet's of June and August 2021 have the 12 blocks of 512"),
    Reading("block 12", NOT_SAID, NO_CODE, "raw output, as of the other blocks"),
)  # fmt: skip
"""Common to the seven heads of the paper."""
OF_RECURRENT = (
    *OF_ALL,
    Reading("units of a Bi-GRU layer", "256", NO_CODE, "256 in each direction", True,
            alone="128 in each is --option hidden=128; the attention's 8 x 64 fit 256"),
    Reading("dropout of the Bi-GRU", "0.3 of each layer", NO_CODE, "after each layer, the last included"),
)  # fmt: skip
READINGS = OF_RECURRENT
SMALL = {"hidden": 12, "heads": 2, "head_dim": 6, "dropout_rate": 0.1}
OPEN = ("bucket", "max_frames", "select")
UPDATES = 6_900  # at most: eight speakers of ten of 5,531 turns, 50 epochs
OPTIONS = {
    "hidden": "units of each direction of a GRU",
    "heads": "attention heads, each with a learned query",
    "head_dim": "dimensions of an attention head",
    "dropout_rate": "share that dropout leaves out, after each layer of a GRU",
}


def other_corpora(setup: Setup) -> dict[str, Setup]:
    """Set-ups of the paper's second corpus, MSP-IMPROV: 12 speakers."""
    return {"msp-improv": replace(setup, dataset="msp-improv")}


SETUPS = other_corpora(SETUP)


class Head(nn.Module):
    """A Bi-GRU per block, attention over blocks and time and a linear map; gives logits (B, C)."""

    STACKS = True
    """Recurrent networks run by ``sercache.nn``, which has a rule for a stack."""

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        hidden: int = 256,
        heads: int = 8,
        head_dim: int = 64,
        dropout_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.rnns = nn.ModuleList(BiGRU(dim, hidden, dropout_rate) for _ in range(n_layers))
        self.pool = BlockTimeAttention(2 * hidden, heads, head_dim)
        self.out = nn.Linear(heads * head_dim, n_outputs)
        self.notes = many_blocks(n_layers, sum(p.numel() for p in self.parameters()))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D)."""
        return self.out(self.pool(self._outputs(x, mask), mask))

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention alpha_t (B, heads, 1, L) that each block receives; sums to 1."""
        return self.pool.block_weights(self._outputs(x, mask), mask)[:, :, None]

    def _outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        """H (B, L, T, 2 hidden): what the Bi-GRU of each block gives, zeros in the padding."""
        return bigru_of_each(list(self.rnns), x, mask)  # type: ignore[arg-type]

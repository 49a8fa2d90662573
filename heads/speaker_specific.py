"""Speaker vector and attention blocks fused: emotions (Park et al. 2023, speaker-specific emotion network).

Two inputs. First the emotion network's state (T, D), read as in ``attention-blocks``: ReLU, Linear D, K
attention blocks, the largest value over time of each. Second the speaker: either its vector H_id (D,), or
(``second_input="frames"``) the state (T, D) of the speaker network's encoder, which an attention block turns
into H_id. The K + 1 vectors, the speaker's first, each times its own fusion weights, initially N(0, 1), are
summed; cosines to a centre per class. The emotion branch has 2,957,568, 5,320,704, 7,683,840 and 10,046,976
parameters for K = 1 to 4, D = 768 and 4 classes. ``arcface=False`` gives logits of a linear map instead; the
speaker network stays ArcFace.

``configuration``: ``all-frozen`` (the best of the paper) leaves the speaker network as it is;
``arcface-fine-tuned`` trains its attention block with new centres for the ``speakers`` of the training part;
``all-fine-tuned`` goes with ``finetune_from="conv,conv"``, which trains the speaker network's encoder too. In
training mode both fine-tuned configurations give (cosines of emotions, cosines of speakers), whose second loss
counts ``second_weight`` times (beta: 0.5, 1 or 1.5).

In the paper both networks were trained before: ``start_from`` takes their weights over, ``start_centres``
puts each speaker's centre at its mean vector. Without a trained speaker network the second input is a mere
stand-in. A frozen speaker network runs in evaluation mode; ``variant="code"`` leaves its dropout on in
training, where it is part of the head. Where text and code of the paper differ is in ``READINGS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from sercache.heads import attention_blocks
from sercache.nn import ArcFace, AttentionBlock, AttentionBlocks, masked_mean, only_state, side_by_side
from sercache.readings import NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Park et al. 2023, Speaker-specific emotion representations in wav2vec 2.0 (joint network)"

INPUTS = 2
ONE_STATE = True

RECIPE = Recipe(
    loss="arcface",
    arc_scale=30.0,
    arc_margin=0.3,
    optimiser="adam",
    lr=1e-5,
    weight_decay=1e-8,
    beta1=0.9,
    beta2=0.98,
    eps=1e-6,
    schedule="exponential",
    decay=0.98,
    batch_size=6,
    accumulate=4,
    max_epochs=100,
    select="dev-ua",
    patience=10,
    patience_from=30,
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
    beside=("wav2vec2-base:final:pooled",),
    finetune_from="conv",
)

CODE = attention_blocks.CODE
READINGS = (
    *attention_blocks.OF_ALL,
    *attention_blocks.OF_EMOTIONS,
    Reading("a frozen speaker network", NOT_SAID, "its dropout stays on in training", "in evaluation mode",
            as_text={"option variant": "paper"}, as_code={"option variant": "code"}),
    Reading("Arcface fine-tuned", "centres alone; elsewhere attention and centres", "attention and centres",
            "as the code"),
    Reading("initial centres of the speakers", NOT_SAID, "mean vector of each speaker", "as the code"),
    Reading("epoch that is kept", NOT_SAID, "highest dev UA", "highest dev UA"),
    Reading("layer drop", NOT_SAID, "0.05 of the blocks, in this stage alone: it calls forward", "none",
            as_code={"layer_drop": 0.05}),
    Reading("early stopping counts", "10 epochs", "10 epochs, from epoch 30 on, by dev loss", "as the code",
            as_text={"patience_from": 1}, as_code={"patience_from": 30}),
)  # fmt: skip

CONFIGURATIONS = ("all-frozen", "arcface-fine-tuned", "all-fine-tuned")
_FROZEN = (
    "all-fine-tuned: the speaker network's encoder stays frozen here, since finetune_from names no state for it; the "
    "paper trains it too",
)
OPTIONS = {
    **attention_blocks.OPTIONS,
    "second_input": "what is read of the speaker: its vector, or frames that a speaker network makes one of",
    "configuration": "what of the speaker network is trained with the head",
    "speakers": "speakers of the training part, where their centres are trained",
    "variant": "whether a frozen speaker network has no dropout (paper) or has it in training (code)",
}


class Head(nn.Module):
    """Joint network of the paper; gives cosines (B, C), or logits with ``arcface=False``."""

    def __init__(
        self,
        n_layers: tuple[int, int],
        dim: tuple[int, int],
        n_outputs: int,
        blocks: int = 4,
        heads: int = 4,
        dropout_rate: float = 0.1,
        arcface: bool = True,
        second_input: Literal["vectors", "frames"] = "vectors",
        configuration: Literal["all-frozen", "arcface-fine-tuned", "all-fine-tuned"] = "all-frozen",
        speakers: int = 8,
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__()
        size = _checked(n_layers, dim, blocks, second_input, configuration, variant)
        self.trains_speakers = configuration != "all-frozen"
        self.drops_when_frozen = variant == "code"
        self.attend = AttentionBlocks(size, blocks, heads, dropout_rate)
        self.fusion = nn.Parameter(torch.randn(blocks + 1, size))
        self.classify = ArcFace(size, n_outputs) if arcface else nn.Linear(size, n_outputs)
        frames = second_input == "frames"
        self.speaker = AttentionBlock(size, heads, dropout_rate) if frames else None
        self.centres = ArcFace(size, speakers) if self.trains_speakers else None
        if self.speaker is not None and not self.trains_speakers:
            self.speaker.requires_grad_(False)
        self.configuration = configuration
        self.notes: tuple[str, ...] = ()
        self.trained_below((True, False))

    def forward(
        self, x: tuple[Tensor, Tensor], mask: tuple[Tensor, Tensor]
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Cosines or logits (B, C) of x (B, 1, T, D) of each input; see the module for training mode."""
        speaker = self.embed_speaker(x[1], mask[1])
        outputs = self.classify(self._fused(x, mask, speaker))
        if self.training and self.centres is not None:
            return outputs, self.centres(speaker)
        return outputs

    def embed(self, x: tuple[Tensor, Tensor], mask: tuple[Tensor, Tensor]) -> Tensor:
        """Speaker-specific emotion vectors (B, D)."""
        return self._fused(x, mask, self.embed_speaker(x[1], mask[1]))

    def embed_speaker(self, x: Tensor, mask: Tensor) -> Tensor:
        """Speaker vectors H_id (B, D) of the second input (B, 1, T, D)."""
        return masked_mean(x[:, 0], mask) if self.speaker is None else self.speaker(x[:, 0], mask)

    def trained_below(self, inputs: tuple[bool, ...]) -> None:
        """Told below which inputs encoders are trained. Raises ValueError where the configuration forbids it."""
        everything = self.configuration == "all-fine-tuned"
        if inputs[1] and not everything:
            raise ValueError(
                f"configuration {self.configuration} leaves the speaker network's encoder as it is, and finetune_from "
                "trains it; set configuration=all-fine-tuned, or finetune_from of the first input alone"
            )
        self.notes = _FROZEN if everything and not inputs[1] else ()

    def _fused(self, x: tuple[Tensor, Tensor], mask: tuple[Tensor, Tensor], speaker: Tensor) -> Tensor:
        vectors = self.attend(x[0][:, 0], mask[0])
        return (torch.cat([speaker[:, None], vectors], 1) * self.fusion).sum(1)

    def train(self, mode: bool = True) -> Head:
        """Training or evaluation mode; a frozen speaker network stays in evaluation."""
        super().train(mode)
        if self.speaker is not None and not self.trains_speakers and not self.drops_when_frozen:
            self.speaker.eval()
        return self

    @torch.no_grad()
    def start_from(self, emotion: Mapping[str, Tensor], speaker: Mapping[str, Tensor] | None = None) -> None:
        """Take over the weights of an ``attention-blocks`` head and of a ``speaker-id`` head.

        The speaker's row of the fusion weights and the centres of new speakers stay as they were drawn.
        """
        own = {**self.state_dict(), **emotion}
        own["fusion"] = torch.cat([self.fusion[:1], emotion["fusion"].to(self.fusion)])
        if speaker is not None and self.speaker is None:
            raise RuntimeError(
                "the second input is vectors: a speaker network has no place; set second_input=frames"
            )
        if speaker is not None:
            attend = {name: value for name, value in speaker.items() if name.startswith("attend.")}
            own |= {name.replace("attend.", "speaker.", 1): value for name, value in attend.items()}
        self.load_state_dict(own)

    @torch.no_grad()
    def start_centres(self, vectors: Tensor) -> None:
        """Put the centres of the training speakers at their mean vectors (S, D)."""
        if self.centres is None:
            raise ValueError("configuration all-frozen has no centres of speakers; choose another")
        if self.centres.centres.shape != vectors.shape:
            raise ValueError(
                f"got vectors {tuple(vectors.shape)}, expected {tuple(self.centres.centres.shape)}: set speakers"
            )
        self.centres.centres.copy_(vectors)


def _checked(
    n_layers: tuple[int, int],
    dim: tuple[int, int],
    blocks: int,
    second_input: str,
    configuration: str,
    variant: str,
) -> int:
    """The feature size D that both inputs share. Raises ValueError for what cannot be built."""
    shapes = side_by_side(n_layers, dim, INPUTS)
    for layers, _ in shapes:
        only_state(layers)
    sizes = [size for _, size in shapes]
    if sizes[0] != sizes[1]:
        raise ValueError(f"emotion and speaker vectors are summed: got sizes {sizes[0]} and {sizes[1]}")
    if blocks < 1:
        raise ValueError(f"at least one attention block is needed, got {blocks}")
    if configuration not in CONFIGURATIONS:
        raise ValueError(f"configuration is one of {', '.join(CONFIGURATIONS)}, got {configuration!r}")
    if second_input not in ("vectors", "frames") or variant not in ("paper", "code"):
        raise ValueError(
            f"second_input is vectors or frames, variant is paper or code, got {second_input!r}, {variant!r}"
        )
    if configuration != "all-frozen" and second_input != "frames":
        raise ValueError(f"{configuration} trains on the speaker network's frames; set second_input=frames")
    return sizes[0]

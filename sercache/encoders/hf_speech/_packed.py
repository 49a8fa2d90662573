"""wav2vec 2.0, HuBERT, WavLM and data2vec-audio over packed frames.

Utterances lie one after another, (F, D). Dense layers take all frames at once; whatever looks along time
(front end, positional convolution, attention) is applied to one utterance at a time. All arithmetic uses
the loaded modules' own weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sercache.encoders.hf_speech import _attention
from sercache.encoders.hf_speech._attention import Attention
from sercache.encoders.hf_speech._convolutions import FrontEnd
from sercache.encoders.hf_speech._dense import add_feed_forward, add_linear, lay_out_weights
from sercache.encoders.hf_speech._positions import Positions

_FAMILIES = ("Wav2Vec2", "Hubert", "WavLM", "Data2VecAudio", "UniSpeechSat", "UniSpeech")
_CONVOLUTIONS = ("NoLayerNormConvLayer", "LayerNormConvLayer", "GroupNormConvLayer", "ConvLayer")


def fault(model: Any) -> str | None:
    """Why this module cannot be run packed, or None where every part is one that is known."""
    encoder = model.encoder
    parts: list[tuple[nn.Module, tuple[str, ...]]] = [
        (encoder, ("Encoder", "EncoderStableLayerNorm")),
        (model.feature_projection, ("FeatureProjection",)),
        (encoder.pos_conv_embed, ("PositionalConvEmbedding",)),
        *((block, ("EncoderLayer", "EncoderLayerStableLayerNorm")) for block in encoder.layers),
        *((block.attention, ("Attention",)) for block in encoder.layers),
        *((block.feed_forward, ("FeedForward",)) for block in encoder.layers),
        *((layer, _CONVOLUTIONS) for layer in model.feature_extractor.conv_layers),
    ]
    for part, known in parts:
        name = type(part).__name__
        if name not in {family + suffix for family in _FAMILIES for suffix in known}:
            return f"{name} is not known to the packed path"
    for layer in model.feature_extractor.conv_layers:
        conv = layer.conv
        if conv.padding != (0,) or conv.dilation != (1,) or conv.groups != 1:
            return "a convolution of the front end is padded, dilated or grouped"
    return None


class Packed:
    """The forward pass, a state at a time."""

    def __init__(self, model: Any) -> None:
        """``model``: a stock module without a ``fault``; its weight norm is folded and its weights
        are laid out anew in memory, once and for all.
        """
        lay_out_weights(model.encoder)
        self.model = model
        self.front = FrontEnd(model.feature_extractor)
        self.pre_norm = type(model.encoder).__name__.endswith("StableLayerNorm")
        self.positions = Positions(model.encoder.pos_conv_embed)

    @torch.no_grad()
    def __call__(self, waves: Sequence[Tensor], states: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) for ``states``, given in order; nothing above the last is computed."""
        last = states[-1]
        for name, x in self._all(waves):
            if name in states:
                yield name, x
            if name == last:
                return

    def _all(self, waves: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        model, encoder = self.model, self.model.encoder
        x, lengths = self.front.packed(waves)
        yield "conv", x
        projected = model.feature_projection(x)
        x = projected[0] if isinstance(projected, tuple) else projected
        del projected
        yield "projection", x
        x = x + self.positions(x, lengths)
        if not self.pre_norm:
            x = encoder.layer_norm(x)
        yield "input", x
        attend = _attention.over(encoder.layers[0].attention, lengths, x)
        run = _pre_norm_block if self.pre_norm else _post_norm_block
        for number, block in enumerate(encoder.layers, start=1):
            x = run(block, x, attend)
            yield str(number), x
        if self.pre_norm:
            yield "final", encoder.layer_norm(x)


def _post_norm_block(block: Any, x: Tensor, attend: Attention) -> Tensor:
    mixed = attend(block.attention, x)
    x = block.layer_norm(add_linear(x, mixed, block.attention.out_proj))
    return block.final_layer_norm(add_feed_forward(x, x, block.feed_forward))


def _pre_norm_block(block: Any, x: Tensor, attend: Attention) -> Tensor:
    mixed = attend(block.attention, block.layer_norm(x))
    x = add_linear(x, mixed, block.attention.out_proj)
    x = add_feed_forward(x, block.final_layer_norm(x), block.feed_forward)
    adapter = getattr(block, "adapter_layer", None)
    return x if adapter is None else x.add_(adapter(x))

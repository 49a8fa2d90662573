"""wav2vec 2.0, HuBERT, WavLM and data2vec-audio over packed frames.

Utterances lie one after another, (F, D). Dense layers take all frames at once; whatever looks along time
(front end, positional convolution, attention) is applied to one utterance at a time. All arithmetic uses
the loaded modules' own weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sercache.encoders.hf_speech._attention import Attention, Gated, plain
from sercache.encoders.hf_speech._convolutions import FrontEnd
from sercache.encoders.hf_speech._positions import Positions

_FAMILIES = ("Wav2Vec2", "Hubert", "WavLM", "Data2VecAudio", "UniSpeechSat", "UniSpeech")
_CONVOLUTIONS = ("NoLayerNormConvLayer", "LayerNormConvLayer", "GroupNormConvLayer", "ConvLayer")
_ROWS = 1024
"""Frames that pass a feed-forward layer at a time: the product is as fast as over all, and its wide
intermediate result stays small."""


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
        """``model``: a stock module without a ``fault``; its weight norm is folded, once and for all."""
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
        parts = [self.front(wave) for wave in waves]
        lengths = [len(part) for part in parts]
        x = torch.cat(parts)
        del parts
        yield "conv", x
        projected = model.feature_projection(x)
        x = projected[0] if isinstance(projected, tuple) else projected
        del projected
        yield "projection", x
        x = x + self.positions(x, lengths)
        if not self.pre_norm:
            x = encoder.layer_norm(x)
        yield "input", x
        first = encoder.layers[0].attention
        attend: Attention = Gated(first, lengths) if hasattr(first, "rel_attn_embed") else plain
        run = _pre_norm_block if self.pre_norm else _post_norm_block
        for number, block in enumerate(encoder.layers, start=1):
            x = run(block, x, attend, lengths)
            yield str(number), x
        if self.pre_norm:
            yield "final", encoder.layer_norm(x)


def _post_norm_block(block: Any, x: Tensor, attend: Attention, lengths: Sequence[int]) -> Tensor:
    x = block.layer_norm(attend(block.attention, x, lengths).add_(x))
    return block.final_layer_norm(_by_rows(block.feed_forward, x).add_(x))


def _pre_norm_block(block: Any, x: Tensor, attend: Attention, lengths: Sequence[int]) -> Tensor:
    x = attend(block.attention, block.layer_norm(x), lengths).add_(x)
    x.add_(_by_rows(block.feed_forward, block.final_layer_norm(x)))
    adapter = getattr(block, "adapter_layer", None)
    return x if adapter is None else x.add_(adapter(x))


def _by_rows(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``layer`` over (F, D) in equal parts of at most ``_ROWS`` frames."""
    if x.is_cuda or len(x) <= _ROWS:
        return layer(x)
    n_parts = -(-len(x) // _ROWS)
    return torch.cat([layer(part) for part in x.tensor_split(n_parts)])

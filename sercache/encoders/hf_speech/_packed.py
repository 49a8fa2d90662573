"""wav2vec 2.0, HuBERT, WavLM and data2vec-audio over packed frames.

Utterances lie one after another, (F, D). Dense layers take all frames at once; whatever looks along time
(front end, positional convolution, attention) is applied to one utterance at a time. All arithmetic uses
the loaded modules' own weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sercache.encoders._windows import Window, Windows
from sercache.encoders.hf_speech import _attention, _groups
from sercache.encoders.hf_speech._attention import Attention
from sercache.encoders.hf_speech._convolutions import FrontEnd, Laid
from sercache.encoders.hf_speech._dense import add_feed_forward, add_linear
from sercache.encoders.hf_speech._positions import PackedPositions

_FAMILIES = ("Wav2Vec2", "Hubert", "WavLM", "Data2VecAudio", "UniSpeechSat", "UniSpeech")
_CONVOLUTIONS = ("NoLayerNormConvLayer", "LayerNormConvLayer", "GroupNormConvLayer", "ConvLayer")


_PACK_CUDA = 16_000
"""Frames of windows that pass a block together on CUDA."""

_Run = Callable[[Any, Tensor, Attention], Tensor]
"""A block over packed frames (F, D)."""


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

    windows: Windows | None = None
    """How blocks see recordings longer than a window; None: whole."""
    fused = False
    """Whether WavLM's attention goes through one kernel."""

    def __init__(self, model: Any) -> None:
        """``model``: a stock module without a ``fault``; its weight norm is folded, once and for all."""
        self.model = model
        self.front = FrontEnd(model.feature_extractor)
        self.pre_norm = type(model.encoder).__name__.endswith("StableLayerNorm")
        self.positions = PackedPositions(model.encoder.pos_conv_embed)

    def fuse(self, device: torch.device) -> list[str]:
        """Take the kernels that there are for ``device``, on which the module lies; what runs without, and why."""
        if device.type != "cuda":
            return []
        lines = []
        first, reason = self.model.encoder.layers[0].attention, self.front.fuse()
        if reason is not None:
            lines.append(f"the front end normalises and activates in two passes: {reason}")
        if hasattr(first, "rel_attn_embed") and first.q_proj.weight.dtype != torch.float32:
            reason = _attention.why_not_fused(first, device)
            self.fused = reason is None
            if reason is not None:
                lines.append(f"attention runs in padded groups: {reason}")
        return lines

    @torch.no_grad()
    def __call__(self, waves: Sequence[Tensor] | Laid, states: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) for ``states``, given in order; nothing above the last is computed."""
        last = states[-1]
        for name, x in self._all(waves):
            if name in states:
                yield name, x
            if name == last:
                return

    def _all(self, waves: Sequence[Tensor] | Laid) -> Iterator[tuple[str, Tensor]]:
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
        run = _pre_norm_block if self.pre_norm else _post_norm_block
        through = self._through_windows if self.windows else self._whole
        blocks = through(x, lengths, run)
        for name, x in blocks:
            yield name, x
        if self.pre_norm:
            yield "final", encoder.layer_norm(x)

    def _whole(self, x: Tensor, lengths: Sequence[int], run: _Run) -> Iterator[tuple[str, Tensor]]:
        attend = _attention.over(self.model.encoder.layers[0].attention, lengths, x, fused=self.fused)
        for number, block in enumerate(self.model.encoder.layers, start=1):
            x = run(block, x, attend)
            yield str(number), x

    def _through_windows(self, x: Tensor, lengths: Sequence[int], run: _Run) -> Iterator[tuple[str, Tensor]]:
        """As ``_whole``, but blocks see at most a window at a time; what is below them saw the whole."""
        assert self.windows is not None
        first = self.model.encoder.layers[0].attention
        starts = itertools.accumulate(lengths, initial=0)
        cut = [
            (start, window)
            for start, length in zip(starts, lengths, strict=False)
            for window in self.windows.over(length)
        ]
        if len(cut) == len(lengths):
            yield from self._whole(x, lengths, run)
            return
        kept = torch.cat([torch.arange(w.first - w.start, w.last - w.start) + at for at, w in _placed(cut)])
        kept = _groups.moved(kept, x.device)
        x = torch.cat([x[start + w.start : start + w.stop] for start, w in cut])
        packs = _packs(
            [w.stop - w.start for _, w in cut], _PACK_CUDA if x.device.type != "cpu" else self.windows.seen
        )
        attend = {pack: _attention.over(first, pack, x, fused=self.fused) for pack in set(packs)}
        for number, block in enumerate(self.model.encoder.layers, start=1):
            for part, pack in zip(x.split([sum(pack) for pack in packs]), packs, strict=True):
                part.copy_(run(block, part, attend[pack]))
            yield str(number), x[kept]


def _placed(cut: Sequence[tuple[int, Window]]) -> Iterator[tuple[int, Window]]:
    """(where a window begins when all are laid one after another, window)."""
    at = 0
    for _, window in cut:
        yield at, window
        at += window.stop - window.start


def _packs(lengths: Sequence[int], room: int) -> list[tuple[int, ...]]:
    """Lengths of windows that pass a block together, in order, ``room`` frames at most unless one is longer."""
    packs: list[tuple[int, ...]] = []
    for length in lengths:
        if packs and sum(packs[-1]) + length <= room:
            packs[-1] += (length,)
        else:
            packs.append((length,))
    return packs


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

"""The Encoder of the Conformers: packed where every part is known, else the stock module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sercache.encoders import _hooks
from sercache.encoders._arguments import asked, taken
from sercache.encoders._exact import exact
from sercache.encoders._hooks import Point
from sercache.encoders._placed import Placed
from sercache.encoders.hf_conformer import _blocks
from sercache.encoders.hf_conformer._attention import PackTimes
from sercache.encoders.hf_conformer._blocks import ConformerBlock
from sercache.encoders.hf_conformer._fronts import Front, Spectra, Subsampled, Waves

_PACK_FRAMES = 1000
_PACK_FRAMES_CUDA = 16_000
_PROBE_FRAMES = 12
_TOLERANCE = 1e-3
"""Largest difference, relative to a state's RMS, by which the packed path may miss the stock module's
values on the probe. Rounding is a hundredth of it; a part that works otherwise is far above."""
_FRONTS: dict[str, Callable[[Any, Mapping[str, Any]], Front]] = {
    "wav2vec2-conformer": Waves,
    "wav2vec2-bert": Spectra,
    "parakeet_encoder": Subsampled,
}


class ConformerEncoder:
    """A frozen wav2vec2-conformer, w2v-BERT 2.0 or Parakeet encoder."""

    max_samples: int | None = None
    dims: Mapping[str, int]
    states: tuple[str, ...]

    def __init__(
        self,
        model: Any,
        preprocessing: Mapping[str, Any],
        placed: Placed,
    ) -> None:
        """``model``: the stock module in float32 on the CPU; it is taken over and changed."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.sample_rate: int = preprocessing["sample_rate"]
        self._front: Front = _FRONTS[model.config.model_type](model, preprocessing)
        self.hop, self.min_samples = self._front.hop, self._front.min_samples
        self._model = model
        self._layers, self._closing, self._embed = parts(model)
        blocks = [str(number) for number in range(1, len(self._layers) + 1)]
        closing = ["final"] if self._closing is not None else []
        self.states = (*self._front.dims, *blocks, *closing)
        width = model.config.hidden_size
        self.dims = dict(self._front.dims) | dict.fromkeys([*blocks, *closing], width)
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device = device
        self._kind = getattr(model.config, "position_embeddings_type", "relative")
        self.why_stock = _blocks.fault(self._layers) or self._disagreement()
        """Why the stock module is run, one utterance at a time; None: the packed path is."""
        self._place(device, dtype)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return self._front.n_frames(n_samples)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``, in the dtype of the weights.

        Raises UnknownNameError for a state that is not on offer, AudioError for waves too short for a frame.
        """
        chosen = asked(self, waves, states)
        if not chosen:
            return iter(())
        parts = [self._front.prepared(np.asarray(wave, dtype=np.float32)).to(self.device) for wave in waves]
        return self._stock(parts, chosen) if self.why_stock else self._packed(parts, chosen, waves)

    @torch.no_grad()
    def _packed(
        self, parts: Sequence[Tensor], chosen: Sequence[str], waves: Sequence[np.ndarray]
    ) -> Iterator[tuple[str, Tensor]]:
        lengths = [self.n_frames(len(wave)) for wave in waves]
        yield from taken(self._all(parts, lengths), chosen)

    def _all(self, parts: Sequence[Tensor], lengths: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
        for name, x in self._front.states(self._model, parts):
            yield name, x
        positions = PackTimes(self._embed, self._kind, lengths, x)
        for number, layer in enumerate(self._layers, start=1):
            x = ConformerBlock(layer)(x, positions)
            yield str(number), x
        if self._closing is not None:
            yield "final", self._closing(x)

    def _stock(self, parts: Sequence[Tensor], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Each utterance through the stock module by itself; all states are held until the last one."""
        dtype = next(self._model.parameters()).dtype
        points = self._front.points(self._model)
        points |= {str(number): Point(layer) for number, layer in enumerate(self._layers, start=1)}
        points |= {} if self._closing is None else {"final": Point(self._closing)}
        each = [_hooks.take(points, chosen, partial(self._model, part[None].to(dtype))) for part in parts]
        for name in chosen:
            yield name, torch.cat([found.pop(name)[0] for found in each])

    def _place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the weights; sinusoids and frequencies stay in float32, which bfloat16 would round to 8 bits."""
        kept = {} if self._embed is None else {k: v.clone() for k, v in self._embed.named_buffers()}
        self._model.to(device=device, dtype=dtype)
        for name, buffer in kept.items():
            setattr(self._embed, name, buffer.to(device))

    def _disagreement(self) -> str | None:
        """In which state the packed path misses the stock module, or None.

        Releases of transformers may change a part without renaming it; a probe of two short waves tells.
        """
        random = np.random.default_rng(0)
        longer = self.min_samples + (_PROBE_FRAMES - 1) * self.hop
        waves = [random.normal(size=n).astype(np.float32) for n in (longer, self.min_samples)]
        parts = [self._front.prepared(wave) for wave in waves]
        packed = self._packed(parts, self.states, waves)
        for (name, expected), (_, got) in zip(self._stock(parts, self.states), packed, strict=True):
            worst = (got - expected).abs().max() / expected.square().mean().sqrt()
            if not worst <= _TOLERANCE:
                return f"the packed path misses state {name} by {worst:.1e} of its RMS"
        return None


def parts(model: Any) -> tuple[torch.nn.ModuleList, torch.nn.Module | None, torch.nn.Module | None]:
    """(blocks, closing LayerNorm, position embeddings), the last two where there are any."""
    if hasattr(model, "encode_positions"):
        return model.layers, None, model.encode_positions
    encoder = model.encoder
    return encoder.layers, getattr(encoder, "layer_norm", None), encoder.embed_positions

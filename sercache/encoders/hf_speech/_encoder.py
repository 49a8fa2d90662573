"""The Encoder of the wav2vec 2.0 kin: packed where every part is known, else the stock module."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sercache.encoders._arguments import asked
from sercache.encoders._exact import exact
from sercache.encoders._placed import Placed
from sercache.encoders._strides import Strides
from sercache.encoders._windows import Windows
from sercache.encoders.hf_speech import _packed
from sercache.encoders.hf_speech._convolutions import Laid
from sercache.encoders.hf_speech._dense import lay_out_weights
from sercache.encoders.hf_speech._groups import room, sent
from sercache.encoders.hf_speech._packed import Packed
from sercache.encoders.hf_speech._stock import Stock
from sercache.progress import warn

_PACK_FRAMES = 1000
_PACK_FRAMES_CUDA = 16_000
_PROBE_FRAMES = 12
_TOLERANCE = 1e-3
"""Largest difference, relative to a state's RMS, by which the packed path may miss the stock module's
values on the probe. Rounding is a hundredth of it; a part that works otherwise is far above."""


class SpeechEncoder:
    """A frozen wav2vec 2.0, HuBERT, WavLM or data2vec-audio encoder."""

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
        config = model.config
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.sample_rate: int = preprocessing["sample_rate"]
        self.do_normalize: bool = preprocessing["do_normalize"]
        self._strides = Strides(tuple(zip(config.conv_kernel, config.conv_stride, strict=True)))
        self.hop, self.min_samples = self._strides.hop, self._strides.n_in(1)
        blocks = [str(number) for number in range(1, len(model.encoder.layers) + 1)]
        closing = ["final"] if type(model.encoder).__name__.endswith("StableLayerNorm") else []
        self.states = ("conv", "projection", "input", *blocks, *closing)
        self.dims = dict.fromkeys(self.states, config.hidden_size) | {"conv": config.conv_dim[-1]}
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device = device
        self.why_stock = _packed.fault(model) or self._disagreement(model)
        """Why the stock module is run, one utterance at a time; None: the packed path is."""
        model.to(device=device, dtype=dtype)
        if self.why_stock is None:
            lay_out_weights(model.encoder)
        self._forward: Stock | Packed = Stock(model) if self.why_stock else Packed(model)
        slower = self._forward.fuse(device) if isinstance(self._forward, Packed) else []
        if slower:
            warn(f"{placed.name} is computed more slowly than it might be: {'; '.join(slower)}")

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return self._strides.n_out(n_samples)

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
        if self.device.type == "cpu":
            return self._forward(self._prepared(waves), chosen)
        laid = self._laid(waves)
        if isinstance(self._forward, Stock):
            return self._forward(laid.waves(), chosen)
        return self._forward(laid, chosen)

    def with_windows(self, windows: Windows) -> SpeechEncoder | None:
        """This encoder with blocks that see long recordings through windows; what is below them stays exact.

        None where the stock module is run, which cannot be entered between its parts.
        """
        if isinstance(self._forward, Stock):
            return None
        copied = copy.copy(self)
        copied._forward = copy.copy(self._forward)
        copied._forward.windows = windows
        return copied

    def _prepared(self, waves: Sequence[np.ndarray]) -> list[Tensor]:
        """(N_i,) float32 on the CPU, normalised as Wav2Vec2FeatureExtractor does where the checkpoint asks."""
        values = [np.asarray(wave, dtype=np.float32) for wave in waves]
        if self.do_normalize:
            values = [_normalised(wave, np.empty_like(wave)) for wave in values]
        return [torch.tensor(wave) for wave in values]

    def _laid(self, waves: Sequence[np.ndarray]) -> Laid:
        """As ``_prepared``, side by side on the device: normalised into the memory that one transfer takes."""
        lengths = [len(wave) for wave in waves]
        samples = room(sum(-(-length // self.hop) * self.hop for length in lengths), self.device)
        values, at = samples.numpy(), 0
        for wave, length in zip(waves, lengths, strict=True):
            slot = values[at : at + length]
            slot[:] = wave
            if self.do_normalize:
                _normalised(slot, slot)
            at += -(-length // self.hop) * self.hop
            values[at - (-length % self.hop) : at] = 0
        return Laid(sent(samples, self.device), lengths, self.hop)

    def _disagreement(self, model: Any) -> str | None:
        """In which state the packed path misses the stock module, or None.

        Releases of transformers may change a part without renaming it; a probe of two short waves tells.
        """
        noise = np.random.default_rng(0)
        waves = [
            torch.from_numpy(noise.normal(size=self._strides.n_in(n_frames)).astype(np.float32))
            for n_frames in (_PROBE_FRAMES, 1)
        ]
        stock = Stock(model)(waves, self.states)
        for (name, expected), (_, got) in zip(stock, Packed(model)(waves, self.states), strict=True):
            worst = (got - expected).abs().max() / expected.square().mean().sqrt()
            if not worst <= _TOLERANCE:
                return f"the packed path misses state {name} by {worst:.1e} of its RMS"
        return None


def _normalised(wave: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``(wave - mean) / sqrt(var + 1e-7)`` in ``out``, which may be ``wave``; NumPy's mean and var, in fewer passes."""
    np.subtract(wave, wave.mean(), out=out)
    variance = np.square(out).sum() / np.float32(len(out))
    return np.divide(out, np.sqrt(variance + np.float32(1e-7)), out=out)

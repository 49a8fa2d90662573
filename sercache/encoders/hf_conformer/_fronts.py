"""What comes before the blocks of each kind of Conformer: from waves to the input of block 1."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sercache.encoders._hooks import Point
from sercache.encoders._strides import Strides
from sercache.encoders.hf_conformer import _mel
from sercache.encoders.hf_speech._convolutions import FrontEnd

_CHUNK = 1000
"""Frames that are subsampled at a time, so that long recordings take no more memory than short ones."""


class Front(Protocol):
    """The part below the blocks."""

    hop: int
    """Samples from one frame to the next."""
    min_samples: int
    dims: dict[str, int]
    """Feature size of each state below the blocks, in order."""

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        ...

    def prepared(self, wave: np.ndarray) -> Tensor:
        """What the stock module takes for one wave, without the batch dimension, float32."""
        ...

    def points(self, model: Any) -> dict[str, Point]:
        """Where the states below the blocks pass in the stock module."""
        ...

    def states(self, model: Any, parts: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        """(state, (F, D)) from prepared waves; the last one is the input of block 1."""
        ...


class Waves:
    """wav2vec2-conformer: strided convolutions over the wave, then a projection."""

    def __init__(self, model: Any, preprocessing: Mapping[str, Any]) -> None:
        config = model.config
        self.do_normalize = preprocessing["do_normalize"]
        self._strides = Strides(tuple(zip(config.conv_kernel, config.conv_stride, strict=True)))
        self.hop, self.min_samples = self._strides.hop, self._strides.n_in(1)
        self.dims = {"conv": config.conv_dim[-1], "projection": config.hidden_size}
        self.front: FrontEnd | None = None

    def n_frames(self, n_samples: int) -> int:
        return self._strides.n_out(n_samples)

    def prepared(self, wave: np.ndarray) -> Tensor:
        if self.do_normalize:
            wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        return torch.tensor(wave)

    def points(self, model: Any) -> dict[str, Point]:
        return {
            "conv": Point(model.feature_extractor, turned=True),
            "projection": Point(model.feature_projection),
        }

    def states(self, model: Any, parts: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        weight = model.feature_projection.projection.weight
        # It holds weights of its own layout, made before the model was moved to its device.
        if self.front is None or not self.front.is_of(weight):
            self.front = FrontEnd(model.feature_extractor)
        x = torch.cat([self.front(part) for part in parts])
        yield "conv", x
        yield "projection", model.feature_projection(x)[0]


class Spectra:
    """w2v-BERT 2.0: pairs of mel spectra, then a projection."""

    def __init__(self, model: Any, preprocessing: Mapping[str, Any]) -> None:
        config = model.config
        self.extract = _mel.StackedMel(preprocessing["n_mels"], preprocessing["sample_rate"])
        self.hop, self.min_samples = _mel.HOP, _mel.MIN_SAMPLES
        self.dims = {"features": config.feature_projection_input_dim, "projection": config.hidden_size}

    def n_frames(self, n_samples: int) -> int:
        return _mel.n_stacked(n_samples)

    def prepared(self, wave: np.ndarray) -> Tensor:
        return torch.from_numpy(self.extract(wave))

    def points(self, model: Any) -> dict[str, Point]:
        return {
            "features": Point(model.feature_projection, before=True),
            "projection": Point(model.feature_projection),
        }

    def states(self, model: Any, parts: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        x = torch.cat(list(parts)).to(model.feature_projection.projection.weight.dtype)
        yield "features", x
        yield "projection", model.feature_projection(x)[0]


class Subsampled:
    """Parakeet (FastConformer): mel spectra, then strided convolutions over time and frequency."""

    def __init__(self, model: Any, preprocessing: Mapping[str, Any]) -> None:
        config = model.config
        self.spectra = _mel.LogMel(preprocessing)
        self.kernel, self.stride = config.subsampling_conv_kernel_size, config.subsampling_conv_stride
        self.n_layers = int(math.log2(config.subsampling_factor))
        self.step = self.stride**self.n_layers
        """Spectra from one frame to the next."""
        self.hop = self.step * self.spectra.hop
        # The variance of a mel bin takes two spectra.
        self.min_samples = 2 * self.spectra.hop + self.spectra.n_fft % 2
        self.dims = {"projection": config.hidden_size}
        if model.input_scale != 1:
            self.dims["input"] = config.hidden_size

    def n_frames(self, n_samples: int) -> int:
        n = self.spectra.n_spectra(n_samples)
        if n < 2:
            return 0
        for _ in range(self.n_layers):
            n = self._n_convolved(n)
        return n

    def _n_convolved(self, n: int) -> int:
        return (n + (self.kernel - 1) // 2 * 2 - self.kernel) // self.stride + 1

    def prepared(self, wave: np.ndarray) -> Tensor:
        return self.spectra(wave)

    def points(self, model: Any) -> dict[str, Point]:
        points = {"projection": Point(model.subsampling), "input": Point(model.layers[0], before=True)}
        return {name: points[name] for name in self.dims}

    def states(self, model: Any, parts: Sequence[Tensor]) -> Iterator[tuple[str, Tensor]]:
        x = torch.cat([self._subsampled(model.subsampling, part) for part in parts])
        yield "projection", x
        if "input" in self.dims:
            yield "input", x * model.input_scale

    def _subsampled(self, subsampling: Any, spectra: Tensor) -> Tensor:
        """(T, D) of one utterance, in chunks that share what their edges see."""
        spectra = spectra.to(subsampling.linear.weight.dtype)
        n_frames = len(spectra)
        for _ in range(self.n_layers):
            n_frames = self._n_convolved(n_frames)
        padding = (self.kernel - 1) // 2
        reach = sum(padding * self.stride**layer for layer in range(self.n_layers))
        halo = -(-reach // self.step)
        found = []
        for start in range(0, n_frames, _CHUNK):
            stop, begin = min(start + _CHUNK, n_frames), max(start - halo, 0)
            end = len(spectra) if stop == n_frames else (stop + halo) * self.step
            part = subsampling(spectra[None, begin * self.step : end])[0]
            found.append(part[start - begin : stop - begin])
        return torch.cat(found)

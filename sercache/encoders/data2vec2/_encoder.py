"""The Encoder of a data2vec 2.0 audio model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.encoders._arguments import asked
from sercache.encoders._exact import exact
from sercache.encoders._placed import Placed
from sercache.encoders._strides import Strides
from sercache.encoders.data2vec2._model import Data2Vec2
from sercache.encoders.data2vec2._packed import PackedFrames

RATE = 16_000
"""Hz; of every published checkpoint. Neither configuration names one."""
EPSILON = 1e-5
"""Added to the variance of a waveform: fairseq and FunASR normalise it with torch's layer_norm."""
_PACK_FRAMES = 1000
_PACK_FRAMES_CUDA = 16_000


class Data2Vec2Encoder:
    """A frozen data2vec 2.0 audio model, emotion2vec among them."""

    max_samples: int | None = None
    sample_rate = RATE

    def __init__(
        self,
        model: Data2Vec2,
        placed: Placed,
    ) -> None:
        """``model``: with the checkpoint's weights, in float32 on the CPU; it is taken over."""
        config = model.config
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.device = device
        self._strides = Strides(tuple((kernel, stride) for _, kernel, stride in config.convolutions))
        self._normalize = config.normalize
        self.hop, self.min_samples = self._strides.hop, self._strides.n_in(1)
        blocks = [str(number) for number in range(1, config.n_blocks + 1)]
        self.states: tuple[str, ...] = ("conv", "projection", "input", *blocks)
        self.dims: Mapping[str, int] = dict.fromkeys(self.states, config.dim) | {
            "conv": config.convolutions[-1][0]
        }
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self._forward = PackedFrames(model, device, dtype)

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
        return self._forward([self._prepared(wave) for wave in waves], chosen)

    def _prepared(self, wave: np.ndarray) -> Tensor:
        """(N,) float32 on the device, normalised on the CPU."""
        samples = torch.tensor(wave, dtype=torch.float32)
        if self._normalize:
            samples = F.layer_norm(samples, samples.shape, eps=EPSILON)
        return samples.to(self.device)

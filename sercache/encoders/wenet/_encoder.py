"""The Encoder of a WeNet Conformer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sercache.encoders import _kaldi
from sercache.encoders._arguments import asked, taken
from sercache.encoders._exact import exact
from sercache.encoders._placed import Placed
from sercache.encoders.wenet._conformer import Conformer

_PACK_FRAMES = 500
_PACK_FRAMES_CUDA = 16_000


class WenetEncoder:
    """A frozen WeNet Conformer; each utterance is encoded with full context and without padding."""

    max_samples: int | None = None

    def __init__(
        self,
        model: Conformer,
        placed: Placed,
    ) -> None:
        """``model``: with the checkpoint's weights, in float32 on the CPU; it is taken over."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        config = model.config
        size, step = config.window
        self.sample_rate = _kaldi.RATE
        self.hop = _kaldi.HOP * step
        self.min_samples = _kaldi.WINDOW + (size - 1) * _kaldi.HOP
        blocks = [str(number) for number in range(1, config.num_blocks + 1)]
        closing = ["final"] if config.normalize_before else []
        self.states: tuple[str, ...] = ("input", *blocks, *closing)
        self.dims: Mapping[str, int] = dict.fromkeys(self.states, config.output_size)
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self._config = config
        self._model = _placed(model, device, dtype)
        self._fbank = _kaldi.Filterbank(config.input_dim, device)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return self._config.n_frames(_kaldi.n_frames(n_samples))

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``, in the dtype of the weights.

        Raises UnknownNameError for a state that is not on offer, AudioError for waves too short for a frame.
        """
        chosen = asked(self, waves, states)
        return self._run(waves, chosen) if chosen else iter(())

    @torch.no_grad()
    def _run(self, waves: Sequence[np.ndarray], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        device = self._fbank.device
        fbanks = [self._fbank(torch.tensor(wave, dtype=torch.float32, device=device)) for wave in waves]
        yield from taken(self._model(fbanks), chosen)


def _placed(model: Conformer, device: torch.device, dtype: torch.dtype) -> Conformer:
    """The model on the device in the dtype; the statistics stay float32, as filterbanks reach 20 and more."""
    model.to(device=device, dtype=dtype)
    if model.global_cmvn is not None:
        model.global_cmvn.float()
    return model

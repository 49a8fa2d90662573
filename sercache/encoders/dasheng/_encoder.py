"""The Encoder of a Dasheng checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sercache.encoders import _mel
from sercache.encoders._arguments import asked, taken
from sercache.encoders._exact import exact
from sercache.encoders._placed import Placed
from sercache.encoders.dasheng._config import HOP, N_MELS, PATCH, RATE, WINDOW
from sercache.encoders.dasheng._model import Dasheng

_PACK_FRAMES = 500
_PACK_FRAMES_CUDA = 16_000
_FLOOR, _RANGE = 1e-10, 120.0
"""Least power; how far (dB) a band may lie below the loudest of the recording."""


class DashengEncoder:
    """A frozen Dasheng; chunks of all recordings are packed, and none of them hears another."""

    sample_rate = RATE
    hop = HOP * PATCH
    min_samples = (PATCH - 1) * HOP
    max_samples: int | None = None

    def __init__(
        self,
        model: Any,
        placed: Placed,
    ) -> None:
        """``model``: with the checkpoint's weights in float32 on the CPU; it is taken over."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        blocks = [str(number) for number in range(1, model.shape.depth + 1)]
        self.states: tuple[str, ...] = ("input", *blocks, "final")
        self.dims: Mapping[str, int] = dict.fromkeys(self.states, model.shape.embed_dim)
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device = device
        self._model: Dasheng = model.to(device=device, dtype=dtype)
        model.init_bn.float()  # decibels reach 100 and more
        bank = _mel.filters(N_MELS, WINDOW, RATE, 0, RATE / 2, straight="hertz")
        self._bank = torch.tensor(bank, dtype=torch.float32, device=device)
        self._window = torch.hann_window(WINDOW, device=device)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return (1 + n_samples // HOP) // PATCH

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
        chunks = [self._model.chunks(self._spectra(wave)) for wave in waves]
        lengths = [len(chunk) for each in chunks for chunk in each]
        whole = [sum(map(len, each)) for each in chunks]
        real = [self.n_frames(len(wave)) for wave in waves]
        packed = torch.cat([chunk for each in chunks for chunk in each])
        for name, x in taken(self._model.states(packed, lengths), chosen):
            yield name, torch.cat([part[:n] for part, n in zip(x.split(whole), real, strict=True)])

    def _spectra(self, wave: np.ndarray) -> Tensor:
        """(mels, S) float32: decibels of the power in each band."""
        samples = torch.tensor(wave, dtype=torch.float32, device=self.device)
        spectrum = _mel.centred(samples, self._window, HOP, WINDOW)
        power = spectrum.real.square() + spectrum.imag.square()
        decibels = 10 * (power @ self._bank.T).clamp_min(_FLOOR).log10()
        return decibels.clamp_min(decibels.max() - _RANGE).T

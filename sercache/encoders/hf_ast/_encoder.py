"""The Encoder of an Audio Spectrogram Transformer: windows of one length through the stock module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.encoders import _hooks, _kaldi
from sercache.encoders._arguments import asked
from sercache.encoders._exact import exact
from sercache.encoders._hooks import Point
from sercache.encoders._placed import Placed
from sercache.errors import EncoderError

_PACK_FRAMES = 101
_PACK_FRAMES_CUDA = 3_200
_WINDOWS_CUDA = 16
"""Windows that share a batch on CUDA; on the CPU they pass singly."""
_TOKENS = 2
"""Before the patches, for all of the window."""


class AstEncoder:
    """A frozen Audio Spectrogram Transformer. Windows have one length, so that sharing a batch changes nothing."""

    sample_rate = _kaldi.RATE
    min_samples = _kaldi.WINDOW
    max_samples: int | None

    def __init__(
        self,
        model: Any,
        preprocessing: Mapping[str, Any],
        placed: Placed,
    ) -> None:
        """``model``: the stock module in float32 on the CPU; it is taken over. Raises EncoderError."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        config = model.config
        self._length, patch = config.max_length, config.patch_size
        self._rows = (config.num_mel_bins - patch) // config.frequency_stride + 1
        self._columns = (self._length - patch) // config.time_stride + 1
        self._stride = config.time_stride
        self.hop = _kaldi.HOP * self._stride
        self.max_samples = _kaldi.WINDOW + self._length * _kaldi.HOP - 1
        self._points = _points(model)
        self.states: tuple[str, ...] = tuple(self._points)
        self.dims: Mapping[str, int] = dict.fromkeys(self.states, config.hidden_size)
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device, self.dtype = device, dtype
        self._windows = _WINDOWS_CUDA if device.type == "cuda" else 1
        self._settings = preprocessing
        self._model = model.to(device=device, dtype=dtype)
        self._fbank = _kaldi.Filterbank(config.num_mel_bins, device, scale=1.0, window="hann")

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give: patches that begin within their spectra."""
        return min(-(-_kaldi.n_frames(n_samples) // self._stride), self._columns)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``; all are held until the last wave is done.

        Raises UnknownNameError for a state that is not on offer, AudioError for waves that are too short or too long.
        """
        chosen = asked(self, waves, states)
        return self._run(waves, chosen) if chosen else iter(())

    def _run(self, waves: Sequence[np.ndarray], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        found: dict[str, list[Tensor]] = {name: [] for name in chosen}
        for start in range(0, len(waves), self._windows):
            some = waves[start : start + self._windows]
            windows = torch.stack([self._spectra(wave) for wave in some])
            taken = _hooks.take(self._points, chosen, partial(self._model, windows))
            for name, x in taken.items():
                found[name] += [self._frames(name, row, len(wave)) for row, wave in zip(x, some, strict=True)]
        for name in chosen:
            yield name, torch.cat(found.pop(name))

    def _frames(self, name: str, x: Tensor, n_samples: int) -> Tensor:
        """(T, D) of what a state of a window (tokens and patches, D) says of the recording in it."""
        n_frames = self.n_frames(n_samples)
        if name == "summary":
            return x[:_TOKENS].mean(0).expand(n_frames, -1)
        return x[_TOKENS:].unflatten(0, (self._rows, self._columns)).mean(0)[:n_frames].clone()

    def _spectra(self, wave: np.ndarray) -> Tensor:
        """(window, mels), zeros behind the recording before mean and spread are taken out."""
        x = self._fbank(torch.tensor(wave, dtype=torch.float32, device=self.device))
        x = nn.functional.pad(x, (0, 0, 0, self._length - len(x)))
        if self._settings["do_normalize"]:
            x = (x - self._settings["mean"]) / (2 * self._settings["std"])
        return x.to(self.dtype)


def _points(model: Any) -> dict[str, Point]:
    """Where the states pass. Raises EncoderError for a module without its blocks."""
    n_blocks = model.config.num_hidden_layers
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_blocks]
    if not lists:
        raise EncoderError(
            f"{type(model).__name__} has no list of {n_blocks} blocks, so its states cannot be taken"
        )
    points = {"input": Point(lists[0][0], before=True)}
    points |= {str(number): Point(block) for number, block in enumerate(lists[0], start=1)}
    return points | {"final": Point(model), "summary": Point(model)}

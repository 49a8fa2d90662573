"""The Encoder of any speech model of transformers, run as it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sercache import memory
from sercache.encoders import _hooks
from sercache.encoders._arguments import asked
from sercache.encoders._exact import exact
from sercache.encoders._hooks import Point
from sercache.encoders._placed import Placed
from sercache.encoders.hf_auto import _probe
from sercache.encoders.hf_auto._load import reason, silently
from sercache.errors import EncoderError

_PACK_FRAMES = 1000
_PACK_FRAMES_CUDA = 16_000
_TOLERANCE = 1e-5
"""Largest difference, relative to a state's RMS, that company may make where recordings of one length share
a batch; half of what the contract allows."""


class AutoEncoder:
    """A frozen speech encoder that no other family knows."""

    max_samples: int | None = None
    dims: Mapping[str, int]
    states: tuple[str, ...]

    def __init__(
        self,
        model: Any,
        extract: Any,
        placed: Placed,
    ) -> None:
        """``model``: the stock module in float32 on the CPU; it is taken over. Raises EncoderError."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.sample_rate: int = extract.sampling_rate
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self._model, self._extract = model, extract
        self._takes = inspect.signature(model.forward).parameters
        self._learn()
        self.device, self.dtype = device, dtype
        model.to(device=device, dtype=dtype)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give."""
        return self._frames(n_samples)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``; all are held until the last wave is done.

        Raises UnknownNameError for a state that is not on offer, AudioError for waves too short for a frame,
        EncoderError for one that the model does not take.
        """
        chosen = asked(self, waves, states)
        return self._run(waves, chosen) if chosen else iter(())

    def _run(self, waves: Sequence[np.ndarray], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        each: list[dict[str, Tensor]] = [{} for _ in waves]
        for group in self._groups(waves):
            found = self._states([waves[k] for k in group], chosen)
            for row, k in enumerate(group):
                each[k] = {name: tensor[row] for name, tensor in found.items()}
        for name in chosen:
            yield name, torch.cat([found.pop(name) for found in each])

    def _groups(self, waves: Sequence[np.ndarray]) -> list[list[int]]:
        """Waves that run together."""
        if not self.together:
            return [[k] for k in range(len(waves))]
        by_length: dict[int, list[int]] = {}
        for k, wave in enumerate(waves):
            by_length.setdefault(len(wave), []).append(k)
        return list(by_length.values())

    def _states(self, waves: Sequence[np.ndarray], chosen: Sequence[str]) -> dict[str, Tensor]:
        """(B, T, D) of waves of one length."""
        expected = self.n_frames(len(waves[0]))
        try:
            found = self._taken(waves, self._points, chosen)
        except (IndexError, ValueError) as fault:
            raise EncoderError(
                f"{self.name} does not take a wave of {len(waves[0])} samples ({reason(fault)}); cut recordings with "
                "--clip split:SECONDS"
            ) from fault
        for name, tensor in found.items():
            if tensor.shape[1] != expected:
                raise EncoderError(
                    f"{self.name} gives {tensor.shape[1]} frames in state {name} for {len(waves[0])} samples, expected "
                    f"{expected}; cut recordings with --clip split:SECONDS"
                )
        return found

    def _taken(
        self, waves: Sequence[np.ndarray], points: Mapping[str, Point], chosen: Sequence[str]
    ) -> dict[str, Tensor]:
        with silently():
            inputs = [self._inputs(wave) for wave in waves]
            joined = {key: torch.cat([each[key] for each in inputs]) for key in inputs[0]}
            return _hooks.take(points, chosen, partial(self._model, **joined))

    def _inputs(self, wave: np.ndarray) -> dict[str, Tensor]:
        """What the model takes for one wave, without the padding that the extractor's own mask shows."""
        values = np.asarray(wave, dtype=np.float32)
        found = dict(self._extract(values, sampling_rate=self.sample_rate, return_tensors="pt"))
        mask = found.get("attention_mask")
        if mask is not None and not bool(mask.all()):
            real = int(mask.sum())
            found = {key: value.narrow(self._axes[key], 0, real) for key, value in found.items()}
        return {
            key: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for key, value in found.items()
            if key in self._takes
        }

    def _time_axes(self) -> dict[str, int]:
        """Along which axis each of the extractor's outputs grows with the recording. Raises EncoderError."""
        short, long = (
            self._extract(_probe.noise(n), sampling_rate=self.sample_rate, return_tensors="pt")
            for n in (self.sample_rate, 2 * self.sample_rate)
        )
        axes = {}
        for key, value in short.items():
            grown = [axis for axis in range(1, value.dim()) if long[key].shape[axis] > value.shape[axis]]
            if len(grown) != 1:
                raise EncoderError(
                    f"{type(self._extract).__name__} gives {key} of shape {tuple(value.shape)} for 1 s and "
                    f"{tuple(long[key].shape)} for 2 s: it pads or cuts recordings to one length, so frames would not "
                    "be those of the recording"
                )
            axes[key] = grown[0]
        return axes

    def _learn(self) -> None:
        """States, frames and company, on noise. Raises EncoderError where the model does not fit."""
        rate, model = self.sample_rate, self._model
        try:
            with silently():
                self._axes = self._time_axes()
                self._check_extractor()
                self._layers = _probe.blocks(model, partial(model, **self._inputs(_probe.noise(rate))))
        except EncoderError:
            raise
        except Exception as fault:  # a model that is not for speech raises whatever it likes
            if memory.ran_out(fault):
                raise
            raise EncoderError(
                f"{type(model).__name__} cannot be run on a waveform through its feature extractor ({reason(fault)})"
            ) from fault
        self._points = {"input": Point(self._layers[0], before=True)}
        self._points |= {str(k): Point(layer) for k, layer in enumerate(self._layers, start=1)}
        self._points |= {"final": Point(model)}
        found = self._taken([_probe.noise(rate)], self._points, list(self._points))
        self.states = tuple(name for name in self._points if self._is_state(name, found))
        self.dims = {name: found[name].shape[2] for name in self.states}
        self._frames = _probe.FrameCount(self._count, rate, type(model).__name__)
        self.hop = self._frames.hop
        self.min_samples = self._frames.shortest(self._runs)
        self._check_repeats(found)
        self.together = self._keeps_company(found)
        """Whether waves of one length share a batch."""

    def _is_state(self, name: str, found: Mapping[str, Tensor]) -> bool:
        last = found[str(len(self._layers))]
        if name == "final":
            return found[name].shape == last.shape and not torch.equal(found[name], last)
        return found[name].shape == last.shape

    def _count(self, n_samples: int) -> int:
        """Frames that the blocks are given, or give where something else goes in."""
        first = self.states[0]
        return self._taken([_probe.noise(n_samples)], self._points, [first])[first].shape[1]

    def _runs(self, n_samples: int) -> bool:
        """Whether a wave so short gives finite states."""
        try:
            found = self._states([_probe.noise(n_samples)], self.states)
        except (EncoderError, RuntimeError, IndexError, ValueError, AssertionError):
            return False
        return all(bool(tensor.isfinite().all()) for tensor in found.values())

    def _check_extractor(self) -> None:
        """Raise EncoderError where long recordings are cut."""
        short, long = (self._size(seconds) for seconds in (20, 80))
        if not 3.9 < long / short < 4.1:
            raise EncoderError(
                f"{type(self._extract).__name__} makes {short} numbers of 20 s and {long} of 80 s: it pads or cuts "
                "recordings to one length, so frames would not be those of the recording"
            )

    def _size(self, seconds: int) -> int:
        inputs = self._inputs(_probe.noise(seconds * self.sample_rate))
        return max(value.numel() for value in inputs.values())

    def _check_repeats(self, found: Mapping[str, Tensor]) -> None:
        again = self._taken([_probe.noise(self.sample_rate)], self._points, self.states)
        for name in self.states:
            if not bool(found[name].isfinite().all()):
                raise EncoderError(
                    f"{type(self._model).__name__} gives values that are not finite in state {name}"
                )
            if not torch.equal(found[name], again[name]):
                raise EncoderError(
                    f"{type(self._model).__name__} gives other numbers each time, first in state {name}; a cache "
                    "needs a deterministic encoder"
                )

    def _keeps_company(self, found: Mapping[str, Tensor]) -> bool:
        """Whether a wave in a batch of its length has the states it has alone."""
        others = [_probe.noise(self.sample_rate, seed) for seed in (1, 0, 2)]
        together = self._taken(others, self._points, self.states)
        return all(
            len(together[name]) == len(others)
            and _probe.distance(together[name][1], found[name][0]) <= _TOLERANCE
            for name in self.states
        )

"""Computing on CUDA: pooling and conversion on the device, copies beside the next block.

A batch is launched without waiting for anything; its results lie in pinned memory once its events have
passed. Works on CPU tensors too, without streams, so that its arithmetic can be tested anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sercache.encoders import Encoder
from sercache.extraction.compute import ComputedBatch, PieceFeatures, bounds_of, checked_states, device_of
from sercache.extraction.decode import Decoded, DecodedPiece
from sercache.extraction.pooling import Pool
from sercache.extraction.stages import Busy
from sercache.stores import FLOAT16_LIMIT, FeatureSpec, encode_frames

_TORCH = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "int8": torch.float32,  # whose scales are the writer's to find
}

Mark = tuple[str, torch.cuda.Event, torch.cuda.Event]
"""A stage, and when a part of its work began and ended on the device."""


class Device:
    """The encoder's device and its second stream, on which frames go to the host."""

    def __init__(self, encoder: Encoder, spec: FeatureSpec, busy: Busy) -> None:
        self.encoder, self.spec, self.busy = encoder, spec, busy
        self.place = device_of(encoder)
        self.copies = torch.cuda.Stream(self.place) if self.place.type == "cuda" else None

    @torch.no_grad()
    def launch(self, items: Sequence[Decoded]) -> Launched:
        """Start a batch. Raises torch.OutOfMemoryError, StoreError."""
        with torch.cuda.device(self.place) if self.copies is not None else nullcontext():
            return self._launch(items)

    def _launch(self, items: Sequence[Decoded]) -> Launched:
        spec, marks = self.spec, list[Mark]()
        bounds = bounds_of(items, self.encoder)
        n_states, n_frames = len(spec.states), int(bounds[-1])
        pool = Pool(bounds, self.place)
        pooled = torch.empty((2, len(items), n_states, spec.dim), device=self.place)
        largest = torch.empty((n_states, n_frames if spec.frames else 0), device=self.place)
        frames = self._host((n_states, n_frames, spec.dim), _TORCH[spec.dtype]) if spec.frames else None
        with self._timed("compute", marks):
            for layer, packed in enumerate(checked_states(items, self.encoder, spec)):
                pooled[0, :, layer], pooled[1, :, layer] = pool(packed)
                if frames is not None:
                    largest[layer] = torch.linalg.vector_norm(packed, ord=float("inf"), dim=1)
                    self._send(packed, frames[layer], marks)
        with self._timed("copy", marks):
            host = [
                self._host(part.shape, part.dtype).copy_(part, non_blocking=True)
                for part in (pooled, largest)
            ]
        return Launched(
            [item.known for item in items], spec, bounds, host[0], host[1], frames, marks, self.busy
        )

    def _send(self, packed: Tensor, target: Tensor, marks: list[Mark]) -> None:
        """Convert on the device, then copy on the second stream while the next block is computed."""
        # A copy even where the dtype is right: the encoder may overwrite what it gave.
        converted = packed.to(target.dtype, copy=True)
        if self.copies is None:
            target.copy_(converted)
            return
        self.copies.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.copies), self._timed("copy", marks):
            target.copy_(converted, non_blocking=True)
        converted.record_stream(self.copies)

    def _host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=self.copies is not None)

    @contextmanager
    def _timed(self, stage: str, marks: list[Mark]) -> Iterator[None]:
        """Note when what the block queues on the current stream begins and ends."""
        if self.copies is None:
            with self.busy.during(stage):
                yield
            return
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        yield
        ended.record()
        marks.append((stage, began, ended))


@dataclass(frozen=True, slots=True)
class Launched:
    """A batch under way; all of it is on the host once its marks have passed."""

    items: Sequence[DecodedPiece]
    spec: FeatureSpec
    bounds: np.ndarray
    """(B + 1,) first frames."""
    pooled: Tensor
    """(2, B, L, D): means and standard deviations."""
    largest: Tensor
    """(L, F): the largest magnitude in each frame, as the encoder gave it; empty without frames."""
    frames: Tensor | None
    """(L, F, D) in the stored dtype; float32 where that is int8."""
    marks: Sequence[Mark]
    busy: Busy

    def finished(self) -> ComputedBatch:
        """Wait for the device and give the features. Raises NumericRangeError for values that do not fit."""
        for stage, began, ended in self.marks:
            ended.synchronize()
            self.busy.add(stage, began.elapsed_time(ended) / 1e3)
        mean, std = self.pooled.numpy()
        frames = self._frames()
        return ComputedBatch(
            self.items,
            [
                PieceFeatures(mean[k], std[k], None if frames is None else frames[:, a:b])
                for k, (a, b) in enumerate(zip(self.bounds, self.bounds[1:], strict=False))
            ],
        )

    def _frames(self) -> np.ndarray | None:
        """(L, F, D) as stored."""
        if self.frames is None:
            return None
        # The guard of ``encode_frames``, on the largest magnitude of each state of each piece.
        largest = np.maximum.reduceat(self.largest.numpy(), self.bounds[:-1], axis=1)  # (L, B)
        for layer, k in np.argwhere(~(largest < FLOAT16_LIMIT)):
            id, state = self.items[k].piece.entry_id, self.spec.states[layer]
            encode_frames(largest[layer, k].reshape(1, 1), self.spec.dtype, id, state)
        if self.frames.dtype is torch.bfloat16:  # which NumPy lacks: its bit patterns are stored
            return self.frames.view(torch.int16).numpy().view("<u2")
        return self.frames.numpy()

"""Computing: batches of waves to means, standard deviations and frames, a state at a time.

A batch that does not fit the device's memory is cut in halves, and so are all later ones of as many frames. Where is
noted in the store (``splits``), so that features do not depend on who computes the rest of the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sercache import clips, memory
from sercache.datasets import Skipped
from sercache.encoders import Encoder, windowed
from sercache.errors import StoreError
from sercache.extraction.decode import Decoded, DecodedPiece
from sercache.extraction.splits import Company, Splits
from sercache.extraction.stages import Busy
from sercache.stores import FeatureSpec, encode_frames

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PieceFeatures:
    """Of one piece: mean and std (L, D) float32; frames (L, T, D) in the stored dtype, or None."""

    mean: np.ndarray
    std: np.ndarray
    frames: np.ndarray | None


@dataclass(frozen=True, slots=True)
class ComputedBatch:
    """A computed batch, whose samples are gone, or what had to be left out of it."""

    items: Sequence[DecodedPiece] = ()
    features: Sequence[PieceFeatures] = ()
    skipped: Sequence[Skipped] = ()


class InFlight(Protocol):
    """A batch that was handed to a device."""

    def finished(self) -> ComputedBatch:
        """Its features, once they are there. Raises NumericRangeError."""
        ...


def device_of(encoder: Encoder) -> torch.device:
    """Where the encoder computes; families without a device do so on the CPU."""
    import torch

    return getattr(encoder, "device", torch.device("cpu"))


def features(
    batches: Iterable[Company],
    encoder: Encoder,
    spec: FeatureSpec,
    busy: Busy,
    splits: Splits,
    tell: Callable[[str], None],
) -> Iterator[ComputedBatch]:
    """The batches' features in order. On CUDA the next batch is launched before the last one is waited for.

    Where memory runs out, first nothing else is kept under way, then batches are cut: the former moves no bit.

    ``tell`` is called once, where batches are cut. Raises NumericRangeError, and StoreError for an encoder that
    breaks its contract.
    """
    encoder = windowed(encoder, clips.parse(spec.clip))
    launch, wait_for = _launcher(encoder, spec, busy)
    flying: deque[InFlight] = deque()
    limits = _Memory(encoder, splits, tell)
    for batch in batches:
        waiting = deque(limits.groups(batch))
        while waiting:
            group = waiting.popleft()
            launched = _attempt(launch, group)
            if launched is None:
                while flying:
                    yield flying.popleft().finished()
                limits.give_back()
                launched = _attempt(launch, group)
                wait_for = 0
            if launched is None:
                smaller, skipped = limits.shrink(group)
                waiting.extendleft(reversed(smaller))
                if skipped:
                    yield ComputedBatch(skipped=skipped)
                continue
            flying.append(launched)
            while len(flying) > wait_for:
                yield flying.popleft().finished()
    while flying:
        yield flying.popleft().finished()


_UNDER_WAY = 2
"""Batches that a card has waiting while the next is launched: one of them is slack for a host that is held up."""

Launch = Callable[[Sequence[Decoded]], InFlight]


def _attempt(launch: Launch, group: Company) -> InFlight | None:
    """The group under way, or None where memory ran out; by then the attempt's tensors are gone."""
    try:
        return launch(group.items)
    except (MemoryError, RuntimeError) as fault:
        if not memory.ran_out(fault):
            raise
    return None


def _launcher(encoder: Encoder, spec: FeatureSpec, busy: Busy) -> tuple[Launch, int]:
    """What starts a batch, and how many batches may be under way while the next is started."""
    if device_of(encoder).type == "cuda":
        from sercache.extraction.cuda import Device

        return Device(encoder, spec, busy).launch, _UNDER_WAY
    return lambda group: _Computed(on_cpu(group, encoder, spec, busy)), 0


@dataclass(frozen=True, slots=True)
class _Computed:
    batch: ComputedBatch

    def finished(self) -> ComputedBatch:
        return self.batch


def on_cpu(items: Sequence[Decoded], encoder: Encoder, spec: FeatureSpec, busy: Busy) -> ComputedBatch:
    """Features of a batch by NumPy.

    One state is in memory at a time in float32; what is kept is in the spec's dtype. Sums are float64.
    """
    with busy.during("compute"):
        bounds = bounds_of(items, encoder)
        n = len(items)
        mean = np.empty((n, len(spec.states), spec.dim), np.float32)
        std = np.empty_like(mean)
        kept: list[list[np.ndarray]] = [[] for _ in items]
        for layer, packed in enumerate(checked_states(items, encoder, spec)):
            values = packed.float().cpu().numpy()
            for k in range(n):
                part = values[bounds[k] : bounds[k + 1]]  # (T, D)
                mean[k, layer] = part.mean(axis=0, dtype=np.float64)
                std[k, layer] = part.std(axis=0, dtype=np.float64)
                if spec.frames:
                    id, state = items[k].piece.entry_id, spec.states[layer]
                    kept[k].append(encode_frames(part, spec.dtype, id, state))
        frames = [np.stack(states) if spec.frames else None for states in kept]
        found = [PieceFeatures(mean[k], std[k], frames[k]) for k in range(n)]
        return ComputedBatch([item.known for item in items], found)


def bounds_of(items: Sequence[Decoded], encoder: Encoder) -> np.ndarray:
    """First frame of each piece among packed frames, and their number F at the end: (B + 1,)."""
    return np.cumsum([0, *(encoder.n_frames(item.n_samples) for item in items)])


def checked_states(items: Sequence[Decoded], encoder: Encoder, spec: FeatureSpec) -> Iterator[torch.Tensor]:
    """Packed frames (F, D) of each of the spec's states. Raises StoreError where an encoder gives others."""
    n_frames = int(bounds_of(items, encoder)[-1])
    states = encoder.encode([item.wave for item in items], spec.states)
    for expected, (state, packed) in zip(spec.states, states, strict=True):
        if state != expected or tuple(packed.shape) != (n_frames, spec.dim):
            raise StoreError(
                f"{encoder.name} gave state {state} of shape {tuple(packed.shape)}, "
                f"expected {expected} of {(n_frames, spec.dim)}"
            )
        yield packed


@dataclass
class _Memory:
    """Cuts batches where a device has shown, in this process or an earlier one, that they do not fit."""

    encoder: Encoder
    splits: Splits
    tell: Callable[[str], None]
    told: bool = False

    def groups(self, batch: Company) -> list[Company]:
        """The batch as it was computed before, else in parts of fewer frames than ever ran out of memory."""
        cuts = self.splits.cuts(batch)
        if cuts is not None:
            return batch.cut(cuts)
        return self._halved(batch)

    def give_back(self) -> None:
        """Free what torch keeps for later."""
        import torch

        if device_of(self.encoder).type == "cuda":
            torch.cuda.empty_cache()

    def shrink(self, group: Company) -> tuple[list[Company], list[Skipped]]:
        """After memory ran out on ``group`` alone: what to try instead, and what is given up."""
        n_frames = int(self._frames(group)[-1])
        if len(group.items) > 1:
            self.splits.ran_out(n_frames)
            if not self.told:
                self.told = True
                self.tell(
                    f"{device_of(self.encoder)} ran out of memory on {n_frames} frames at a time; batches of as many "
                    "are cut in halves, and the store notes where"
                )
            return self._halved(group), []
        (item,) = group.items
        seconds = item.n_samples / self.encoder.sample_rate
        device = device_of(self.encoder)
        elsewhere = "" if device.type == "cpu" else " or --device cpu"
        reason = (
            f"{item.piece.path}: {seconds:.1f} s do not fit the memory of {device}; use "
            f"--clip split:{max(1, round(seconds / 4))}{elsewhere}"
        )
        return [], [Skipped(item.piece.entry_id, reason)]

    def _halved(self, group: Company) -> list[Company]:
        """Parts of fewer frames than ran out, a piece at least; new cuts are noted before anything is computed."""
        done: list[Company] = []
        waiting, cuts = [group], list[int]()
        while waiting:
            part = waiting.pop()
            ends, limit = self._frames(part), self.splits.ran_out_at
            if limit is None or ends[-1] < limit or len(part.items) == 1:
                done.append(part)
                continue
            half = min(max(1, int(np.searchsorted(ends, ends[-1] / 2, side="right"))), len(part.items) - 1)
            cuts.append(part.positions[half])
            waiting += reversed(part.cut([part.positions[half]]))
        if cuts:
            self.splits.add(group.batch, cuts)
        return done

    def _frames(self, group: Company) -> np.ndarray:
        """Frames up to the end of each item, (B,)."""
        return bounds_of(group.items, self.encoder)[1:]

"""Source: cached features that several views share, and the plan of what reading them takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from sercache import machine
from sercache.clips import parse
from sercache.errors import SettingsError
from sercache.stores import FeatureStore
from sercache.units import size

MEMORY_SHARE = 0.4
"""Part of the free memory that frames may take before they are streamed from the store."""
_THREADS = 4
"""That read and lay out what is streamed."""
_KEPT_AS = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "int8": torch.float32,
}
"""By the dtype of a store; bfloat16 comes out of it as float32 and loses nothing on the way back."""
_UNIT_ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "int8": 1 / 254}


@dataclass(frozen=True)
class ViewPlan:
    """What reading a view takes, to be printed before it is read."""

    n_items: int
    n_utterances: int
    n_frames: int
    bytes: int
    budget: int
    """Bytes that may be held in memory."""
    kind: Literal["means", "frames"]

    @property
    def in_memory(self) -> bool:
        """Whether the features stay in memory after their first use."""
        return self.kind == "means" or self.bytes <= self.budget

    def __str__(self) -> str:
        clips = f" in {self.n_items} clips" if self.n_items != self.n_utterances else ""
        place = "kept in memory" if self.in_memory else f"streamed (memory for {size(self.budget)})"
        return f"{self.n_utterances} utterances{clips}, {self.kind}, {size(self.bytes)}, {place}"


@dataclass(frozen=True, eq=False)
class Affine:
    """How the items of a batch are scaled: ``(x - shift) * scale`` of their groups."""

    shift: torch.Tensor
    """(G, L, D) float32."""
    scale: torch.Tensor
    """(G, L, D) float32."""
    group: list[int]
    """Of each of the B items."""

    def over(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` (B, L, 1, D), scaled in place."""
        chosen = slice(None) if len(self.shift) == 1 else torch.tensor(self.group)
        return x.sub_(self.shift[chosen, :, None]).mul_(self.scale[chosen, :, None])


class BatchMemory:
    """Memory that one batch after another is laid out in.

    Fresh memory costs a page fault per 4 kB: assembling 32 x 13 x 400 x 768 took 350 to 500 ms in it and 40
    in memory that had been used before (one core).
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def take(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Values of any kind in ``shape``, float32; what an earlier call gave is gone."""
        n = math.prod(shape)
        if n > self._memory.numel():
            with torch.inference_mode(False):  # prediction may be the first to use it, training the next
                self._memory = torch.empty(n)
        return self._memory[:n].view(shape)


class _Lent:
    """An array that cannot be written to, as numpy is told of one that can; it stays while that is used."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = {
            **array.__array_interface__,
            "data": (array.__array_interface__["data"][0], False),
        }


def check_means(store: FeatureStore) -> None:
    """Raise SettingsError where means of a store are over what the encoder padded with too."""
    if parse(store.spec.clip).whole:
        raise SettingsError(
            f"the means of a cache of clip rule {store.spec.clip} are over the encoder's padding too, and so are "
            "statistics to normalise by; read frames as they are (--frames, --normalise none), or leave whole out of "
            "--clip"
        )


def _tensor(frames: np.ndarray) -> torch.Tensor:
    """Frames as a tensor that is read and never written to: torch warns of what lies in a map of a file."""
    return torch.from_numpy(frames if frames.flags.writeable else np.asarray(_Lent(frames)))


def _lay_out(item: torch.Tensor, frames: torch.Tensor, affine: Affine | None, place: int) -> None:
    """Fill ``item`` (L, T, D) with ``frames`` (L, T', D), T' <= T, scaled, and zeros."""
    length = frames.shape[1]
    item[:, length:] = 0
    if affine is None:  # at once: threads that share a copy wait for each other at its end
        item[:, :length].copy_(frames)
        return
    # State by state: what is converted is scaled while it lies in the processor's cache.
    for state, block in enumerate(frames):
        real = item[state, :length].copy_(block)
        real.sub_(affine.shift[affine.group[place], state])
        real.mul_(affine.scale[affine.group[place], state])


class Source:
    """Cached features of R rows, shared by all views of them: read once, kept where they fit."""

    def __init__(
        self,
        store: FeatureStore,
        entry_ids: Sequence[str],
        utterance_ids: Sequence[str],
        states: Sequence[str],
        *,
        frames: bool,
        max_frames: int | None,
        budget: int,
    ) -> None:
        entries = store.entries()
        self.store = store
        self.entry_ids = tuple(entry_ids)
        self.utterance_ids = tuple(utterance_ids)
        """Utterance of each row."""
        self.states = tuple(states)
        self.frames = frames
        self.stored_frames = np.array([entries[id].n_frames for id in entry_ids], np.int64)
        """(R,), before any cut."""
        cut = np.iinfo(np.int64).max if max_frames is None else max_frames
        self.n_frames = np.minimum(self.stored_frames, cut) if frames else np.ones_like(self.stored_frames)
        """(R,), as ``gather`` gives them."""
        self.n_real = self.n_frames
        """(R,) of them those of the recording, which come first: a mask is true on these."""
        rule = parse(store.spec.clip)
        if rule.whole:
            hop, self.n_frames = store.spec.hop, self.stored_frames  # a window that is cut is none
            lengths = [rule.n_real(entries[id].n_samples, hop, entries[id].n_frames) for id in entry_ids]
            self.n_real = np.minimum(np.array(lengths, np.int64), cut)
        self.plan = self._plan(budget)
        self._kept: dict[int, torch.Tensor] = {}

    @property
    def dim(self) -> int:
        """D, the feature size."""
        return self.store.spec.dim

    def rounding(self, mean: np.ndarray) -> np.ndarray:
        """How far values around ``mean`` (G, L, D) are rounded as ``gather`` gives them; means are float32 always.

        In int8 all values of a frame are rounded alike, by its largest: about that of the means.
        """
        dtype = self.store.spec.dtype if self.frames else "float32"
        around = np.abs(mean)
        return _UNIT_ROUNDOFF[dtype] * (around.max(axis=-1, keepdims=True) if dtype == "int8" else around)

    @cached_property
    def mean(self) -> np.ndarray:
        """(R, L, D) float32 means over the stored frames. Raises SettingsError where some are of padding."""
        check_means(self.store)
        return self.store.pooled(self.entry_ids, self.states, "mean")

    @cached_property
    def std(self) -> np.ndarray:
        """(R, L, D) float32 population standard deviations over the stored frames. Raises as ``mean``."""
        check_means(self.store)
        return self.store.pooled(self.entry_ids, self.states, "std")

    def gather(
        self, rows: np.ndarray, affine: Affine | None = None, memory: BatchMemory | None = None
    ) -> torch.Tensor:
        """Features of some rows: (B, L, T, D) float32, zero where padded; scaled where ``affine`` says how.

        Lies in fresh memory, or in ``memory`` until that is asked for the next batch.
        """
        lengths = self.n_frames[rows]
        n_frames = int(lengths.max(initial=0)) if self.frames else 1
        shape = (len(rows), len(self.states), n_frames, self.dim)
        x = torch.empty(shape) if memory is None else memory.take(shape)
        if not self.frames:
            torch.index_select(torch.from_numpy(self.mean), 0, torch.from_numpy(rows), out=x[:, :, 0])
            return x if affine is None else affine.over(x)

        places: dict[int, list[int]] = {}  # a row may be asked for more than once, and is read once
        for place, row in enumerate(rows.tolist()):
            places.setdefault(row, []).append(place)

        def lay_out(part: Sequence[int]) -> None:
            with torch.inference_mode(x.is_inference()):  # of the caller, which other threads do not share
                for row, block in self._blocks(part):
                    for place in places[row]:
                        _lay_out(x[place], block, affine, place)

        self._by_threads(lay_out, list(places))
        return x

    def expect(self, rows: np.ndarray) -> None:
        """Have the disk begin to read the frames of rows, where they are streamed and gathered soon."""
        if self.frames and not self.plan.in_memory:
            self.store.expect([self.entry_ids[row] for row in dict.fromkeys(rows.tolist())], self.states)

    def load(self) -> None:
        """Bring into memory now what the plan keeps there; before processes are forked that share it."""
        if not self.frames:
            _ = self.mean
        elif self.plan.in_memory:
            for _ in self._blocks(range(len(self.entry_ids))):
                pass

    @property
    def kept_as(self) -> torch.dtype:
        """The type that frames are kept in: that of the store."""
        return _KEPT_AS[self.store.spec.dtype]

    def stored(self, rows: Sequence[int]) -> torch.Tensor:
        """Frames (L, F, D) of rows one after another, in the type of the store; nothing is kept."""
        bounds = np.cumsum([0, *self.n_frames[rows]]).tolist()
        x = torch.empty(len(self.states), bounds[-1], self.dim, dtype=self.kept_as)
        places: dict[int, list[slice]] = {}
        for row, begin, end in zip(rows, bounds, bounds[1:], strict=False):
            places.setdefault(row, []).append(slice(begin, end))

        def lay_out(part: Sequence[int]) -> None:
            for row, block in self._blocks(part, keep=False):
                for place in places[row]:
                    x[:, place] = block

        self._by_threads(lay_out, list(places))
        return x

    def _by_threads(self, act: Callable[[Sequence[int]], None], over: Sequence[int]) -> None:
        """``act`` on parts of what it is to act ``over``: where frames are streamed by several threads at once.

        One alone waits for the disk at each utterance, and the disk waits while it makes room and converts.
        """
        n_threads = 1 if self.plan.in_memory else min(_THREADS, machine.cores(), len(over))
        if n_threads < 2:
            act(over)
            return
        bounds = [round(k * len(over) / n_threads) for k in range(n_threads + 1)]
        # Of this call alone: a process that is forked between two of them would inherit threads that are not there.
        with ThreadPoolExecutor(n_threads) as threads:
            for _ in threads.map(act, [over[a:b] for a, b in itertools.pairwise(bounds)]):
                pass

    def _blocks(self, rows: Iterable[int], *, keep: bool = True) -> Iterator[tuple[int, torch.Tensor]]:
        """Each row with its frames (L, T, D) as stored, cut: kept where the plan says so, else gone at the next row."""
        fresh = []
        for row in dict.fromkeys(rows):
            kept = self._kept.get(row)
            if kept is None:
                fresh.append(row)
            else:
                yield row, kept
        read = self.store.read_each([self.entry_ids[row] for row in fresh], self.states) if fresh else ()
        for place, whole in read:
            row = fresh[place]
            block = _tensor(whole[:, : self.n_frames[row]])
            if keep and self.plan.in_memory:
                block = self._kept[row] = block.to(self.kept_as, copy=True)
            yield row, block

    def _plan(self, budget: int) -> ViewPlan:
        width = self.kept_as.itemsize if self.frames else 4
        return ViewPlan(
            n_items=len(self.entry_ids),
            n_utterances=len(set(self.utterance_ids)),
            n_frames=int(self.n_frames.sum()),
            bytes=int(self.n_frames.sum()) * len(self.states) * self.dim * width,
            budget=budget,
            kind="frames" if self.frames else "means",
        )

"""Source: cached features that several views share, and the plan of what reading them takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from sercache.stores import FeatureStore

MEMORY_SHARE = 0.4
"""Part of the free memory that frames may take before they are streamed from the store."""
_UNIT_ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}


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
        place = "kept in memory" if self.in_memory else f"streamed (memory for {self.budget / 1e9:.1f} GB)"
        return f"{self.n_utterances} utterances{clips}, {self.kind}, {self.bytes / 1e9:.3f} GB, {place}"


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
        self.plan = self._plan(budget)
        self._kept: dict[int, np.ndarray] = {}

    @property
    def dim(self) -> int:
        """D, the feature size."""
        return self.store.spec.dim

    @property
    def roundoff(self) -> float:
        """Relative rounding of the values that ``gather`` gives; means are float32 always."""
        return _UNIT_ROUNDOFF[self.store.spec.dtype if self.frames else "float32"]

    @cached_property
    def mean(self) -> np.ndarray:
        """(R, L, D) float32 means over the stored frames."""
        return self.store.pooled(self.entry_ids, self.states, "mean")

    @cached_property
    def std(self) -> np.ndarray:
        """(R, L, D) float32 population standard deviations over the stored frames."""
        return self.store.pooled(self.entry_ids, self.states, "std")

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Features of some rows: (B, L, T, D) float32, zero where padded, fresh memory."""
        if not self.frames:
            return np.asarray(self.mean[rows][:, :, None], np.float32)
        lengths = self.n_frames[rows]
        x = np.zeros((len(rows), len(self.states), int(lengths.max(initial=0)), self.dim), np.float32)
        blocks = self._blocks(rows.tolist())
        for item, row, length in zip(x, rows.tolist(), lengths, strict=True):
            item[:, :length] = blocks[row]
        return x

    def _blocks(self, rows: Sequence[int]) -> dict[int, np.ndarray]:
        """Frames (L, T, D) of rows as stored, cut; kept for the next epoch where the plan says so."""
        blocks = {row: self._kept[row] for row in rows if row in self._kept}
        fresh = [row for row in dict.fromkeys(rows) if row not in blocks]
        read = self.store.read_many([self.entry_ids[row] for row in fresh], self.states) if fresh else []
        for row, whole in zip(fresh, read, strict=True):
            block = whole[:, : self.n_frames[row]]
            # A copy to keep: a slice would hold the whole utterance, a memory map the file.
            blocks[row] = block.copy() if self.plan.in_memory else block
            if self.plan.in_memory:
                self._kept[row] = blocks[row]
        return blocks

    def _plan(self, budget: int) -> ViewPlan:
        # bfloat16 comes out of a store as float32.
        width = 2 if self.frames and self.store.spec.dtype == "float16" else 4
        return ViewPlan(
            n_items=len(self.entry_ids),
            n_utterances=len(set(self.utterance_ids)),
            n_frames=int(self.n_frames.sum()),
            bytes=int(self.n_frames.sum()) * len(self.states) * self.dim * width,
            budget=budget,
            kind="frames" if self.frames else "means",
        )


def free_memory() -> int:
    """Bytes of memory that this process can still take, container limits included."""
    names = os.sysconf_names
    if "SC_AVPHYS_PAGES" in names:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:  # macOS tells only what it has
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))

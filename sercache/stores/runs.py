"""Sorted runs of id hashes: where an id may be, without a map of all ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class HashRun:
    """Hashes of ids, ascending, each with the commit and row that lists it."""

    keys: memoryview
    """uint64; a memoryview, which ``bisect`` goes through several times as fast as an array."""
    numbers: np.ndarray
    """(U,) int64."""
    rows: np.ndarray
    """(U,) int32."""

    @classmethod
    def of(cls, hashes: np.ndarray, number: int) -> HashRun:
        """The run of one commit, whose rows have these hashes."""
        order = np.argsort(hashes, kind="stable")
        return cls.made(hashes[order], np.full(len(order), number, np.int64), order.astype(np.int32))

    @classmethod
    def made(cls, keys: np.ndarray, numbers: np.ndarray, rows: np.ndarray) -> HashRun:
        """A run of arrays that are in order."""
        return cls(memoryview(np.ascontiguousarray(keys, np.uint64)), numbers, rows)  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[Any, ...]:
        return HashRun.made, (self.hashes, self.numbers, self.rows)

    @property
    def hashes(self) -> np.ndarray:
        """``keys`` as an array."""
        return np.asarray(self.keys)

    def __len__(self) -> int:
        return len(self.rows)

    def holds(self, hashes: np.ndarray) -> np.ndarray:
        """Which of these hashes are in the run: (U,) bool."""
        if not len(self):
            return np.zeros(len(hashes), bool)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self) - 1)
        return self.hashes[at] == hashes

    def repeated(self) -> Iterator[tuple[int, int]]:
        """(number, row) of entries whose hash the entry before them has too."""
        yield from self._places(np.flatnonzero(self.hashes[1:] == self.hashes[:-1]) + 1)

    def shared(self, other: HashRun) -> Iterator[tuple[int, int]]:
        """(number, row) of entries of this run whose hash another run has too."""
        yield from self._places(np.flatnonzero(other.holds(self.hashes)))

    def _places(self, at: np.ndarray) -> Iterator[tuple[int, int]]:
        return zip(self.numbers[at].tolist(), self.rows[at].tolist(), strict=True)


def merge(runs: Sequence[HashRun]) -> HashRun:
    """One run of several."""
    hashes = np.concatenate([run.hashes for run in runs])
    order = np.argsort(hashes, kind="stable")
    numbers, rows = (np.concatenate([getattr(run, what) for run in runs]) for what in ("numbers", "rows"))
    return HashRun.made(hashes[order], numbers[order], rows[order])

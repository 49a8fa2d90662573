"""What every store keeps: the records it gives and the contracts of its two sides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np

from sercache.stores.spec import FeatureSpec


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed utterance (or clip of one)."""

    id: str
    n_frames: int
    n_samples: int
    """Samples that were encoded, at the encoder's rate."""
    audio_digest: str
    """blake3 of the decoded samples, so that equal audio is found."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What ``verify`` found wrong."""

    id: str
    """Utterance, or empty for a whole file."""
    path: Path
    reason: str
    kind: Literal["features", "record", "derived", "orphan", "note"] = "features"
    """Features and commit records are encoded anew; what is derived is written anew, orphans and notes are removed."""


@dataclass(frozen=True)
class Copied:
    """What copying stores into one found and did."""

    n_new: int
    """Entries that were copied."""
    n_held: int
    """Entries that the store held already, or that several sources hold."""
    seen: Mapping[Path, frozenset[int]]
    """By source its commits, all of which are copied."""


class FeatureWriter(Protocol):
    """Appends utterances to a store; several writers, each in its own process, may share one store."""

    path: Path
    spec: FeatureSpec

    def append(
        self,
        id: str,
        mean: np.ndarray,
        std: np.ndarray,
        frames: np.ndarray | None,
        *,
        n_frames: int,
        n_samples: int,
        audio_digest: str,
        owned: bool = False,
    ) -> None:
        """Take one utterance: mean and std (L, D) float32, frames (L, T, D), or None where none are kept.

        Arrays are copied, unless they are ``owned`` by the writer from now on.

        Frames are float32 or as stored already (bfloat16: bit patterns in uint16; int8: (L, T, D + 4), with scales).
        Nothing is visible to readers before its shard is sealed, which happens when the shard is full. Raises
        NumericRangeError, StoreError, DiskSpaceError.
        """
        ...

    def guard(self, lost: Callable[[Collection[str]], Collection[str]]) -> None:
        """From now on ask ``lost`` right before a commit which of its ids are another's to write: they are dropped."""
        ...

    def seal(self) -> None:
        """Commit what was appended since the last seal: all of it becomes visible, or none."""
        ...

    def close(self) -> None:
        """Seal, refresh derived metadata, release the writer's lock."""
        ...

    def abandon(self) -> None:
        """Release the writer's lock without sealing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or abandon after an exception."""
        ...


class FeatureStore(Protocol):
    """Read side: only committed utterances exist."""

    path: Path
    spec: FeatureSpec

    def refresh(self) -> bool:
        """See what was committed since; true where something was."""
        ...

    def ids(self) -> list[str]:
        """Committed ids, in the order of their commits."""
        ...

    def entries(self) -> Mapping[str, Entry]:
        """Committed entries by id."""
        ...

    def read(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Frames of one utterance (L', T, D), in float32 or float16 as stored (bfloat16, int8 come as float32)."""
        ...

    def read_stored(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Frames of one utterance as they lie on the disk: bfloat16 as bit patterns, int8 (L', T, D + 4)."""
        ...

    def read_many(self, ids: Sequence[str], states: Sequence[str] | None = None) -> list[np.ndarray]:
        """``read`` of each id, in the order asked for."""
        ...

    def read_each(
        self, ids: Sequence[str], states: Sequence[str] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """``read`` of each id with its place among them, in whatever order is fastest; each is gone at the next.

        It may be read-only.
        """
        ...

    def expect(self, ids: Sequence[str], states: Sequence[str] | None = None) -> None:
        """Have the disk begin to read what ``read_each`` will soon give."""
        ...

    def pooled(
        self, ids: Sequence[str] | None = None, states: Sequence[str] | None = None, what: str = "mean"
    ) -> np.ndarray:
        """Means (or ``what="std"``, population standard deviations) over time: (U, L', D) float32."""
        ...

    def n_bytes(self) -> int:
        """Bytes of all committed files."""
        ...

    def verify(self) -> list[Damage]:
        """Check every checksum; an empty list means whole."""
        ...

"""Watch: which features this process has read and found to be what was committed.

Each state of each utterance is compared with its checksum when it is first read, and again where its file has
changed since (size, time of change, inode). CRC-32C takes a small part of what reading takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np

from sercache.errors import DamagedStoreError
from sercache.stores.columns import Checksums
from sercache.stores.commits import Record
from sercache.stores.durable import Stamp, crc32c, repair_command
from sercache.stores.layout import Layout
from sercache.stores.mapped import KeptOpen

_WHICH = {"mean": 0, "std": 1}


@dataclass
class _Seen:
    """Of one commit: its files as they were, and what of it was found right."""

    frames: list[int]
    """A bit for each state of each utterance."""
    pooled: dict[str, bytearray]
    """Of mean and std, a 1 for each utterance."""
    stamps: dict[str, Stamp] = field(default_factory=dict)


class Watch:
    """Opens the files of a store and compares what is read of them for the first time."""

    def __init__(self, layout: Layout, opened: Callable[[str], KeptOpen]) -> None:
        """``opened`` opens a file by its path."""
        self.layout = layout
        self._opened = opened
        self._store = str(layout.path)
        self._seen: dict[int, _Seen] = {}

    def reopen(self, opened: Callable[[str], KeptOpen]) -> None:
        """Open files anew from now on, with ``opened``; what was found right stays so while they are the same."""
        self._opened = opened

    def open(self, record: Record, name: str) -> KeptOpen:
        """A file of a commit. Raises DamagedStoreError where it is missing or of another size, StoreError."""
        file = self._opened(f"{self._store}/{name}")
        stamp, seen = file.stamp(), self._seen.get(record.number)
        if seen is None or seen.stamps.get(name) != stamp:
            self._note(record, name, stamp)
        return file

    def file(self, name: str) -> KeptOpen:
        """A file, without a look at it."""
        return self._opened(f"{self._store}/{name}")

    def stamp(self, record: Record, name: str) -> Stamp | None:
        """What a file that was opened was like when what was read of it was compared; None where it changed since."""
        return self._of(record).stamps.get(name)

    def look(self, record: Record, names: Iterable[str]) -> None:
        """See that files are there and as large as their commit says, where that was not seen before."""
        seen = self._of(record).stamps
        for name in names:
            if name not in seen:
                self.open(record, name)

    def _note(self, record: Record, name: str, stamp: Stamp) -> None:
        file = next(each for each in record.files if each.name == name)
        expected = file.size
        # A shard that later commits continued is longer.
        if stamp.size < expected or (file.begin is None and stamp.size > expected):
            raise DamagedStoreError(
                f"{self._store}/{name} has {stamp.size} bytes, expected {expected}; {repair_command(self._store)}"
            )
        if _end(self.layout, record, name) > expected:
            raise DamagedStoreError(
                f"commit record {record.number} of {self._store} says that features lie beyond the end of {name}; "
                f"{repair_command(self._store)}"
            )
        if name in self._of(record).stamps:
            self._seen.pop(record.number, None)  # it was changed: what was found right counts no more
        self._of(record).stamps[name] = stamp

    def check_frames(self, record: Record, row: int, states: Sequence[int], frames: np.ndarray) -> None:
        """Compare frames (L', T, D) of these states, as stored. Raises DamagedStoreError."""
        seen = self._of(record).frames
        mask = seen[row]
        for k, state in enumerate(states if mask != self._all else ()):
            if mask >> state & 1:
                continue
            if crc32c(frames[k]) != int(cast(Checksums, record.frame_crcs).values[row, state]):
                raise self._differs(record, row, f"state {self.layout.spec.states[state]}")
            mask |= 1 << state
        seen[row] = mask

    def has_compared(self, record: Record, row: int, states: Sequence[int]) -> bool:
        """Whether all these states of an utterance were compared."""
        mask = self._of(record).frames[row]
        return mask == self._all or all(mask >> state & 1 for state in states)

    @cached_property
    def _all(self) -> int:
        return (1 << len(self.layout.spec.states)) - 1

    def has_seen(self, record: Record, what: str, row: int, count: int) -> bool:
        """Whether all of these rows were compared."""
        return self._of(record).pooled[what].find(0, row, row + count) < 0

    def check_rows(self, record: Record, what: str, first: int, values: np.ndarray) -> None:
        """Compare means or deviations (U, L, D) of all states, from row ``first`` on. Raises DamagedStoreError."""
        stop = first + len(values)
        expected = self.pooled_crcs(record, what)[first:stop].tolist()
        for row, crc, value in zip(range(first, stop), expected, values, strict=True):
            if crc32c(value) != crc:
                raise self._differs(record, row, f"the {what}")
        self._of(record).pooled[what][first:stop] = b"\1" * len(values)

    def pooled_crcs(self, record: Record, what: str) -> np.ndarray:
        """Checksums of the means or deviations of a commit, (U,) uint32."""
        return cast(Checksums, record.pooled_crcs).values[:, _WHICH[what]]

    def _of(self, record: Record) -> _Seen:
        found = self._seen.get(record.number)
        if found is None:
            n_rows, n_states = len(record.ids), len(self.layout.spec.states)
            widths = cast(Checksums, record.frame_crcs).values.shape[1:]
            if record.blocks and widths != (n_states,):
                raise DamagedStoreError(
                    f"commit record {record.number} of {self._store} is not one of {n_states} states; "
                    f"{repair_command(self._store)}"
                )
            found = self._seen[record.number] = _Seen(
                [0] * n_rows, {what: bytearray(n_rows) for what in _WHICH}
            )
        return found

    def _differs(self, record: Record, row: int, what: str) -> DamagedStoreError:
        return DamagedStoreError(
            f"{self._store} is damaged: {what} of {record.ids[row]} is not what was written; "
            f"{repair_command(self._store)}"
        )


def _end(layout: Layout, record: Record, name: str) -> int:
    """The byte behind the last feature that a record places in a file."""
    n_states, ends = len(layout.spec.states), [0]
    for block in record.blocks:
        if block.file == name:
            n_rows = (n_states - 1) * block.stride + block.n_frames
            ends.append(block.offset + n_rows * layout.frame_bytes)
    row_bytes = n_states * layout.spec.dim * 4
    ends += [t.offset + len(record.ids) * row_bytes for t in record.tables.values() if t.file == name]
    return max(ends)

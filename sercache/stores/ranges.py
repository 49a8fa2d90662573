"""Features as byte ranges of committed files: nothing lies between the file and the array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sercache.errors import MissingFeaturesError
from sercache.stores import mapped
from sercache.stores.commits import File, Record, file_names
from sercache.stores.dtypes import STORED, width
from sercache.stores.durable import Opened, crc32c
from sercache.stores.kept import Wanted, opened
from sercache.stores.layout import Layout
from sercache.stores.ledger import RecordRow
from sercache.stores.mapped import KeptOpen, Room
from sercache.stores.watch import Watch

_PIECE = 2**24
"""Bytes that are read at a time where a file may be of any length."""


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Some frames of an utterance: those of state s lie in a file, one after another, at ``first + s * step``."""

    name: str
    """Of the file, relative to the store."""
    n_frames: int
    first: int
    """Bytes."""
    step: int
    """Bytes."""


def stretches(layout: Layout, place: RecordRow) -> list[FrameRange]:
    """Where the frames of an utterance lie, in order: one stretch but for those that go over a file's end.

    Raises MissingFeaturesError where the store keeps no frames.
    """
    record, row = place
    if not record.blocks:
        raise MissingFeaturesError(
            f"{layout.path} keeps means over time only; extract again without --pooled-only to get frames"
        )
    low = int(record.first_frame[row]) - int(record.first_frame[0])
    high, at, frame_bytes = low + int(record.n_frames[row]), 0, layout.frame_bytes
    found = []
    for block in record.blocks:
        start, stop = max(low - at, 0), min(high - at, block.n_frames)
        if start < stop:
            first, step = block.offset + start * frame_bytes, block.stride * frame_bytes
            found.append(FrameRange(block.file, stop - start, first, step))
        at += block.n_frames
    return found


def wanted_frames(layout: Layout, parts: Iterable[FrameRange], states: Iterable[int]) -> list[Wanted]:
    """Ranges of files that hold these states of the parts of an utterance."""
    chosen = list(states)
    return [
        (part.name, (first, first + part.n_frames * layout.frame_bytes))
        for part in parts
        for first in (part.first + state * part.step for state in chosen)
    ]


def read_frames(
    watch: Watch,
    record: Record,
    parts: Sequence[FrameRange],
    states: Sequence[int],
    room: Room = mapped.empty,
    *,
    lent: bool = False,
) -> np.ndarray:
    """Frames (L', T, D), as stored, of the states with these indices, from the parts of an utterance of ``record``.

    They lie in what ``room`` gives; if they may be ``lent``, where they came to lie when they were fetched ahead.
    Raises DamagedStoreError for a file that is missing or cut short, StoreError.
    """
    n_frames, at = sum(part.n_frames for part in parts), 0
    spec = watch.layout.spec
    shape, dtype = (len(states), n_frames, width(spec.dim, spec.dtype)), STORED[spec.dtype]
    if lent and len(parts) == 1 and isinstance(states, range):
        (part,) = parts
        file = watch.open(record, part.name)
        found = file.lent(shape, dtype, part.first + states.start * part.step, part.step)
        if found is not None:
            return found
    out = room(shape, dtype, parts[0].first)
    for part in parts:
        own = out if part.n_frames == n_frames else out[:, at : at + part.n_frames]
        file = watch.open(record, part.name)
        for k, run in [(0, states)] if isinstance(states, range) else enumerate([state] for state in states):
            file.read_states(own[k : k + len(run)], part.first + run[0] * part.step, part.step)
        at += part.n_frames
    return out


Run = tuple[int, int, int]
"""Rows that go from a pooled table to an array: (from, to, count)."""


def wanted_rows(layout: Layout, record: Record, runs: Iterable[Run], what: str) -> list[Wanted]:
    """Ranges of files that hold these rows of a pooled table."""
    table, row_bytes = record.tables[what], len(layout.spec.states) * layout.spec.dim * 4
    return [
        (table.file, (table.offset + first * row_bytes, table.offset + (first + n) * row_bytes))
        for first, _, n in runs
    ]


def read_rows(
    layout: Layout, opened: KeptOpen, offset: int, runs: Iterable[Run], states: Sequence[int], out: np.ndarray
) -> None:
    """Rows of a pooled table, which begins at byte ``offset``, into rows of ``out`` (U, L', D).

    Neighbouring rows and states are read at once: a whole table is one read. ``opened`` was looked at just before.
    Raises DamagedStoreError, StoreError.
    """
    n_states, state_bytes = len(layout.spec.states), layout.spec.dim * 4
    row_bytes = n_states * state_bytes
    if states == range(n_states):
        for row, to, count in runs:
            opened.read_into(out[to : to + count], offset + row * row_bytes)
        return
    neighbours = list(as_runs(np.array(states, int), np.arange(len(states))))
    for row, to, count in runs:
        for state, k, n in neighbours:
            first = offset + row * row_bytes + state * state_bytes
            opened.read_states(out[to : to + count, k : k + n], first, row_bytes)


def measure_files(layout: Layout, record: Record) -> list[File]:
    """Size and checksum of the rest of each file that a commit wrote and nobody else writes to."""
    found = []
    for name in file_names(record):
        size = (layout.path / name).stat().st_size
        found.append(File(name, size, rest_crc(layout, record, File(name, size, ""), Opened)))
    return found


def rest_crc(layout: Layout, record: Record, file: File, opened: Callable[[str], Opened] = opened) -> str:
    """CRC-32C, 8 hex digits, of the bytes of a file that a commit wrote and that are no utterance's."""
    crc, at = 0, file.begin or 0
    with opened(f"{layout.path}/{file.name}") as there:
        for start, stop in [*sorted(_feature_bytes(layout, record, file.name)), (file.size, file.size)]:
            for begin in range(at, min(start, file.size), _PIECE):
                gap = np.empty(min(_PIECE, min(start, file.size) - begin), np.uint8)
                there.read_into(gap, begin)
                crc = crc32c(gap, crc)
            at = max(at, stop)
    return f"{crc:08x}"


def _feature_bytes(layout: Layout, record: Record, name: str) -> Iterator[tuple[int, int]]:
    """Ranges of a file's bytes that hold features."""
    n_states = len(layout.spec.states)
    for block in record.blocks:
        for state in range(n_states) if block.file == name else ():
            start = block.offset + state * block.stride * layout.frame_bytes
            yield start, start + block.n_frames * layout.frame_bytes
    for table in record.tables.values():
        if table.file == name:
            yield table.offset, table.offset + len(record.ids) * n_states * layout.spec.dim * 4


def as_runs(start: np.ndarray, to: np.ndarray) -> Iterator[Run]:
    """Pairs (from, to) as runs (from, to, count) in which both go up by one."""
    if len(start):
        breaks = np.flatnonzero((np.diff(start) != 1) | (np.diff(to) != 1)) + 1
        firsts = np.concatenate([[0], breaks])
        counts = np.diff(np.concatenate([firsts, [len(start)]]))
        yield from zip(start[firsts].tolist(), to[firsts].tolist(), counts.tolist(), strict=True)

"""Features as byte ranges of committed files: nothing between the disk and the array but ``preadv``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sercache.errors import MissingFeaturesError
from sercache.stores.commits import File, Record, Table, file_names
from sercache.stores.dtypes import STORED
from sercache.stores.durable import Opened, crc32c
from sercache.stores.layout import Layout

Place = tuple[Record, int]
"""A commit record and the row of an utterance in it."""


def read_frames(layout: Layout, place: Place, states: Sequence[int]) -> np.ndarray:
    """Frames (L', T, D), as stored, of the states with these indices.

    Raises MissingFeaturesError where the store keeps no frames, DamagedStoreError for a file that is
    missing or cut short.
    """
    record, row = place
    if not record.blocks:
        raise MissingFeaturesError(
            f"{layout.path} keeps means over time only; extract again without --pooled-only to get frames"
        )
    out = np.empty((len(states), record.n_frames[row], layout.spec.dim), STORED[layout.spec.dtype])
    low = record.first_frame[row] - record.first_frame[0]
    high, at, frame_bytes = low + record.n_frames[row], 0, layout.frame_bytes
    for block in record.blocks:
        start, stop = max(low - at, 0), min(high - at, block.n_frames)
        if start < stop:
            into = out[:, at + start - low : at + stop - low]
            with Opened(f"{layout.path}/{block.file}") as file:
                for k, state in enumerate(states):
                    file.read_into(into[k], block.offset + (state * block.stride + start) * frame_bytes)
        at += block.n_frames
    return out


def read_rows(
    layout: Layout,
    table: Table,
    wanted: Sequence[tuple[int, int]],
    states: Sequence[int],
    out: np.ndarray,
) -> None:
    """Rows of a pooled table into rows of ``out`` (U, L', D), as (row, row of out) pairs.

    Neighbouring rows and states are read at once: a whole table is one read. Raises DamagedStoreError.
    """
    n_states = len(layout.spec.states)
    state_bytes = layout.spec.dim * 4
    row_bytes = n_states * state_bytes
    with Opened(f"{layout.path}/{table.file}") as file:
        if list(states) == list(range(n_states)):
            for row, into, count in _runs(wanted):
                file.read_into(out[into : into + count], table.offset + row * row_bytes)
            return
        runs = list(_runs([(state, k) for k, state in enumerate(states)]))
        for row, into in wanted:
            for state, k, count in runs:
                offset = table.offset + row * row_bytes + state * state_bytes
                file.read_into(out[into, k : k + count], offset)


def measure_files(layout: Layout, record: Record) -> list[File]:
    """Size and checksum of the rest of each file that a commit wrote."""
    return [
        File(name, (layout.path / name).stat().st_size, rest_crc(layout, record, name))
        for name in file_names(record)
    ]


def rest_crc(layout: Layout, record: Record, name: str) -> str:
    """CRC-32C, 8 hex digits, of the bytes of a file that are no utterance's."""
    crc, at = 0, 0
    with Opened(f"{layout.path}/{name}") as file:
        size = file.size()
        for start, stop in [*sorted(_feature_bytes(layout, record, name)), (size, size)]:
            gap = np.empty(max(0, start - at), np.uint8)
            file.read_into(gap, at)
            crc, at = crc32c(gap, crc), stop
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


def _runs(pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Pairs (from, to) as runs (from, to, count) in which both go up by one."""
    start = 0
    for k in range(1, len(pairs) + 1):
        if k == len(pairs) or pairs[k] != (pairs[k - 1][0] + 1, pairs[k - 1][1] + 1):
            yield (*pairs[start], k - start)
            start = k

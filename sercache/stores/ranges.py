"""Features as byte ranges of committed files: nothing between the disk and the array but ``preadv``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sercache.errors import MissingFeaturesError
from sercache.stores.commits import File, Record, Table, file_names
from sercache.stores.dtypes import STORED
from sercache.stores.durable import Opened, crc32c
from sercache.stores.layout import Layout
from sercache.stores.ledger import Place


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
    n_frames = int(record.n_frames[row])
    out = np.empty((len(states), n_frames, layout.spec.dim), STORED[layout.spec.dtype])
    low = int(record.first_frame[row]) - int(record.first_frame[0])
    high, at, frame_bytes = low + n_frames, 0, layout.frame_bytes
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
    layout: Layout, table: Table, rows: np.ndarray, into: np.ndarray, states: Sequence[int], out: np.ndarray
) -> None:
    """Rows of a pooled table (those of ``rows``) into the rows ``into`` of ``out`` (U, L', D).

    Neighbouring rows and states are read at once: a whole table is one read. Raises DamagedStoreError.
    """
    n_states = len(layout.spec.states)
    state_bytes = layout.spec.dim * 4
    row_bytes = n_states * state_bytes
    with Opened(f"{layout.path}/{table.file}") as file:
        if list(states) == list(range(n_states)):
            for row, to, count in _runs(rows, into):
                file.read_into(out[to : to + count], table.offset + row * row_bytes)
            return
        runs = list(_runs(np.array(states, int), np.arange(len(states))))
        for row, to in zip(rows.tolist(), into.tolist(), strict=True):
            for state, k, count in runs:
                offset = table.offset + row * row_bytes + state * state_bytes
                file.read_into(out[to, k : k + count], offset)


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


def _runs(start: np.ndarray, to: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Pairs (from, to) as runs (from, to, count) in which both go up by one."""
    if len(start):
        breaks = np.flatnonzero((np.diff(start) != 1) | (np.diff(to) != 1)) + 1
        firsts = np.concatenate([[0], breaks])
        counts = np.diff(np.concatenate([firsts, [len(start)]]))
        yield from zip(start[firsts].tolist(), to[firsts].tolist(), counts.tolist(), strict=True)

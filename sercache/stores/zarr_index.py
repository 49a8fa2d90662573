"""Where the shards of a Zarr store hold what: their slots by the commit records, and the index at the end of each.

See https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sercache.errors import DamagedStoreError
from sercache.stores.commits import Record
from sercache.stores.durable import crc32c
from sercache.stores.kept import is_there, opened
from sercache.stores.layout import Layout
from sercache.stores.slots import Slot
from sercache.stores.zarr_metadata import slot_number

_MISSING = 2**64 - 1
STATISTICS = ("mean", "std")
"""Of each state of an utterance that ``pooled_mean`` and ``pooled_std`` hold."""


def shard_files(array: str, number: int) -> list[str]:
    """Files of a slot of ``frames`` or ``pooled``, below the store's folder."""
    if array == "frames":
        return [f"frames/c.0.{number}.0"]
    return [f"pooled_{what}/c.{number}.0.0" for what in STATISTICS]


def used_slots(layout: Layout, records: Iterable[Record], array: str) -> dict[int, Slot]:
    """What commits have put in each slot of an array."""
    spans: dict[int, list[tuple[int, int]]] = {}
    bytes_per_row = row_bytes(layout, array)
    for record in records:
        if array == "frames":
            for block in record.blocks:
                span = (block.offset // bytes_per_row, block.stride)
                spans.setdefault(slot_number(block.file), []).append(span)
        elif "mean" in record.tables:
            table = record.tables["mean"]
            span = (table.offset // bytes_per_row, len(record.ids))
            spans.setdefault(slot_number(table.file), []).append(span)
    return {
        number: Slot(number, max(first + count for first, count in own), tuple(sorted(own)))
        for number, own in spans.items()
    }


def row_bytes(layout: Layout, array: str) -> int:
    """Bytes of one row of ``frames``, a frame of all states, or of ``pooled``, all means of an utterance."""
    n_states = len(layout.spec.states)
    return n_states * layout.frame_bytes if array == "frames" else n_states * layout.spec.dim * 4


def frames_index(layout: Layout, slot: Slot) -> bytes:
    """Index of a shard of frames: (L, S / C) chunks, those that hold no frame marked missing."""
    return _seal(_frames_entries(layout, slot))


def _frames_entries(layout: Layout, slot: Slot) -> np.ndarray:
    """Offset and length of each chunk, (L, S / C, 2) uint64."""
    n_states, chunk = len(layout.spec.states), layout.sizes.chunk_frames
    chunk_bytes = chunk * layout.frame_bytes
    entries = np.full((n_states, layout.sizes.shard_frames // chunk, 2), _MISSING, "<u8")
    for first, count in slot.regions:
        n_chunks, at = count // chunk, first // chunk
        order = np.arange(n_states * n_chunks, dtype="<u8").reshape(n_states, n_chunks)
        entries[:, at : at + n_chunks, 0] = (at * n_states + order) * chunk_bytes
        entries[:, at : at + n_chunks, 1] = chunk_bytes
    return entries


def pooled_index(layout: Layout, slot: Slot) -> bytes:
    """Index of a pooled shard: P rows, those that no commit took marked missing."""
    return _seal(_pooled_entries(layout, slot))


def _pooled_entries(layout: Layout, slot: Slot) -> np.ndarray:
    """Offset and length of each row, (P, 2) uint64."""
    entries = np.full((layout.sizes.shard_utterances, 2), _MISSING, "<u8")
    for first, count in slot.regions:
        rows = np.arange(first, first + count, dtype="<u8")
        entries[first : first + count, 0] = rows * row_bytes(layout, "pooled")
        entries[first : first + count, 1] = row_bytes(layout, "pooled")
    return entries


def _seal(entries: np.ndarray) -> bytes:
    data = entries.tobytes()
    return data + crc32c(data).to_bytes(4, "little")


def check_shared(layout: Layout, records: Sequence[Record]) -> Iterator[tuple[Path, str]]:
    """Faults of the indices of shards that hold several commits: file, and what is wrong with it.

    ``records``: all of the store; indices of shards that no record of theirs shares are in ``rest_crc``.
    """
    shared = [record for record in records if any(file.begin is not None for file in record.files)]
    for array in ("frames", "pooled"):
        for number, slot in used_slots(layout, shared, array).items():
            size, step = layout.sizes.shard_utterances, 1
            if array == "frames":
                size, step = layout.sizes.shard_frames, layout.sizes.chunk_frames
            if slot.filled > size or any(first % step or count % step for first, count in slot.regions):
                for name in shard_files(array, number):
                    yield layout.path / name, "commit records place features where the shard has no room"
                continue
            entries = _frames_entries(layout, slot) if array == "frames" else _pooled_entries(layout, slot)
            for name in shard_files(array, number):
                if fault := _index_fault(layout.path / name, entries):
                    yield layout.path / name, fault


def _index_fault(path: Path, expected: np.ndarray) -> str:
    """What is wrong with the index at the end of a shard; nothing of it may be but what no record knows of."""
    n_bytes = expected.nbytes + 4
    if not is_there(path):
        return ""  # said of the whole file
    data = np.zeros(n_bytes, np.uint8)
    try:
        with opened(path) as file:
            size = file.size()
            file.read_into(data, max(size - n_bytes, 0))
    except DamagedStoreError as fault:
        return str(fault)
    entries = data[:-4].view("<u8").reshape(expected.shape)
    present = entries[..., 0] != _MISSING
    known = expected[..., 0] != _MISSING
    end = int((entries[..., 0] + entries[..., 1])[present].max(initial=0))
    if _seal(entries)[-4:] != data[-4:].tobytes():
        return "its index does not have the checksum that stands behind it"
    if (entries[known] != expected[known]).any():
        return "its index does not point where the commit records say"
    if size != end + n_bytes:
        return f"the file has {size} bytes, expected {end + n_bytes} by its index"
    return ""

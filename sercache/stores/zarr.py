"""Zarr v3 stores: any Zarr reader opens the folder.

``frames`` [state, frame, dim] lies in shards (L, S, D) of inner chunks (1, C, D), uncompressed and
layer-major, so that each state of an utterance is one byte range; ``pooled_mean`` and ``pooled_std``
[utterance slot, state, dim] in shards (P, L, D) of rows. Shard number k of each is written once, by one
commit. See https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sercache.stores.batch import Item, describe, state_pieces
from sercache.stores.commits import Block, Record, Table, file_names
from sercache.stores.dtypes import STORED, fill_value
from sercache.stores.durable import Piece, crc32c, make_folder, sync_folder, write_file
from sercache.stores.layout import Layout
from sercache.stores.roster import Registration
from sercache.stores.zarr_metadata import refresh as refresh

_MISSING = 2**64 - 1


def n_numbers(layout: Layout, n_frames: int) -> int:
    """Shard numbers that a commit of ``n_frames`` frames takes."""
    return max(1, math.ceil(n_frames / layout.sizes.shard_frames)) if layout.spec.frames else 1


def files_of(layout: Layout, number: int) -> list[Path]:
    """Files that shard ``number`` may have."""
    names = [_frames_name(number), _pooled_name("mean", number), _pooled_name("std", number)]
    return [layout.path / name for name in names]


def _frames_name(number: int) -> str:
    return f"frames/c.0.{number}.0"


def _pooled_name(what: str, number: int) -> str:
    return f"pooled_{what}/c.{number}.0.0"


def make_folders(layout: Layout) -> None:
    """The arrays' folders."""
    for name in ("frames", "pooled_mean", "pooled_std"):
        if layout.spec.frames or name != "frames":
            make_folder(layout.path / name)


def write(layout: Layout, items: Sequence[Item], numbers: range, registration: Registration) -> Record:
    """Write the shards of one commit under their final names, durably; gives its record, but for ``files``.

    Files that were written when something fails are the caller's to remove (``files_of``).
    """

    def publish(name: str, pieces: Iterator[Piece]) -> None:
        temporary = registration.temporary()
        write_file(temporary, pieces)
        temporary.replace(layout.path / name)

    blocks = _blocks(layout, items, numbers) if layout.spec.frames else []
    for k, block in enumerate(blocks):
        publish(block.file, _frame_shard(layout, items, k * layout.sizes.shard_frames, block))
    for what in ("mean", "std"):
        publish(_pooled_name(what, numbers[-1]), _pooled_shard(layout, [getattr(i, what) for i in items]))
    tables = {what: Table(_pooled_name(what, numbers[-1]), 0) for what in ("mean", "std")}
    record = Record(numbers[-1], blocks=blocks, tables=tables)
    for folder in {(layout.path / name).parent for name in file_names(record)}:
        sync_folder(folder)
    return describe(items, record, numbers[0] * layout.sizes.shard_frames)


def _blocks(layout: Layout, items: Sequence[Item], numbers: range) -> list[Block]:
    total, size, chunk = sum(i.n_frames for i in items), layout.sizes.shard_frames, layout.sizes.chunk_frames
    counts = [min(size, total - k * size) for k in range(len(numbers))]
    return [
        Block(_frames_name(number), 0, count, math.ceil(count / chunk) * chunk)
        for number, count in zip(numbers, counts, strict=True)
    ]


def _frame_shard(layout: Layout, items: Sequence[Item], start: int, block: Block) -> Iterator[Piece]:
    """A frames shard: for each state its frames and padding to whole chunks, then the index."""
    n_padding = block.stride - block.n_frames
    fill, dtype = fill_value(layout.spec.dtype), STORED[layout.spec.dtype]
    padding = np.full((n_padding, layout.spec.dim), fill, dtype)
    for state in range(len(layout.spec.states)):
        yield from state_pieces(items, state, start, start + block.n_frames)
        yield padding
    yield _frames_index(layout, block)


def _pooled_shard(layout: Layout, rows: Sequence[np.ndarray]) -> Iterator[Piece]:
    yield from rows
    yield _pooled_index(layout, len(rows))


def _frames_index(layout: Layout, block: Block) -> bytes:
    """Index of a frames shard: (L, S / C) chunks, the trailing ones that hold no frame marked missing."""
    n_chunks = block.stride // layout.sizes.chunk_frames
    grid = (len(layout.spec.states), layout.sizes.shard_frames // layout.sizes.chunk_frames)
    present = np.zeros(grid, bool)
    present[:, :n_chunks] = True
    return _index(present, layout.sizes.chunk_frames * layout.frame_bytes)


def _pooled_index(layout: Layout, n_rows: int) -> bytes:
    """Index of a pooled shard: P rows, those beyond ``n_rows`` marked missing."""
    return _index(
        np.arange(layout.sizes.shard_utterances) < n_rows, len(layout.spec.states) * layout.spec.dim * 4
    )


def _index(present: np.ndarray, n_bytes: int) -> bytes:
    """Offset and length of each chunk in C order, present ones laid one after another, and the CRC-32C."""
    index = np.full((present.size, 2), _MISSING, "<u8")
    index[present.reshape(-1), 0] = np.arange(present.sum(), dtype="<u8") * n_bytes
    index[present.reshape(-1), 1] = n_bytes
    data = index.tobytes()
    return data + crc32c(data).to_bytes(4, "little")

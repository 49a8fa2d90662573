"""Zarr v3 stores: any Zarr reader opens the folder.

``frames`` [state, frame, dim] lies in shards (L, S, D) of inner chunks (1, C, D), uncompressed; ``pooled_mean`` and
``pooled_std`` [utterance slot, state, dim] in shards (P, L, D) of rows. What a commit puts into a shard of frames is a
region, layer-major, so that each state of an utterance is one byte range. A shard is filled by one commit after
another: each writes it anew as a copy of what is there, its own region and a new index, and renames it into place, so
that every offset in an earlier record stays true and stock readers never see it torn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from sercache import objects
from sercache.objects import mirror
from sercache.stores.batch import Item, describe, state_pieces
from sercache.stores.commits import File, FrameBlock, MeansTable, Record
from sercache.stores.dtypes import STORED, fill_value, width
from sercache.stores.durable import Opened, Piece, crc32c, make_folder, write_file
from sercache.stores.kept import is_there
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.roster import Registration
from sercache.stores.slots import Slot, Slots
from sercache.stores.zarr_index import (
    STATISTICS,
    frames_index,
    pooled_index,
    row_bytes,
    shard_files,
    used_slots,
)
from sercache.stores.zarr_index import check_shared as check_shared
from sercache.stores.zarr_metadata import refresh as refresh
from sercache.system import sync_path

_COPIED = 8 * 2**20
"""Bytes of a shard that are copied at once."""


def files_of(layout: Layout, claim: str) -> list[Path]:
    """Files that belong to a claim; that of a commit number has none."""
    array, _, number = claim.rpartition(".")
    return [layout.path / name for name in shard_files(array, int(number))] if array else []


def make_folders(layout: Layout) -> None:
    """The arrays' folders."""
    for name in ("frames", "pooled_mean", "pooled_std"):
        if layout.spec.frames or name != "frames":
            make_folder(layout.path / name)


class ZarrShards:
    """The shards that one writer fills, with the utterances of one commit after another."""

    def __init__(self, layout: Layout, ledger: Ledger, registration: Registration) -> None:
        self._layout, self._registration = layout, registration
        sizes = layout.sizes
        self._frames = Slots("frames", sizes.shard_frames, registration, partial(self._is_there, "frames"))
        self._pooled = Slots(
            "pooled", sizes.shard_utterances, registration, partial(self._is_there, "pooled")
        )
        self._written: dict[str, list[Slot]] = {}
        self._ledger = ledger
        self._once = objects.place_of(layout.path) is not None
        """Objects cannot grow: each commit has shards of its own, which are sent once."""
        for slots in (self._frames, self._pooled):
            _adopt(layout, ledger, slots)

    def _is_there(self, array: str, number: int) -> bool:
        return any(is_there(self._layout.path / name) for name in shard_files(array, number))

    @property
    def room(self) -> tuple[int, int]:
        """Frames and utterances that the next commit may have without another shard."""
        return self._frames.room, self._pooled.room

    def leave_frames(self) -> None:
        """Take another shard of frames for the next commit, though this one is not full."""
        self._frames.leave()

    def write(self, items: Sequence[Item], number: int) -> Record:
        """Write the shards of one commit under their final names, durably; gives its record."""
        layout, blocks, first = self._layout, [], 0
        for array in [self._frames, self._pooled] if self._once else []:  # rivals elsewhere may be far ahead
            used = used_slots(layout, self._ledger.records.values(), array.array)
            array.highest = max([array.highest, *used])
        if layout.spec.frames:
            slots = self._frames.take(sum(item.n_frames for item in items))
            first = slots[0].number * layout.sizes.shard_frames + slots[0].filled
            blocks = self._write_frames(items, slots)
        (slot,) = self._pooled.take(len(items))
        grown = slot.grown(len(items))
        n_bytes = row_bytes(layout, "pooled")
        tables, files = {}, [_own_bytes(layout, block) for block in blocks]
        for what, name in zip(STATISTICS, shard_files("pooled", slot.number), strict=True):
            region = [getattr(item, what) for item in items]
            self._publish(name, slot.filled * n_bytes, region, pooled_index(layout, grown))
            tables[what] = MeansTable(name, slot.filled * n_bytes)
            files.append(File(name, grown.filled * n_bytes, f"{crc32c(b''):08x}", slot.filled * n_bytes))
        self._written["pooled"] = [grown]
        for folder in sorted({(layout.path / file.name).parent for file in files}):
            sync_path(folder)
        return describe(items, Record(number, blocks=blocks, tables=tables, files=files), first)

    def _write_frames(self, items: Sequence[Item], slots: Sequence[Slot]) -> list[FrameBlock]:
        sizes, frame_bytes = self._layout.sizes, self._layout.frame_bytes
        total, at, blocks, written = sum(item.n_frames for item in items), 0, [], []
        for slot in slots:
            count = min(sizes.shard_frames - slot.filled, total - at)
            stride = math.ceil(count / sizes.chunk_frames) * sizes.chunk_frames
            grown = slot.grown(stride)
            offset = slot.filled * len(self._layout.spec.states) * frame_bytes
            (name,) = shard_files("frames", slot.number)
            block = FrameBlock(name, offset, count, stride)
            region = _frames_region(self._layout, items, at, block)
            self._publish(name, offset, region, frames_index(self._layout, grown))
            blocks.append(block)
            written.append(grown)
            at += count
        self._written["frames"] = written
        return blocks

    def _publish(self, name: str, offset: int, region: Iterable[Piece], index: bytes) -> None:
        """Put the file in place: its first ``offset`` bytes as they are, then region and index."""

        def pieces() -> Iterator[Piece]:
            if offset:
                yield from _copied(self._layout.path / name, offset)
            yield from region
            yield index

        temporary = self._registration.temporary()
        write_file(temporary, pieces())
        temporary.replace(self._layout.path / name)

    def keep(self) -> None:
        """The commit that was written last stands."""
        for slots in (self._frames, self._pooled):
            if slots.array in self._written:
                slots.keep(self._written[slots.array])
                if self._once:
                    slots.leave()
        self._written = {}

    def take_back(self) -> None:
        """The commit that was written last failed: remove its files. Shards that it shares stay as they are."""
        for slots in (self._frames, self._pooled):
            new = slots.take_back()
            for number in new:
                files = [self._layout.path / name for name in shard_files(slots.array, number)]
                mirror.drop(files)
                for path in files:
                    path.unlink(missing_ok=True)
            slots.give_up(new)
        self._written = {}


def _adopt(layout: Layout, ledger: Ledger, slots: Slots) -> None:
    """Go on where earlier writers left a shard with room."""

    def known() -> dict[int, Slot]:
        ledger.refresh()
        return used_slots(layout, ledger.records.values(), slots.array)

    # What layout 1 wrote has checksums of whole files; where something was dropped, bytes may be damaged.
    odd = [
        record
        for number, record in ledger.records.items()
        if not ledger.is_whole(number) or any(file.begin is None for file in record.files)
    ]
    closed = set(used_slots(layout, odd, slots.array))

    def may_grow(slot: Slot) -> bool:
        if objects.place_of(layout.path) is not None:
            return False
        n_bytes = slot.filled * row_bytes(layout, slots.array)
        files = [layout.path / name for name in shard_files(slots.array, slot.number)]
        whole = all(file.is_file() and file.stat().st_size >= n_bytes for file in files)
        return whole and slot.number not in closed

    slots.adopt(known, may_grow)


def _copied(path: Path, n_bytes: int) -> Iterator[np.ndarray]:
    with Opened(str(path)) as file:
        for at in range(0, n_bytes, _COPIED):
            piece = np.empty(min(_COPIED, n_bytes - at), np.uint8)
            file.read_into(piece, at)
            yield piece


def _frames_region(layout: Layout, items: Sequence[Item], start: int, block: FrameBlock) -> Iterator[Piece]:
    """For each state the frames from ``start`` on and padding to whole chunks."""
    padding = _padding(layout, block)
    for state in range(len(layout.spec.states)):
        yield from state_pieces(items, state, start, start + block.n_frames)
        yield padding


def _own_bytes(layout: Layout, block: FrameBlock) -> File:
    """What a commit has in a shard of frames: its region, whose padding is no utterance's."""
    n_states, crc = len(layout.spec.states), 0
    for _ in range(n_states):
        crc = crc32c(_padding(layout, block), crc)
    end = block.offset + n_states * block.stride * layout.frame_bytes
    return File(block.file, end, f"{crc:08x}", block.offset)


def _padding(layout: Layout, block: FrameBlock) -> np.ndarray:
    shape = (block.stride - block.n_frames, width(layout.spec.dim, layout.spec.dtype))
    return np.full(shape, fill_value(layout.spec.dtype), STORED[layout.spec.dtype])


shards = ZarrShards
"""As every format names it (see sercache.stores.formats)."""

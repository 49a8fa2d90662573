"""HDF5 stores: one file per commit, ``shards/<number>.h5``, closed for good before it gets its name.

Datasets have the names of a Zarr store's arrays: ``frames`` (L, F, D) in chunks (1, C, D), ``pooled_mean`` and
``pooled_std`` (U, L, D) float32, ``utterance``, ``frame_start``, ``n_frames``, ``n_samples``, ``state``. (Layout 1:
``frames`` without chunks, ``mean``, ``std``, ``id``.) Features are read and written as byte ranges at the offsets
that HDF5 itself allocated; only the file around them is made with h5py, in memory, since what HDF5 says of a full disk
is no error that a program can catch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import h5py
import numpy as np

from sercache.errors import StoreError
from sercache.objects import mirror
from sercache.stores import stock
from sercache.stores.batch import Item, describe, state_pieces
from sercache.stores.commits import FrameBlock, MeansTable, Record
from sercache.stores.dtypes import ENCODINGS, STORED, width
from sercache.stores.durable import Piece, make_folder, write_parts
from sercache.stores.image import Image
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.ranges import measure_files
from sercache.stores.roster import Registration
from sercache.stores.stock import StockView
from sercache.system import sync_path

FORMER_TABLE = "utterances.csv"
_ALIGNED = {"alignment_threshold": 4096, "alignment_interval": 64}
"""Bytes: what is large begins at a line of the processor's cache, from where it is copied fast."""
_TABLE_COMMITS = 256
"""Commits of a table of utterances."""


def files_of(layout: Layout, claim: str) -> list[Path]:
    """Files that belong to a claim."""
    return [layout.path / _name(int(claim))] if claim.isdecimal() else []


def _name(number: int) -> str:
    return f"shards/{number:08d}.h5"


def make_folders(layout: Layout) -> None:
    """The folder of the files."""
    make_folder(layout.path / "shards")


class Hdf5Shards:
    """Writes a file for each commit of one writer."""

    def __init__(self, layout: Layout, ledger: Ledger, registration: Registration) -> None:
        self._layout, self._registration = layout, registration
        self._written: Path | None = None

    @property
    def room(self) -> tuple[int, int]:
        """Frames and utterances of a commit."""
        return self._layout.sizes.shard_frames, self._layout.sizes.shard_utterances

    def leave_frames(self) -> None:
        """Nothing: each commit has a file of its own."""

    def write(self, items: Sequence[Item], number: int) -> Record:
        """Write the file of one commit under its final name, durably; gives its record."""
        layout, name, temporary = self._layout, _name(number), self._registration.temporary()
        self._written = layout.path / name
        image = Image()
        places = _make_file(image, layout, items)
        parts: list[tuple[int, Iterable[Piece]]] = [(at, [page]) for at, page in image.pages()]
        parts += [
            (places[f"pooled_{what}"], [getattr(item, what) for item in items]) for what in ("mean", "std")
        ]
        blocks = []
        if layout.spec.frames:
            n_frames = sum(item.n_frames for item in items)
            block = FrameBlock(name, places["frames"], n_frames, _stride(layout, n_frames))
            blocks = [block]
            for state in range(len(layout.spec.states)):
                offset = block.offset + state * block.stride * layout.frame_bytes
                parts.append((offset, state_pieces(items, state, 0, n_frames)))
        write_parts(temporary, image.size, parts)
        temporary.replace(layout.path / name)
        sync_path((layout.path / name).parent)
        tables = {what: MeansTable(name, places[f"pooled_{what}"]) for what in ("mean", "std")}
        record = describe(items, Record(number, blocks=blocks, tables=tables), 0)
        return replace(record, files=measure_files(layout, record))

    def keep(self) -> None:
        """The commit that was written last stands."""
        self._written = None

    def take_back(self) -> None:
        """The commit that was written last failed: remove its file."""
        if self._written:
            mirror.drop([self._written])
            self._written.unlink(missing_ok=True)
        self._written = None


def _make_file(image: Image, layout: Layout, items: Sequence[Item]) -> dict[str, int]:
    """Make the file with room for the features; gives each dataset's offset in bytes."""
    spec = layout.spec
    counts = [item.n_frames for item in items]
    pooled = (len(items), len(spec.states), spec.dim)
    # Since version 1.10 HDF5 keeps the chunks of a dataset whose size is fixed and whose space is allocated at
    # once in their order, without gaps (its implicit index), so that they are byte ranges as in a Zarr shard.
    with h5py.File(image, "w", libver=("v110", "latest"), **_ALIGNED) as file:
        file.attrs["encoder"], file.attrs["spec_digest"] = spec.encoder, spec.digest
        ids = [item.id.encode("utf-8", "backslashreplace") for item in items]
        for name, texts in (("utterance", ids), ("state", list(spec.states))):
            file.create_dataset(name, data=texts, dtype=h5py.string_dtype("utf-8"))
        file["n_frames"] = np.array(counts, "<i8")
        file["n_samples"] = np.array([item.n_samples for item in items], "<i8")
        file["frame_start"] = np.array([*accumulate(counts, initial=0)][:-1], "<i8")
        for name in ("pooled_mean", "pooled_std"):
            _allocate(file, name, pooled, np.dtype("<f4"))
        if spec.frames:
            shape = (len(spec.states), sum(counts), width(spec.dim, spec.dtype))
            _allocate(file, "frames", shape, STORED[spec.dtype], _chunk(layout, sum(counts)))
            if spec.dtype in ENCODINGS:
                file["frames"].attrs["encoding"] = ENCODINGS[spec.dtype]
    # Asked of the closed file: nothing moves from here on.
    with h5py.File(image, "r") as file:
        places = {name: file[name].id.get_offset() for name in ("pooled_mean", "pooled_std")}
        if spec.frames:
            places["frames"] = _first_chunk(file["frames"])
        return places


def _chunk(layout: Layout, n_frames: int) -> int:
    """Frames of a chunk of a commit of so many: HDF5 has no chunk larger than a dataset of fixed size."""
    return min(layout.sizes.chunk_frames, n_frames)


def _stride(layout: Layout, n_frames: int) -> int:
    """Rows from one state of a commit to the next: its frames, padded to whole chunks."""
    return -(-n_frames // _chunk(layout, n_frames)) * _chunk(layout, n_frames)


def _first_chunk(frames: h5py.Dataset) -> int:
    """Offset of the first chunk. Raises StoreError where the chunks do not follow one another."""
    n_chunks = frames.id.get_num_chunks()
    first, last = frames.id.get_chunk_info(0), frames.id.get_chunk_info(n_chunks - 1)
    if last.byte_offset != first.byte_offset + (n_chunks - 1) * first.size or any(first.chunk_offset):
        raise StoreError(
            f"HDF5 {h5py.version.hdf5_version} does not keep chunks in their order, expected as HDF5 1.10 does; "
            "choose --format zarr"
        )
    return first.byte_offset


def _allocate(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype, chunk_frames: int = 0
) -> None:
    """A dataset whose bytes exist at once, for ``write_parts`` to write; contiguous without a chunk size."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if chunk_frames:
        layout.set_chunk((1, chunk_frames, shape[2]))
    else:
        layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, layout)


def check_shared(layout: Layout, records: Sequence[Record]) -> list[tuple[Path, str]]:
    """Nothing: a file is of one commit."""
    return []


def refresh(layout: Layout, ledger: Ledger, view: StockView) -> None:
    """Bring ``utterances/<k>.csv`` up to date: where each utterance is, for readers with stock h5py.

    Each is the table of so many commits, so that only those are written anew which have new ones.
    """
    put, places = view.put, view.begin(ledger)
    if places is None:
        numbers = {number for number, record in ledger.records.items() if len(record.ids)}
    else:
        numbers = {record.number for record, _ in places}
    for k in sorted({number // _TABLE_COMMITS for number in numbers} or {0}):
        put(f"utterances/{k:08d}.csv", _table(ledger, k))
    # The one table that earlier versions wrote would be out of date.
    view.remove(FORMER_TABLE)
    stock.note_shown(ledger, put)


def _table(ledger: Ledger, k: int) -> bytes:
    """The table of commits ``k`` times _TABLE_COMMITS and on."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["id", "file", "row", "first_frame", "n_frames", "n_samples", "audio_digest"])
    for number in range(k * _TABLE_COMMITS, (k + 1) * _TABLE_COMMITS):
        record = ledger.records.get(number)
        for row in ledger.rows(number).tolist() if record else ():
            assert record is not None
            first = record.first_frame[row] if len(record.first_frame) else ""
            facts = (record.n_frames[row], record.n_samples[row], record.audio_digest[row])
            rows.writerow([record.ids[row], record.tables["mean"].file, row, first, *facts])
    return table.getvalue().encode("utf-8", "backslashreplace")


shards = Hdf5Shards
"""As every format names it (see sercache.stores.formats)."""

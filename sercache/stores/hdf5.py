"""HDF5 stores: one file per commit, ``shards/<number>.h5``, closed for good before it gets its name.

Datasets: ``frames`` (L, F, D), ``mean`` and ``std`` (U, L, D) float32, and by utterance ``id``,
``frame_start``, ``n_frames``. They are contiguous, so features are read and written as byte ranges at the
offsets that HDF5 itself allocated; only the file around them is made with h5py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from pathlib import Path

import h5py
import numpy as np

from sercache.stores import stock
from sercache.stores.batch import Item, describe, state_pieces
from sercache.stores.commits import Block, Record, Table
from sercache.stores.dtypes import STORED
from sercache.stores.durable import Piece, fill_file, make_folder, sync_folder
from sercache.stores.layout import Layout
from sercache.stores.ledger import Ledger
from sercache.stores.roster import Registration
from sercache.stores.stock import View

FORMER_TABLE = "utterances.csv"
_TABLE_COMMITS = 256
"""Commits of a table of utterances."""


def n_numbers(layout: Layout, n_frames: int) -> int:
    """Shard numbers that a commit takes: a file is as long as it needs to be."""
    return 1


def files_of(layout: Layout, number: int) -> list[Path]:
    """Files that shard ``number`` may have."""
    return [layout.path / _name(number)]


def _name(number: int) -> str:
    return f"shards/{number:08d}.h5"


def make_folders(layout: Layout) -> None:
    """The folder of the files."""
    make_folder(layout.path / "shards")


def write(layout: Layout, items: Sequence[Item], numbers: range, registration: Registration) -> Record:
    """Write the file of one commit under its final name, durably; gives its record, but for ``files``.

    The file is the caller's to remove (``files_of``) when something fails later.
    """
    name, temporary = _name(numbers[-1]), registration.temporary()
    n_frames = sum(item.n_frames for item in items)
    try:
        places = _make_file(temporary, layout, items)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    parts: list[tuple[int, Iterable[Piece]]] = [
        (places[what], [getattr(item, what) for item in items]) for what in ("mean", "std")
    ]
    blocks = []
    if layout.spec.frames:
        blocks = [Block(name, places["frames"], n_frames, n_frames)]
        states = range(len(layout.spec.states))
        parts.append((places["frames"], chain(*(state_pieces(items, s, 0, n_frames) for s in states))))
    fill_file(temporary, parts)
    temporary.replace(layout.path / name)
    sync_folder((layout.path / name).parent)
    tables = {what: Table(name, places[what]) for what in ("mean", "std")}
    return describe(items, Record(numbers[-1], blocks=blocks, tables=tables), 0)


def _make_file(path: Path, layout: Layout, items: Sequence[Item]) -> dict[str, int]:
    """Make the file with room for the features; gives each dataset's offset in bytes."""
    spec = layout.spec
    counts = [item.n_frames for item in items]
    shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {
        what: ((len(items), len(spec.states), spec.dim), np.dtype("<f4")) for what in ("mean", "std")
    }
    if spec.frames:
        shapes["frames"] = ((len(spec.states), sum(counts), spec.dim), STORED[spec.dtype])
    with h5py.File(path, "w", locking=False) as file:  # nobody else knows the name yet
        file.attrs["states"] = list(spec.states)
        file.attrs["encoder"], file.attrs["spec_digest"] = spec.encoder, spec.digest
        ids = [item.id.encode("utf-8", "backslashreplace") for item in items]
        file.create_dataset("id", data=ids, dtype=h5py.string_dtype("utf-8"))
        file["n_frames"] = np.array(counts, "<i8")
        file["frame_start"] = np.array([*accumulate(counts, initial=0)][:-1], "<i8")
        for name, (shape, dtype) in shapes.items():
            _allocate(file, name, shape, dtype)
        if spec.frames and spec.dtype == "bfloat16":
            file["frames"].attrs["encoding"] = "bfloat16 bit patterns"
    # Asked of the closed file: nothing moves from here on.
    with h5py.File(path, "r", locking=False) as file:
        return {name: file[name].id.get_offset() for name in shapes}


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A contiguous dataset whose bytes exist at once and are left for ``fill_file`` to write."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, layout)


def refresh(layout: Layout, ledger: Ledger, view: View) -> None:
    """Bring ``utterances/<k>.csv`` up to date: where each utterance is, for readers with stock h5py.

    Each is the table of so many commits, so that only those are written anew which have new ones.
    """
    put, places = view.put, view.stale(ledger)
    numbers = ledger.records if places is None else {record.number for record, _ in places}
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

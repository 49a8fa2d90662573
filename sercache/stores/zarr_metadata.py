"""Metadata of Zarr stores (``zarr.json``) and index arrays, for stock readers only.

All of it follows from the commit records and is refreshed when a writer opens or closes the store, as far as
commits are new; sercache itself never reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sercache.stores import stock
from sercache.stores.commits import Record
from sercache.stores.dtypes import ENCODINGS, STORED, fill_value, width
from sercache.stores.layout import Layout, to_json
from sercache.stores.ledger import Ledger, RecordRow
from sercache.stores.stock import StockView

_INDEX_ROWS = 4096
"""Rows of an index array's chunk: fixed, so that an old shape and new chunks never contradict each other."""
_NUMBERS = ("frame_start", "n_frames", "n_samples")
"""Index arrays of numbers."""
Span = tuple[int, int, Record]
"""First row and the row after the last of the pooled arrays that a record takes."""
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_ABOUT = (
    "features of frozen speech encoders; utterance slots with n_frames 0 and frames that are NaN are unused"
)


def refresh(layout: Layout, ledger: Ledger, view: StockView) -> None:
    """Bring metadata and index arrays up to the records; call under the store's short lock.

    Only chunks of the index arrays are written that hold rows of commits which the view does not show yet.
    """
    put = view.put
    spans = _spans(layout, ledger)
    n_slots = max((stop for _, stop, _ in spans), default=0)
    places = view.begin(ledger)
    # A chunk in which no commit has a row is absent, and reads as unused.
    chunks = _used_chunks(spans) if places is None else _chunks(layout, places)
    for chunk in sorted(chunks):
        for name, column in _columns(ledger, spans, chunk).items():
            put(f"{name}/c.{chunk}", _index_chunk(column))
    put("state/c.0", _index_chunk(list(layout.spec.states)))
    for name, data in metadata(layout, ledger, n_slots).items():
        put(name, data)
    stock.note_shown(ledger, put)


def metadata(layout: Layout, ledger: Ledger, n_slots: int) -> dict[str, bytes]:
    """The ``zarr.json`` files, by name; ``n_slots`` rows are used of the pooled arrays."""
    arrays = _feature_arrays(layout, ledger, n_slots)
    arrays["state"] = _index_array(len(layout.spec.states), "state", "state")
    for name in ("utterance", *_NUMBERS):
        arrays[name] = _index_array(n_slots, name, "utterance")
    files = {f"{name}/zarr.json": _json(array) for name, array in arrays.items()}
    # A group, so that listing the store does not stumble over a folder that is not Zarr's.
    files["ledger/zarr.json"] = _json(_group({"about": "sercache's own records, no arrays"}))
    files["zarr.json"] = _json(_root(layout, arrays))
    return files


def _json(metadata: dict[str, Any]) -> bytes:
    return json.dumps(metadata, indent=1).encode()


def _group(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _root(layout: Layout, arrays: dict[str, Any]) -> dict[str, Any]:
    """The group, with its members' metadata inline so that readers need not list the folder."""
    group = _group({"about": _ABOUT, "made_by": f"sercache {layout.made_by}", "store": to_json(layout)})
    members = arrays | {"ledger": _group({})}
    return group | {
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members}
    }


def _spans(layout: Layout, ledger: Ledger) -> list[Span]:
    """Rows of the pooled arrays that each record takes, in the order of the records."""
    return [
        (first, first + len(record.ids), record)
        for _, record in sorted(ledger.records.items())
        if len(record.ids)
        for first in [_first_slot(layout, record)]
    ]


def _first_slot(layout: Layout, record: Record) -> int:
    """Row of the pooled arrays of a record's first utterance."""
    table = record.tables["mean"]
    before = table.offset // (len(layout.spec.states) * layout.spec.dim * 4)
    return slot_number(table.file) * layout.sizes.shard_utterances + before


def slot_number(file: str) -> int:
    """Number of a shard along the axis that grows, from its file's name."""
    parts = file.rpartition("/")[2].split(".")
    return max(int(part) for part in parts[1:])


def _used_chunks(spans: Iterable[Span]) -> set[int]:
    """Chunks of the index arrays in which commits have rows."""
    return {
        chunk
        for first, stop, _ in spans
        for chunk in range(first // _INDEX_ROWS, (stop - 1) // _INDEX_ROWS + 1)
    }


def _chunks(layout: Layout, places: Iterable[RecordRow]) -> set[int]:
    """Chunks of the index arrays in which these places lie."""
    return {(_first_slot(layout, record) + row) // _INDEX_ROWS for record, row in places}


def _feature_arrays(layout: Layout, ledger: Ledger, n_slots: int) -> dict[str, dict[str, Any]]:
    spec, sizes = layout.spec, layout.sizes
    n_states = len(spec.states)
    arrays = {}
    if spec.frames:
        n_values = width(spec.dim, spec.dtype)
        used = [r for r in ledger.records.values() if len(r.first_frame)]
        ends = [int(r.first_frame[-1] + r.n_frames[-1]) for r in used]
        frames = _sharded(
            (n_states, max(ends, default=0), n_values),
            (n_states, sizes.shard_frames, n_values),
            (1, sizes.chunk_frames, n_values),
            ("state", "frame", "dim" if n_values == spec.dim else "value"),
        )
        frames |= {"data_type": STORED[spec.dtype].name, "fill_value": "NaN"}
        if spec.dtype in ENCODINGS:
            none = int(fill_value(spec.dtype))
            frames |= {"fill_value": none, "attributes": {"encoding": ENCODINGS[spec.dtype]}}
        arrays["frames"] = frames
    for what in ("pooled_mean", "pooled_std"):
        arrays[what] = _sharded(
            (n_slots, n_states, spec.dim),
            (sizes.shard_utterances, n_states, spec.dim),
            (1, n_states, spec.dim),
            ("utterance", "state", "dim"),
        )
    return arrays


def _sharded(
    shape: Sequence[int], shard: Sequence[int], chunk: Sequence[int], dimensions: Sequence[str]
) -> dict[str, Any]:
    sharding = {
        "chunk_shape": list(chunk),
        "codecs": [_LITTLE],
        "index_codecs": [_LITTLE, {"name": "crc32c"}],
        "index_location": "end",
    }
    array = _array(shape, shard, dimensions)
    return array | {"codecs": [{"name": "sharding_indexed", "configuration": sharding}]}


def _array(shape: Sequence[int], chunk: Sequence[int], dimensions: Sequence[str]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": "NaN",
        "codecs": [_LITTLE],
        "attributes": {},
        "dimension_names": list(dimensions),
    }


def _columns(ledger: Ledger, spans: Sequence[Span], chunk: int) -> dict[str, list[str] | np.ndarray]:
    """One chunk of each index array of utterance slots: id, first frame, frames and samples; unused: "" and 0."""
    ids, numbers = [""] * _INDEX_ROWS, np.zeros((len(_NUMBERS), _INDEX_ROWS), "<i8")
    begin, end = chunk * _INDEX_ROWS, (chunk + 1) * _INDEX_ROWS
    for first, stop, record in spans:
        if stop <= begin or end <= first:
            continue
        rows = ledger.rows(record.number)
        rows = rows[(first + rows >= begin) & (first + rows < end)]
        for row in rows.tolist():
            ids[first + row - begin] = record.ids[row]
        at = first + rows - begin
        numbers[0, at] = np.asarray(record.first_frame)[rows] if len(record.first_frame) else 0
        numbers[1, at], numbers[2, at] = np.asarray(record.n_frames)[rows], np.asarray(record.n_samples)[rows]
    return {"utterance": ids, **dict(zip(_NUMBERS, numbers, strict=True))}


def _index_array(n_rows: int, name: str, dimension: str) -> dict[str, Any]:
    array = _array([n_rows], [_INDEX_ROWS], [dimension])
    if name in _NUMBERS:
        return array | {"data_type": "int64", "fill_value": 0}
    return array | {"data_type": "string", "fill_value": "", "codecs": [{"name": "vlen-utf8"}]}


def _index_chunk(rows: list[str] | np.ndarray) -> bytes:
    """One whole chunk of an index array, padded with 0 or empty strings."""
    if isinstance(rows, np.ndarray):
        return np.pad(rows, (0, _INDEX_ROWS - len(rows))).tobytes()
    # vlen-utf8: the number of strings, then each one's length in bytes and its bytes; of an empty one four zeros.
    n_used = max((k for k, row in enumerate(rows, 1) if row), default=0)
    texts = [row.encode("utf-8", "backslashreplace") for row in rows[:n_used]]
    padding = bytes(4 * (_INDEX_ROWS - n_used))
    head = _INDEX_ROWS.to_bytes(4, "little")
    return b"".join([head, *(len(t).to_bytes(4, "little") + t for t in texts), padding])

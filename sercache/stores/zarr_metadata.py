"""Metadata of Zarr stores (``zarr.json``) and index arrays, for stock readers only.

All of it follows from the commit records and is refreshed when a writer opens or closes the store;
sercache itself never reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import sercache
from sercache.stores.commits import Ledger
from sercache.stores.dtypes import STORED
from sercache.stores.durable import make_folder, replace_file
from sercache.stores.layout import Layout, to_json
from sercache.stores.roster import Registration

_INDEX_ROWS = 4096
"""Rows of an index array's chunk: fixed, so that an old shape and new chunks never contradict each other."""
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_BFLOAT16 = "bfloat16 bit patterns; as float32: (value.astype('uint32') << 16).view('float32')"
_ABOUT = (
    "features of frozen speech encoders; utterance slots with n_frames 0 and frames that are NaN are unused"
)


def refresh(layout: Layout, ledger: Ledger, registration: Registration) -> None:
    """Rewrite metadata and index arrays from the records; call under the store's short lock."""

    def put(name: str, data: bytes) -> None:
        make_folder((layout.path / name).parent)
        replace_file(layout.path / name, registration.temporary(), data)

    n_slots = _n_slots(layout, ledger)
    arrays = _feature_arrays(layout, ledger, n_slots)
    for name, column in _columns(layout, ledger, n_slots).items():
        arrays[name] = _index_array(column, "state" if name == "state" else "utterance")
        for k in range(math.ceil(len(column) / _INDEX_ROWS)):
            put(f"{name}/c.{k}", _index_chunk(column[k * _INDEX_ROWS : (k + 1) * _INDEX_ROWS]))
    for name, array in arrays.items():
        put(f"{name}/zarr.json", _json(array))
    # A group, so that listing the store does not stumble over a folder that is not Zarr's.
    put("ledger/zarr.json", _json(_group({"about": "sercache's own records, no arrays"})))
    put("zarr.json", _json(_root(layout, arrays)))


def _json(metadata: dict[str, Any]) -> bytes:
    return json.dumps(metadata, indent=1).encode()


def _group(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _root(layout: Layout, arrays: dict[str, Any]) -> dict[str, Any]:
    """The group, with its members' metadata inline so that readers need not list the folder."""
    group = _group({"about": _ABOUT, "made_by": f"sercache {sercache.__version__}", "store": to_json(layout)})
    members = arrays | {"ledger": _group({})}
    return group | {
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members}
    }


def _n_slots(layout: Layout, ledger: Ledger) -> int:
    """Rows of the pooled arrays up to the last that is used."""
    used = [r.number * layout.sizes.shard_utterances + len(r.ids) for r in ledger.records.values() if r.ids]
    return max(used, default=0)


def _feature_arrays(layout: Layout, ledger: Ledger, n_slots: int) -> dict[str, dict[str, Any]]:
    spec, sizes = layout.spec, layout.sizes
    n_states = len(spec.states)
    arrays = {}
    if spec.frames:
        ends = [r.first_frame[-1] + r.n_frames[-1] for r in ledger.records.values() if r.first_frame]
        frames = _sharded(
            (n_states, max(ends, default=0), spec.dim),
            (n_states, sizes.shard_frames, spec.dim),
            (1, sizes.chunk_frames, spec.dim),
            ("state", "frame", "dim"),
        )
        frames |= {"data_type": STORED[spec.dtype].name, "fill_value": "NaN"}
        if spec.dtype == "bfloat16":
            frames |= {"fill_value": 0x7FC0, "attributes": {"encoding": _BFLOAT16}}
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


def _columns(layout: Layout, ledger: Ledger, n_slots: int) -> dict[str, list[str] | np.ndarray]:
    """Index arrays: names of the states; id, first frame, frames and samples of each utterance slot."""
    ids, columns = [""] * n_slots, np.zeros((3, n_slots), "<i8")
    for record, row in ledger.visible().values():
        slot = record.number * layout.sizes.shard_utterances + row
        ids[slot] = record.ids[row]
        first = record.first_frame[row] if record.first_frame else 0
        columns[:, slot] = first, record.n_frames[row], record.n_samples[row]
    return {
        "state": list(layout.spec.states),
        "utterance": ids,
        "frame_start": columns[0],
        "n_frames": columns[1],
        "n_samples": columns[2],
    }


def _index_array(column: list[str] | np.ndarray, dimension: str) -> dict[str, Any]:
    array = _array([len(column)], [_INDEX_ROWS], [dimension])
    if isinstance(column, np.ndarray):
        return array | {"data_type": "int64", "fill_value": 0}
    return array | {"data_type": "string", "fill_value": "", "codecs": [{"name": "vlen-utf8"}]}


def _index_chunk(rows: list[str] | np.ndarray) -> bytes:
    """One whole chunk of an index array, padded with 0 or empty strings."""
    n_padding = _INDEX_ROWS - len(rows)
    if isinstance(rows, np.ndarray):
        return np.pad(rows, (0, n_padding)).tobytes()
    # vlen-utf8: the number of strings, then each one's length in bytes and its bytes.
    texts = [row.encode("utf-8", "backslashreplace") for row in [*rows, *[""] * n_padding]]
    return b"".join([len(texts).to_bytes(4, "little"), *(len(t).to_bytes(4, "little") + t for t in texts)])

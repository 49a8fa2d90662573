"""A store as files that other people's loaders read: NumPy arrays, tars of webdataset, Parquet, Zarr in CF form."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np

from sercache import clips, extraction, files, stores, tables
from sercache.datasets import Corpus
from sercache.errors import DiskSpaceError, SettingsError
from sercache.experiment import cf_files, corpus_table
from sercache.progress import bar, used, warn
from sercache.states import select
from sercache.stores import FeatureStore
from sercache.units import size

if TYPE_CHECKING:
    import pyarrow

Form = Literal["npy", "webdataset", "parquet", "cf"]
FORMS: tuple[str, ...] = get_args(Form)

_SPARE_BYTES = 2**26
_ROW_BYTES = 2048
"""Of an utterance beside its features: what is known of it, and the heads of its files."""
_FIELDS = ("speaker", "group", "partition", "language", "sex")


@dataclasses.dataclass(frozen=True, eq=False)
class Chosen:
    """What is written of a store."""

    store: FeatureStore
    states: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    """An entry each: its id, lengths and labels, in the order of the store's commits."""
    shard_bytes: int
    """Of features, in a file of a form that has several."""

    @property
    def dtype(self) -> np.dtype:
        """Of the frames: float16 as stored, else float32."""
        return np.dtype("<f2" if self.store.spec.dtype == "float16" else "<f4")

    @property
    def n_bytes(self) -> int:
        """Of the features."""
        return sum(self.bytes_of(row) for row in self.rows)

    def bytes_of(self, row: Mapping[str, Any]) -> int:
        """Of the features of one entry."""
        values = len(self.states) * self.store.spec.dim
        frames = row["n_frames"] * values * self.dtype.itemsize if self.store.spec.frames else 0
        return int(frames + 2 * 4 * values)

    def shards(self) -> Iterator[list[Mapping[str, Any]]]:
        """Entries, as many at a time as fit a shard; at least one."""
        some: list[Mapping[str, Any]] = []
        filled = 0
        for row in self.rows:
            if some and filled + self.bytes_of(row) > self.shard_bytes:
                yield some
                some, filled = [], 0
            some.append(row)
            filled += self.bytes_of(row)
        if some:
            yield some


def write(folder: Path, form: Form, out: Path, *, states: str, shard_bytes: int) -> Path:
    """Write a store's features and labels to ``out`` in a form; it appears complete or not at all. Gives ``out``.

    Raises SettingsError where ``out`` exists or nothing is stored, MissingExtraError, DiskSpaceError, StoreError.
    """
    if out.exists():
        raise SettingsError(f"{out} exists already; choose another folder with --out")
    if form == "parquet":
        tables.arrow()
    store = stores.open(folder)
    chosen = _chosen(store, states, shard_bytes)
    needed, free = chosen.n_bytes + _ROW_BYTES * len(chosen.rows), extraction.free_bytes(out)
    used("store", str(folder))
    used(
        "to", f"{out}  ({form}, {len(chosen.rows)} entries, states {' '.join(chosen.states)}, {size(needed)})"
    )
    if needed + _SPARE_BYTES > free:
        raise DiskSpaceError(f"{out} needs {size(needed + _SPARE_BYTES)} and its disk has {size(free)} free")
    writers: Mapping[str, Callable[..., None]] = {
        "npy": _npy,
        "webdataset": _tars,
        "parquet": _parquet,
        "cf": cf_files.write,
    }
    with (
        files.new_folder(out) as temporary,
        files.write_faults_named(out, "choose another folder with --out"),
        bar(desc=f"writing {form}", total=chosen.n_bytes, unit="B", unit_scale=True) as done,
    ):
        writers[form](chosen, temporary, done.update)
        files.write_json(temporary / "about.json", _about(chosen, form))
    used("written", str(out))
    return out


def _chosen(store: FeatureStore, states: str, shard_bytes: int) -> Chosen:
    spec, ids = store.spec, store.ids()
    if not ids:
        raise SettingsError(f"{store.path} holds nothing yet; there is nothing to write")
    names = select(spec.states, states)
    corpus = corpus_table.read(store.path) if stores.has_corpus(store.path) else None
    if corpus is None:
        warn(f"{store.path} has no table of its corpus: features are written, labels are not")
    rule, entries, known = clips.parse(spec.clip), store.entries(), _known(corpus)
    rows = []
    for id in ids:
        entry, utterance = entries[id], clips.utterance_id(id, rule)
        lengths = {"n_frames": entry.n_frames, "n_samples": entry.n_samples}
        rows.append({"id": id, "utterance": utterance, **lengths, **known.get(utterance, {})})
    return Chosen(store, tuple(names), tuple(rows), shard_bytes)


def _known(corpus: Corpus | None) -> dict[str, dict[str, Any]]:
    """By utterance, what the table of the corpus says of it: a class for each task too, where it has one."""
    if corpus is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for u in corpus.utterances:
        about = {"label": u.raw_label, **{name: getattr(u, name) for name in _FIELDS}}
        about |= {f"attribute:{name}": value for name, value in (u.attributes or {}).items()}
        about |= {f"share:{name}": value for name, value in (u.soft_label or {}).items()}
        found[u.id] = {name: value for name, value in about.items() if value != ""}
    for task in corpus.info.tasks:
        for id, name in corpus.labels(task).items():
            found[id][f"class:{task}"] = name
    return found


def _about(chosen: Chosen, form: str) -> dict[str, Any]:
    spec = chosen.store.spec
    return {
        "form": form,
        "written_by": "sercache",
        "states": list(chosen.states),
        "dim": spec.dim,
        "frames_per_second": None if spec.is_text else spec.sample_rate / spec.hop,
        "frames": f"(states, frames, dim) {chosen.dtype.name}" if spec.frames else None,
        "means": "(states, dim) float32 over time",
        "stds": "(states, dim) float32, population standard deviation over time",
        "store": spec.to_json(),
        "digest": spec.digest,
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _npy(chosen: Chosen, out: Path, done: Callable[[int], object]) -> None:
    """``frames.npy`` (L, F, D), all entries' frames one after another, ``means.npy`` and ``stds.npy`` (U, L, D)."""
    store, n_states, dim = chosen.store, len(chosen.states), chosen.store.spec.dim
    n_frames = sum(row["n_frames"] for row in chosen.rows)
    first, index = 0, []
    columns = _columns(chosen.rows)
    with contextlib.ExitStack() as opened:
        pooled = [
            opened.enter_context(
                _array(out / f"{name}.npy", np.dtype("<f4"), (len(chosen.rows), n_states, dim))
            )
            for name in ("means", "stds")
        ]
        if store.spec.frames:
            frames = opened.enter_context(_array(out / "frames.npy", chosen.dtype, (n_states, n_frames, dim)))
            start = frames.tell()
        for place, row in enumerate(chosen.rows):
            for file, one in zip(pooled, _pooled(chosen, row), strict=True):
                file.write(one.astype("<f4").tobytes())
            if store.spec.frames:
                for number, state in enumerate(store.read(row["id"], chosen.states)):
                    frames.seek(start + (number * n_frames + first) * dim * chosen.dtype.itemsize)
                    frames.write(state.astype(chosen.dtype).tobytes())
            index.append([place, first, *(row.get(name, "") for name in columns)])
            first += row["n_frames"]
            done(chosen.bytes_of(row))
    files.write_csv(out / "index.csv", [["row", "first_frame", *columns], *index])


def _array(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> BinaryIO:
    """A file that begins as NumPy's of an array, open for its values.

    They are written, not mapped: a disk that fills under a map ends the process (SIGBUS) without a word.
    """
    file = path.open("wb")
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    return file


def _pooled(chosen: Chosen, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (L, D) of one entry."""
    mean, std = (chosen.store.pooled([row["id"]], chosen.states, what)[0] for what in ("mean", "std"))
    return mean, std


def _tars(chosen: Chosen, out: Path, done: Callable[[int], object]) -> None:
    """``shard-000000.tar`` …, of each entry ``<number>.json``, ``.means.npy``, ``.stds.npy`` and ``.frames.npy``.

    Numbers are keys, as webdataset takes what follows the first dot of a name for its kind and ids hold dots.
    """
    number = 0
    for k, rows in enumerate(chosen.shards()):
        with tarfile.open(out / f"shard-{k:06d}.tar", "w") as tar:
            for row in rows:
                mean, std = _pooled(chosen, row)
                arrays = {"means": mean, "stds": std}
                if chosen.store.spec.frames:
                    arrays["frames"] = chosen.store.read(row["id"], chosen.states)
                _add(
                    tar,
                    f"{number:09d}.json",
                    json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace"),
                )
                for name, array in arrays.items():
                    data = io.BytesIO()
                    np.lib.format.write_array(data, np.ascontiguousarray(array))
                    _add(tar, f"{number:09d}.{name}.npy", data.getvalue())
                number += 1
                done(chosen.bytes_of(row))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Of no owner and no time, so that equal features are equal files."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))


def _parquet(chosen: Chosen, out: Path, done: Callable[[int], object]) -> None:
    """``shard-00000.parquet`` …, a row an entry: what is known of it, and its arrays laid out flat in C order."""
    pa, pq = tables.arrow()
    columns = _columns(chosen.rows)
    kinds = {name: _kind(pa, [row.get(name) for row in chosen.rows]) for name in columns}
    value = pa.float16() if chosen.dtype.itemsize == 2 else pa.float32()
    fields = [pa.field(name, kind) for name, kind in kinds.items()]
    fields += [pa.field(name, pa.list_(pa.float32())) for name in ("means", "stds")]
    fields += [pa.field("frames", pa.large_list(value))] if chosen.store.spec.frames else []
    about = json.dumps(_about(chosen, "parquet"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    schema = pa.schema(fields, metadata={"sercache": about})
    for k, rows in enumerate(chosen.shards()):
        with pq.ParquetWriter(out / f"shard-{k:05d}.parquet", schema) as writer:
            for row in rows:
                mean, std = _pooled(chosen, row)
                arrays = [pa.array([row.get(name)], kinds[name]) for name in columns]
                arrays += [_flat(pa, each, large=False) for each in (mean, std)]
                if chosen.store.spec.frames:
                    arrays.append(_flat(pa, chosen.store.read(row["id"], chosen.states), large=True))
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                done(chosen.bytes_of(row))


def _flat(pa: Any, array: np.ndarray, *, large: bool) -> Any:
    """An array as the one value of a column of lists."""
    values = pa.array(np.ascontiguousarray(array).reshape(-1))
    kind = pa.LargeListArray if large else pa.ListArray
    return kind.from_arrays(pa.array([0, len(values)], pa.int64() if large else pa.int32()), values)


def _kind(pa: Any, values: Sequence[Any]) -> pyarrow.DataType:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int) for value in known):
        return pa.int64()
    return pa.float64() if all(isinstance(value, int | float) for value in known) else pa.string()

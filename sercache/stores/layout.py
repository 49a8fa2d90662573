"""Where a store lies, what its ``spec.json`` says, and how large its shards are.

A store is a folder. What sercache needs for itself is in its subfolder ``ledger/`` (``spec.json``,
``commits/``, ``claims/``, ``writers/``), so that the rest is nothing but the format that it is named for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import sercache
from sercache import advice, files
from sercache.catalog import file_name, unknown
from sercache.errors import DamagedStoreError, SercacheError, StoreError, UnknownNameError
from sercache.objects import mirror
from sercache.stores import checked_json, schema
from sercache.stores.dtypes import frame_bytes
from sercache.stores.spec import FeatureSpec

Format = Literal["zarr", "hdf5"]
FORMATS: tuple[str, ...] = get_args(Format)

LAYOUT = 2
"""Of stores that are made now. Layout 1, whose commits take a shard each, is read, and continued as layout 2."""
_MOST_POOLED_BYTES = 32 * 2**20
_MOST_UTTERANCES = 4096
_SHARD_BYTES = 128 * 2**20
_CHUNK_FRAMES = 256
_MOST_FRAMES = 2**17
"""Frames of a shard where a frame is tiny: 256 utterances rarely fill more."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a store is cut: fixed when it is made."""

    shard_frames: int
    """Frames S of a shard, a multiple of chunk_frames."""
    chunk_frames: int
    """Frames of an inner chunk, what stock Zarr readers take at once."""
    shard_utterances: int
    """Utterances P of a shard of means, and of a commit, at most."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A store's folder and what is fixed about it."""

    path: Path
    spec: FeatureSpec
    format: str
    sizes: Sizes
    made_by: str = sercache.__version__
    """Version of sercache that made it, for what is recomputed later."""
    version: int = LAYOUT
    """As ``spec.json`` says it."""

    @property
    def ledger(self) -> Path:
        """Folder of what sercache keeps for itself."""
        return self.path / "ledger"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame (D,) of one state."""
        return frame_bytes(self.spec)


def choose_sizes(
    spec: FeatureSpec,
    *,
    shard_bytes: int | None = None,
    shard_frames: int | None = None,
    chunk_frames: int | None = None,
    shard_utterances: int | None = None,
) -> Sizes:
    """Sizes for a store of ``spec``: shards of about 128 MiB; what is given stands. Raises StoreError."""
    chunk = chunk_frames or _CHUNK_FRAMES
    per_frame = len(spec.states) * frame_bytes(spec)
    fitting = min((shard_bytes or _SHARD_BYTES) // per_frame, _MOST_FRAMES)
    frames = shard_frames or max(chunk, fitting // chunk * chunk)
    row_bytes = len(spec.states) * spec.dim * 4
    utterances = shard_utterances or min(_MOST_UTTERANCES, max(16, _MOST_POOLED_BYTES // row_bytes))
    if min(chunk, frames, utterances) < 1 or frames % chunk:
        raise StoreError(
            f"shard_frames must be a multiple of chunk_frames and all sizes above 0, got {frames}, {chunk} and "
            f"{utterances} utterances"
        )
    return Sizes(frames, chunk, utterances)


def store_path(cache: Path, spec: FeatureSpec, format: str = "zarr") -> Path:
    """Folder of the store of ``spec`` below ``cache``: ``<corpus>/<encoder>-<digest>``, HDF5 with its suffix."""
    check_format(format)
    suffix = "" if format == "zarr" else f".{format}"
    return cache / file_name(spec.corpus) / f"{_file_safe(spec.encoder)}-{spec.digest}{suffix}"


def _file_safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "unnamed"


def check_format(format: str) -> None:
    """Raise UnknownNameError unless ``format`` is one."""
    if format not in FORMATS:
        raise UnknownNameError(unknown("store format", format, FORMATS))


def spec_path(path: Path) -> Path:
    """The file that makes a folder a store."""
    return path / "ledger" / "spec.json"


def to_json(layout: Layout) -> dict[str, Any]:
    """What ``spec.json`` holds."""
    return {
        "layout": layout.version,
        "sercache": layout.made_by,
        "format": layout.format,
        "sizes": asdict(layout.sizes),
        "digest": layout.spec.digest,
        "spec": layout.spec.to_json(),
    }


def load(path: Path, *, fresh: bool = False) -> Layout:
    """The layout of the store at ``path``; of one in an object store, as it was some seconds ago unless ``fresh``.

    Raises StoreError where there is none or a newer sercache made it, DamagedStoreError where
    its ``spec.json`` is not what was written.
    """
    mirror.arrive(path, fresh=fresh)
    return _load(path)


def _load(path: Path) -> Layout:
    file = spec_path(path)
    try:
        remedy = f"restore it, or remove {path} and extract again"
        record = checked_json.load(file, remedy)
        if record["layout"] not in range(1, LAYOUT + 1):
            shown = str(record["layout"])[:20]
            raise StoreError(
                f"{path} has store layout {shown}, this sercache reads up to {LAYOUT}; update sercache"
            )
        schema.check_spec(record)
        if record["format"] not in FORMATS:
            raise schema.SchemaError(f"its format is none of {', '.join(FORMATS)}")
        _check_folders(path)
        spec, sizes = FeatureSpec.from_json(record["spec"]), Sizes(**record["sizes"])
        return Layout(path, spec, record["format"], sizes, str(record["sercache"]), record["layout"])
    except (FileNotFoundError, NotADirectoryError) as fault:
        if _is_part(path):
            raise DamagedStoreError(f"{path} holds a part of a store: {file} is missing; {remedy}") from fault
        raise StoreError(
            f"{path} is not a feature store ({file} is missing); `{advice.command('info')}` lists those of the cache"
        ) from fault
    except OSError as fault:
        raise StoreError(f"{file} cannot be read: {fault.strerror}; see who may read it") from fault
    except schema.SchemaError as fault:
        raise DamagedStoreError(f"{file} is not what sercache writes: {fault}; {remedy}") from fault
    except (KeyError, TypeError) as fault:
        raise StoreError(f"{file} is of another version of sercache ({fault}); update sercache") from fault


def _check_folders(path: Path) -> None:
    """Raise DamagedStoreError where a folder of features or records leads out of the store."""
    for name in (*schema.FOLDERS, "ledger", "ledger/commits"):
        folder = path / name
        if folder.is_symlink() and not folder.resolve().is_relative_to(path.resolve()):
            raise DamagedStoreError(
                f"{folder} is a symbolic link out of its store; put the folder itself in its place"
            )


def find(cache: Path) -> list[tuple[Path, FeatureSpec]]:
    """Stores below ``cache`` (two folders deep), by path; those without a spec that can be read are passed over."""
    return [(path, found) for path, found in _with_spec(cache) if isinstance(found, FeatureSpec)]


@contextmanager
def _listing(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise StoreError(str(files.read_fault(cache, fault))) from fault


def find_all(cache: Path) -> list[tuple[Path, FeatureSpec | SercacheError]]:
    """Store folders below ``cache`` (two folders deep), by path, with their specs, or why these cannot be read.

    Those whose ``spec.json`` is gone, as a copy that broke off leaves them, are told by what else they hold. Raises
    StoreError where the folders cannot be listed.
    """
    mirror.arrive_cache(cache)
    found = _with_spec(cache)
    with _listing(cache):
        others = [path for deep in ("*", "*/*") for path in cache.glob(deep) if not path.name.startswith(".")]
    for path in others:
        try:
            _check_listed(path)
            if not spec_path(path).exists() and _is_part(path):
                found += _loaded([path])
        except OSError as fault:
            found.append((path, StoreError(str(files.read_fault(path, fault)))))
    return sorted(found, key=lambda each: each[0])


def _check_listed(folder: Path) -> None:
    """Raises OSError for a folder whose names the system does not give: a pattern finds nothing in it, silently."""
    if folder.is_dir():
        os.scandir(folder).close()


def _is_part(path: Path) -> bool:
    """Whether a folder without a ``spec.json`` holds commits, or a Zarr group that sercache made."""
    if any((path / "ledger/commits").glob("*.json")):
        return True
    try:
        made_by = json.loads((path / "zarr.json").read_bytes())["attributes"]["made_by"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(made_by).startswith("sercache")


def _with_spec(cache: Path) -> list[tuple[Path, FeatureSpec | SercacheError]]:
    if cache.exists() and not cache.is_dir():
        raise StoreError(f"{cache} is no folder that stores could lie in; choose another --cache")
    with _listing(cache):
        _check_listed(cache)
        paths = [file.parents[1] for deep in ("*", "*/*") for file in cache.glob(f"{deep}/ledger/spec.json")]
    paths = [
        path for path in paths if not path.name.startswith(".")
    ]  # on their way to be stores, or to be gone
    return _loaded(sorted(paths))


def _loaded(paths: Iterable[Path]) -> list[tuple[Path, FeatureSpec | SercacheError]]:
    found: list[tuple[Path, FeatureSpec | SercacheError]] = []
    for path in paths:
        try:
            found.append((path, _load(path).spec))
        except SercacheError as fault:
            found.append((path, fault))
    return found

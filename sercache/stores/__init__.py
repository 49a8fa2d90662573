"""Feature stores: what stage one writes and stage two reads.

``create`` gives a FeatureWriter, ``open`` a FeatureStore; ``tests/test_stores.py`` runs one suite over
every format. docs/decisions/0001-store-layout.md says how a store lies on disk and why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache import advice, files, objects, settings
from sercache.errors import StoreError
from sercache.objects import mirror
from sercache.stores import layout as _layout
from sercache.stores.contract import Copied, Damage, Entry, FeatureStore, FeatureWriter
from sercache.stores.dtypes import FLOAT16_LIMIT, decode_frames, encode_frames, frame_bytes
from sercache.stores.layout import FORMATS, find, find_all, store_path
from sercache.stores.spec import DType, FeatureSpec
from sercache.stores.use import last_used, note_use

__all__ = [
    "FLOAT16_LIMIT",
    "FORMATS",
    "Copied",
    "DType",
    "Damage",
    "Entry",
    "FeatureSpec",
    "FeatureStore",
    "FeatureWriter",
    "abandoned",
    "check_unused",
    "clear_up",
    "conflicts",
    "copy",
    "corpus_path",
    "create",
    "decode_frames",
    "drop",
    "drop_note",
    "dropped",
    "encode_frames",
    "exists",
    "find",
    "find_all",
    "frame_bytes",
    "has_corpus",
    "last_used",
    "note_use",
    "notes_folder",
    "open",
    "read_corpus",
    "read_format",
    "read_note",
    "read_spec",
    "remove",
    "store_path",
    "temporaries",
    "verify",
    "write_corpus",
    "write_note",
]


def create(
    path: Path,
    spec: FeatureSpec,
    format: str = "zarr",
    *,
    shard_bytes: int | None = None,
    shard_frames: int | None = None,
    chunk_frames: int | None = None,
    shard_utterances: int | None = None,
) -> FeatureWriter:
    """A writer for the store folder ``path``, made or continued; what dead writers left is cleared up.

    Sizes are for new stores (about 128 MiB a shard); an existing store keeps its own. Raises StoreError
    where ``path`` holds something else, another spec, format or sizes; DamagedStoreError; DiskSpaceError.
    """
    from sercache.stores.making import make_or_continue
    from sercache.stores.writer import Writer

    sizes = {
        "shard_bytes": shard_bytes,
        "shard_frames": shard_frames,
        "chunk_frames": chunk_frames,
        "shard_utterances": shard_utterances,
    }
    return Writer(make_or_continue(path, spec, format, sizes))


def open(path: str | os.PathLike[str]) -> FeatureStore:
    """The store in the folder ``path``, of either format, to read.

    Raises StoreError where there is none, DamagedStoreError where its spec or a commit record is damaged.
    """
    from sercache.stores.reader import StoreReader

    return StoreReader(settings.expanded(path))


def exists(path: Path) -> bool:
    """Whether there is a store at ``path``."""
    mirror.arrive(path)
    return _layout.spec_path(path).is_file()


def read_spec(path: Path) -> FeatureSpec:
    """The spec of the store at ``path``, whatever the state of its commits. Raises as ``open`` does."""
    return _layout.load(path).spec


def read_format(path: Path) -> str:
    """``zarr`` or ``hdf5``. Raises as ``open`` does."""
    return _layout.load(path).format


def notes_folder(path: Path) -> Path:
    """Where small files about a store belong: stock readers of its format do not look there."""
    return path / "ledger"


def write_note(path: Path, name: str, value: Mapping[str, Any]) -> None:
    """Keep a small record about the store at ``path``, durably, with a checksum. Raises DiskSpaceError, FileError."""
    from sercache.stores import checked_json

    data = checked_json.dump(dict(value), indent=1)
    mirror.send(notes_folder(path) / name, data)
    files.write_bytes(notes_folder(path) / name, data)


def drop_note(path: Path, name: str) -> None:
    """Let a small record about the store at ``path`` be gone, if it is there. Raises StoreError, OSError."""
    mirror.drop([notes_folder(path) / name])
    (notes_folder(path) / name).unlink(missing_ok=True)


def read_note(path: Path, name: str) -> dict[str, Any]:
    """What ``write_note`` wrote, of earlier versions too; empty where nothing was. Raises DamagedStoreError."""
    from sercache.stores import checked_json

    mirror.arrive(path)
    file = notes_folder(path) / name
    remedy = f"run {advice.command('verify', path, repair=True)}"
    return checked_json.load_note(file, remedy) if file.exists() else {}


def copy(
    target: Path,
    spec: FeatureSpec,
    format: str,
    sources: Sequence[Path],
    *,
    finish: Callable[[Path], object] = lambda folder: None,
    progress: tuple[Callable[[int], object], Callable[[int], object]] = (lambda n: None, lambda n: None),
) -> Copied:
    """Fill the store at ``target`` with what others hold of ``spec``: fewer states, another type or format, or all.

    It is there, with what ``finish`` adds to its folder, once all of it was checked; a call that was cut off is gone on
    with. ``progress`` is called with bytes that were copied, and with bytes that were checked. Raises StoreError where
    somebody writes to one of them or features under one name differ, NumericRangeError, DiskSpaceError.
    """
    from sercache.stores import copying

    objects.refuse(target, "making a store of stores", "give --cache FOLDER")
    return copying.copy(target, spec, format, sources, finish=finish, progress=progress)


def conflicts(paths: Sequence[Path]) -> dict[tuple[Path, Path], list[str]]:
    """Ids that stores of one spec hold with other features or recordings, by the first two of them that do."""
    from sercache.stores import copying
    from sercache.stores.reader import StoreReader

    return copying.conflicts([StoreReader(path) for path in paths])


def remove(path: Path, seen: frozenset[int] | None = None) -> None:
    """Remove the store at ``path``, in one step. Raises StoreError where somebody has it open, and says who.

    With ``seen``, what ``copy`` saw of it, also where something was added since.
    """
    from sercache.stores import copying

    objects.refuse(path, "removing a store", "remove its objects with the store's own tools")
    copying.remove(path, seen)


def check_unused(path: Path) -> None:
    """Raise StoreError where somebody has the store at ``path`` open: before work that ends in its removal."""
    from sercache.stores import copying

    copying.check_unused(path)


def corpus_path(path: Path) -> Path:
    """Where the store at ``path`` keeps the table of its corpus."""
    from sercache.stores import lines

    return notes_folder(path) / lines.CORPUS


def write_corpus(path: Path, values: Callable[[], Iterable[Any]]) -> bool:
    """Keep the table of a store's corpus beside its features; whether it was not there yet.

    ``values`` gives its JSON values, and is asked twice. Raises as ``write_note``, ValueError for one that is none.
    """
    from sercache.stores import lines

    is_new = lines.write(corpus_path(path), values)
    if is_new:
        mirror.send(corpus_path(path), corpus_path(path))
    return is_new


def has_corpus(path: Path) -> bool:
    """Whether a store has a table of its corpus."""
    mirror.arrive(path)
    return corpus_path(path).is_file()


def read_corpus(path: Path) -> Iterator[Any]:
    """The values that ``write_corpus`` wrote. Raises DamagedStoreError; StoreError where there is none."""
    from sercache.stores import lines

    mirror.arrive(path)
    try:
        yield from lines.read(corpus_path(path), f"run {advice.command('verify', path, repair=True)}")
    except FileNotFoundError as fault:
        raise StoreError(
            f"{path} has no table of its corpus: it was made by an earlier version. Run the extraction that made it "
            "once more beside the recordings, which encodes nothing and adds the table"
        ) from fault


def abandoned(parent: Path, days: float = 0) -> list[Path]:
    """Folders in which ``copy`` began a store and did not go on for so many days."""
    from sercache.stores import copying

    return copying.abandoned(parent, days)


def temporaries(path: Path) -> list[Path]:
    """What dead writers left in the store at ``path``. Raises as ``open``."""
    from sercache.stores import clearing

    return clearing.leftovers(_layout.load(path).ledger)


def clear_up(path: Path) -> None:
    """Remove what dead writers left in the store at ``path``. Raises StoreError where it cannot be written."""
    from sercache.stores.writer import Writer

    Writer(_layout.load(path)).close()


def verify(path: Path, progress: Callable[[int], object] = lambda n_bytes: None) -> list[Damage]:
    """Everything that is damaged in the store at ``path``, commit records included; empty means whole.

    ``progress`` is called with the bytes of each commit once it is checked.
    """
    from sercache.stores import repair

    return repair.find_damage(path, progress)


def drop(path: Path, damage: Iterable[Damage]) -> list[str]:
    """Take what ``verify`` found out of the store, so that it can be appended anew; gives the ids.

    Damaged commit records are set aside; a damaged file takes all its utterances along.
    """
    from sercache.stores import repair

    objects.refuse(path, "taking out what is damaged", "copy the store into a folder first")
    return repair.drop(path, damage)


def dropped(path: Path) -> list[str]:
    """Ids that were taken out of the store at ``path`` and not appended again. Raises as ``open``."""
    from sercache.stores import repair

    return repair.dropped(path)

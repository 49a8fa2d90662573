"""Stores of one spec that were made apart, of two machines or of shards of a corpus, as one; nothing is encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import advice, settings, stores
from sercache.errors import SettingsError, StoreError
from sercache.experiment.info import folder_bytes
from sercache.experiment.upkeep import make
from sercache.progress import say, used
from sercache.units import listed, size


@dataclass(frozen=True)
class MergeOptions:
    """The options of one call."""

    stores: Sequence[str | Path]
    """Their folders, of one spec; formats may differ."""
    into: Path | None = None
    """Folder of the store that is made or filled; None: its place in the cache."""
    cache: Path | None = None
    remove_sources: bool = False


@dataclass(frozen=True)
class Merged:
    """What a merge made."""

    folder: Path
    """Of the store, which was checked."""
    n_new: int
    """Entries that were copied by this call."""
    n_held: int
    """Entries that it held before, or that several of the stores hold."""
    n_bytes: int
    """On disk."""
    removed: tuple[Path, ...] = ()
    """Stores that are gone."""


def run(request: MergeOptions) -> Merged:
    """Merge as asked. Raises SettingsError, StoreError for stores of several specs, and as ``stores.copy``."""
    sources = _named(request.stores)
    spec, format = stores.read_spec(sources[0]), stores.read_format(sources[0])
    for other in sources[1:]:
        _check_spec(sources[0], other)
    cache = Path(settings.load().value("cache", request.cache).value)
    target = settings.expanded(request.into) if request.into else stores.store_path(cache, spec, format)
    if stores.exists(target):
        _check_spec(sources[0], target)
        format = stores.read_format(target)
    given = [folder for folder in sources if not _same(folder, target)]
    together = [*given, *([target] if stores.exists(target) else [])]
    _check_alike(together)
    for folder in given if request.remove_sources else ():
        stores.check_unused(folder)
    for folder in given:
        used("from", str(folder))
    used("into", str(target))
    copied = make(target, spec, format, given, {"store_format": format})
    say(
        f"merged: {copied.n_new} entries, {copied.n_held} were there or are in several; every byte checked; "
        f"{size(folder_bytes(target))} on disk"
    )
    removed = tuple(_removed(given, copied.seen) if request.remove_sources else ())
    return Merged(target, copied.n_new, copied.n_held, folder_bytes(target), removed)


def _named(folders: Sequence[str | Path]) -> list[Path]:
    """The folders, each once. Raises SettingsError for fewer than two."""
    found: list[Path] = []
    for folder in map(settings.expanded, folders):
        if not any(_same(folder, other) for other in found):
            found.append(folder)
    if len(found) < 2:
        raise SettingsError(f"name two stores to merge, or more; got {listed(found) or 'none'}")
    return found


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _check_spec(one: Path, other: Path) -> None:
    ours, theirs = stores.read_spec(one).to_json(), stores.read_spec(other).to_json()
    fields = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if fields:
        raise StoreError(
            f"{one} and {other} are of different specs ({', '.join(fields)}) and cannot be one store; "
            f"`{advice.command('info', one, other)}` shows both"
        )


def _check_alike(folders: Sequence[Path]) -> None:
    """Raise StoreError where two stores hold something else under one id."""
    for (one, other), ids in stores.conflicts(folders).items():
        raise StoreError(
            f"{one} and {other} hold different features or recordings under {len(ids)} equal ids: {listed(ids)}; "
            "nothing was merged"
        )


def _removed(folders: Sequence[Path], seen: Mapping[Path, frozenset[int]]) -> Iterator[Path]:
    """Remove stores whose every entry is in the one that was checked."""
    for folder in folders:
        n_bytes = folder_bytes(folder)
        stores.remove(folder, seen[folder])
        say(f"removed: {folder} ({size(n_bytes)})")
        yield folder

"""Stores made of stores: what is committed elsewhere is copied, in another type or format, or fewer states.

The new store grows in a hidden folder beside its place, ``.NAME.partial``, and takes its place by one rename when every
byte of it was checked: nobody meets half of it. Killed at any moment, the same call goes on with what is there. A
store goes by one rename too, to ``.NAME.<digits>.gone``, whose files then follow.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from sercache import files
from sercache.claims import claims_in, taken
from sercache.errors import AlreadyStoredError, DamagedStoreError, NumericRangeError, StoreError
from sercache.progress import used
from sercache.stores import checked_json, commits, repair, roster
from sercache.stores.contract import Copied, Entry
from sercache.stores.durable import make_folder, repair_command, write_faults_named
from sercache.stores.held import alone
from sercache.stores.layout import load, spec_path
from sercache.stores.making import make_or_continue
from sercache.stores.reader import StoreReader
from sercache.stores.spec import FeatureSpec
from sercache.stores.writer import Writer
from sercache.system import sync_path
from sercache.units import listed

_SOURCES = "sources.json"
_TURN = "turn"
_AT_ONCE = 64
"""Utterances whose means are read together."""
Progress = Callable[[int], object]
"""Is called with a number of bytes."""


def partial_of(target: Path) -> Path:
    """Where a store grows until it is whole and checked."""
    return target.with_name(f".{target.name}.partial")


def copy(
    target: Path,
    spec: FeatureSpec,
    format: str,
    sources: Sequence[Path],
    *,
    finish: Callable[[Path], object] = lambda folder: None,
    progress: tuple[Progress, Progress] = (lambda n_bytes: None, lambda n_bytes: None),
) -> Copied:
    """Copy what ``sources`` hold of ``spec`` into the store at ``target``, made or filled; then check all of it.

    ``finish`` is called with its folder once everything is in it, ``progress`` with bytes that were copied and checked.
    Raises StoreError where somebody writes to one of
    them or their features differ, NumericRangeError for values that do not fit the type, DamagedStoreError,
    DiskSpaceError. What was copied when it was cut off is there for the next call, unless values do not fit.
    """
    with write_faults_named(target):
        clear_gone(target.parent)
        make_folder(target.parent)
    with _in_turn(target):
        return _copy(target, spec, format, sources, finish, progress)


@contextmanager
def _in_turn(target: Path) -> Iterator[None]:
    """Fill a store one process after another, also where hosts do not see each other's locks."""
    with claims_in(target.with_name(f".{target.name}.filling")) as claims:
        if claims.others({_TURN}):
            used("waiting", f"{target} is being filled by another process")
        with taken(claims, _TURN):
            yield


def _copy(
    target: Path,
    spec: FeatureSpec,
    format: str,
    sources: Sequence[Path],
    finish: Callable[[Path], object],
    progress: tuple[Progress, Progress],
) -> Copied:
    for path in sources:
        roster.check_nobody_writes(path, load(path).ledger)
    seen = {path: frozenset(commits.numbers(load(path).ledger / "commits")) for path in sources}
    readers = [StoreReader(path) for path in sources]
    with _place_for(target) as place:
        is_new = place != target
        if is_new:
            _begin(place, sources)
        with _emptied_after(NumericRangeError, place, is_new):
            n_new = _append(place, spec, format, readers, progress[0])
        with _emptied_after(StoreError, place, is_new):
            finish(place)
            _check(place, readers, progress[1])
        if is_new:
            with write_faults_named(target):
                (place / "ledger" / _SOURCES).unlink()
                place.rename(target)
                sync_path(target.parent)
    return Copied(n_new, sum(len(reader.entries()) for reader in readers) - n_new, seen)


def _begin(place: Path, sources: Sequence[Path]) -> None:
    """Note in a store that grows what it is made of; what an earlier call began from other sources is no use."""
    note, asked = place / "ledger" / _SOURCES, {"sources": [str(path.resolve()) for path in sources]}
    try:
        if checked_json.load(note, "it is made anew") == asked:
            return
    except (FileNotFoundError, DamagedStoreError):
        pass
    _empty(place)
    files.write_bytes(note, checked_json.dump(asked))


@contextmanager
def _emptied_after(kind: type[StoreError], place: Path, is_new: bool) -> Iterator[None]:
    """Leave nothing of a store that grew, where a fault says that going on with it is of no use."""
    try:
        yield
    except kind:
        if is_new:
            _empty(place)
            place.rmdir()
        raise


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _place_for(target: Path) -> Iterator[Path]:
    """The folder to fill, the store's own where it is there, held against rivals that would fill it too."""
    while True:
        is_there = spec_path(target).is_file()
        if not is_there and target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StoreError(f"{target} holds other files and is no feature store; choose another folder")
        place = target if is_there else partial_of(target)
        with write_faults_named(target):
            make_folder(place)
        with alone(place, f"{target} is being filled"):
            if is_there:
                roster.check_nobody_writes(target, load(target).ledger)
            if is_there or not spec_path(target).is_file():
                yield place
                return
        with suppress(OSError):  # a rival has finished it meanwhile: ours is empty
            place.rmdir()


def _append(
    place: Path, spec: FeatureSpec, format: str, sources: Sequence[StoreReader], progress: Progress
) -> int:
    n_new = 0
    layout = make_or_continue(place, spec, format, {})
    done = set(StoreReader(place).ids())
    if all(source.entries().keys() <= done for source in sources):
        return 0
    with Writer(layout) as writer:
        for source in sources:
            fresh = [entry for entry in source.entries().values() if entry.id not in done]
            for at in range(0, len(fresh), _AT_ONCE):
                for n_bytes in _append_some(writer, source, fresh[at : at + _AT_ONCE]):
                    progress(n_bytes)
                    n_new += 1
            done.update(entry.id for entry in fresh)
    return n_new


def _append_some(writer: Writer, source: StoreReader, entries: Sequence[Entry]) -> Iterator[int]:
    """Append entries; gives the bytes of each."""
    ids, spec = [entry.id for entry in entries], writer.spec
    means, stds = (source.pooled(ids, spec.states, what) for what in ("mean", "std"))
    for k, entry in enumerate(entries):
        frames = _frames(source, entry.id, spec) if spec.frames else None
        with suppress(AlreadyStoredError):
            writer.append(
                entry.id,
                means[k],
                stds[k],
                frames,
                n_frames=entry.n_frames,
                n_samples=entry.n_samples,
                audio_digest=entry.audio_digest,
            )
        yield means[k].nbytes + stds[k].nbytes + (0 if frames is None else frames.nbytes)


def _frames(source: StoreReader, id: str, spec: FeatureSpec) -> np.ndarray:
    """Frames as they are stored there where the type is the same, else in float32."""
    if source.spec.values == spec.values:
        return source.read_stored(id, spec.states)
    return source.read(id, spec.states).astype("<f4", copy=False)


def _check(place: Path, sources: Sequence[StoreReader], progress: Progress) -> None:
    """Raise DamagedStoreError where the copy is damaged, StoreError where it holds other features than its sources."""
    if damage := repair.find_damage(place, progress):
        raise DamagedStoreError(
            f"{place} is damaged ({damage[0].path.name}: {damage[0].reason}); {repair_command(place)}"
        )
    copy = StoreReader(place)
    for source in sources:
        differing = _differing(source, copy)
        if differing:
            raise StoreError(
                f"{len(differing)} of {len(source.entries())} entries of {source.path} are not those that {copy.path} "
                f"holds under their names: {listed(differing)}; nothing of them was replaced, or removed"
            )


def conflicts(readers: Sequence[StoreReader]) -> dict[tuple[Path, Path], list[str]]:
    """Ids that several stores of one spec hold with other features or recordings, by the first two that do."""
    known: dict[str, tuple[bytes, Path]] = {}
    found: dict[tuple[Path, Path], list[str]] = {}
    for reader in readers:
        for id, mark in _marks(reader, reader.spec, frames=reader.spec.frames, pooled=True):
            before, place = known.setdefault(id, (mark, reader.path))
            if before != mark:
                found.setdefault((place, reader.path), []).append(id)
    return found


def _differing(source: StoreReader, copy: StoreReader) -> list[str]:
    """Ids of entries that a copy lacks or holds otherwise.

    Recordings are compared by their digests, features by their checksums where the type of both is the same.
    """
    frames = copy.spec.frames and source.spec.values == copy.spec.values
    pooled = source.spec.states == copy.spec.states
    held = dict(_marks(copy, copy.spec, frames, pooled))
    return [id for id, mark in _marks(source, copy.spec, frames, pooled) if held.get(id) != mark]


def _marks(store: StoreReader, spec: FeatureSpec, frames: bool, pooled: bool) -> Iterator[tuple[str, bytes]]:
    """Each id with 16 bytes that stand for its recording, its lengths and its features."""
    columns = [store.spec.states.index(state) for state in spec.states]
    for entry, frame_crcs, pooled_crcs in store.marks():
        said = [str(entry.n_frames), str(entry.n_samples), entry.audio_digest]
        if frames:
            said += [frame_crcs[8 * k : 8 * k + 8] for k in columns]
        if pooled:
            said.append(pooled_crcs)
        yield entry.id, hashlib.blake2b("\n".join(said).encode(), digest_size=16).digest()


def remove(path: Path, seen: frozenset[int] | None = None) -> None:
    """Remove a store. Raises StoreError where somebody reads or writes it, or wrote since its commits ``seen``."""
    layout = load(path)
    with (
        write_faults_named(path),
        alone(layout.ledger, f"{path} is not removed"),
        roster.short_lock(layout.ledger),
    ):
        roster.check_nobody_writes(layout.path, layout.ledger)
        if seen is not None and frozenset(commits.numbers(layout.ledger / "commits")) != seen:
            raise StoreError(
                f"{path} was written to meanwhile and is not removed; run the same command again to resume"
            )
        gone = files.take_away(path)
    shutil.rmtree(gone, ignore_errors=True)


def check_unused(path: Path) -> None:
    """Raise StoreError where somebody reads or writes the store at ``path``, so that ``remove`` would be refused."""
    layout = load(path)
    roster.check_nobody_writes(layout.path, layout.ledger)
    with alone(layout.ledger, f"{path} is not removed"):
        pass


def clear_gone(parent: Path) -> None:
    """Remove the files of stores whose removal was cut off."""
    for path in files.taken_away(parent):
        shutil.rmtree(path, ignore_errors=True)


def abandoned(parent: Path, days: float) -> list[Path]:
    """Stores that were growing beside others and have not for so many days."""
    found = []
    for path in parent.glob(".*.partial"):
        with suppress(StoreError, OSError):
            newest = max(each.stat().st_mtime for each in (path, *path.rglob("*")))
            if (path / "ledger").is_dir() and files.now_on(parent) - newest >= days * 86400:
                with alone(path, "it is being filled"):
                    found.append(path)
    return found

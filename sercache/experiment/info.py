"""What stores hold, and what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sercache import clips, objects, settings, stores
from sercache.errors import DamagedStoreError, SercacheError, StoreError
from sercache.experiment.origin import known_origin
from sercache.extraction import skips, training_record
from sercache.objects import mirror
from sercache.progress import used, warn
from sercache.stores import FeatureSpec
from sercache.trained_on import TrainedOn

By = Literal["spec", "corpus", "encoder"]


@dataclass(frozen=True)
class InfoOptions:
    """The options of one call."""

    stores: Sequence[str | Path] = ()
    """Their folders; none named: all of the cache."""
    cache: Path | None = None
    by: By | None = None
    """What to add them up by."""


@dataclass(frozen=True)
class StoreInfo:
    """What is in one store."""

    folder: Path
    fault: SercacheError | None = None
    """Why it cannot be opened; nothing else is known then."""
    spec: FeatureSpec | None = None
    """All that decides the features: encoder, corpus, states, type, clip rule."""
    n_entries: int = 0
    """Recordings, or pieces of them."""
    n_frames: int = 0
    seconds: float = 0.0
    """Of audio; of a store of text, of nothing."""
    n_bytes: int = 0
    """On disk; holes in sparse files do not count."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Recordings that have no features, and why."""
    trained_on: TrainedOn | None = None
    """What its encoder was trained on, where a run of sercache did that."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Options of the extraction that made it, where that is known."""
    last_used: datetime | None = None
    """When something was last added to it or, to the day, trained from it."""


@dataclass(frozen=True)
class StoreGroup:
    """What several stores hold together."""

    name: str
    """Of the corpus or encoder, or what a spec says; ``all`` of all."""
    folders: tuple[Path, ...]
    n_bytes: int
    """On disk."""
    n_utterances: int
    """Different ones, each counted once."""
    seconds: float
    """Of their audio."""
    last_used: datetime | None


def run(request: InfoOptions) -> list[StoreInfo]:
    """The stores named, or all of the cache; one that cannot be opened with its fault.

    Raises the fault of the only store that there is.
    """
    if request.stores:
        folders: list[tuple[Path, object]] = [(settings.expanded(each), None) for each in request.stores]
    else:
        cache = settings.load().value("cache", request.cache)
        used("cache", cache)
        folders = list(stores.find_all(Path(cache.value).expanduser()))
    found = []
    for folder, spec in folders:
        try:
            if isinstance(spec, SercacheError):
                raise spec
            found.append(_look(folder))
        except SercacheError as fault:
            if len(folders) == 1:
                raise
            found.append(StoreInfo(folder, fault))
    return found


def complain(found: Sequence[StoreInfo]) -> None:
    """Raise StoreError where stores could not be opened."""
    if n_closed := sum(each.fault is not None for each in found):
        raise StoreError(
            f"{n_closed} of {len(found)} stores cannot be opened; the lines above say why, and what to do"
        )


def grouped(found: Sequence[StoreInfo], by: By) -> list[StoreGroup]:
    """Stores added up by spec, corpus or encoder, the largest first, and at the end ``all`` of them."""
    groups: dict[str, list[StoreInfo]] = {}
    opened = [(each, each.spec) for each in found if each.spec is not None]
    for each, spec in opened:
        groups.setdefault(_name(spec, by), []).append(each)
    spoken = {each.folder: spoken_seconds(each.folder) for each, _ in opened}
    rows = [_group(name, members, spoken) for name, members in groups.items()]
    rows.sort(key=lambda row: (-row.n_bytes, row.name))
    return [*rows, _group("all", [each for each, _ in opened], spoken)] if rows else []


def _name(spec: FeatureSpec, by: By) -> str:
    if by == "corpus":
        return f"{spec.corpus} {spec.release}".rstrip()
    if by == "encoder":
        return spec.shown
    kept = f"{spec.values} frames" if spec.frames else "means"
    clip = "" if spec.clip == "none" else f", clip {spec.clip}"
    return f"{spec.corpus}, {spec.shown}, {len(spec.states)} states, {kept}{clip} ({spec.digest})"


def spoken_seconds(folder: Path) -> dict[tuple[str, str], float]:
    """Seconds of each utterance that a store holds, by corpus and id; of text, of nothing."""
    store, found = stores.open(folder), dict[tuple[str, str], float]()
    rule, rate = clips.parse(store.spec.clip), store.spec.sample_rate
    for entry in store.entries().values():
        key = store.spec.corpus, clips.utterance_id(entry.id, rule)
        found[key] = found.get(key, 0.0) + (0.0 if store.spec.is_text else entry.n_samples / rate)
    return found


def _group(
    name: str, members: Sequence[StoreInfo], spoken: Mapping[Path, Mapping[tuple[str, str], float]]
) -> StoreGroup:
    seconds: dict[tuple[str, str], float] = {}
    for each in members:
        for key, length in spoken[each.folder].items():
            seconds[key] = max(length, seconds.get(key, 0.0))
    return StoreGroup(
        name,
        tuple(each.folder for each in members),
        sum(each.n_bytes for each in members),
        len(seconds),
        sum(seconds.values()),
        max((each.last_used for each in members if each.last_used), default=None),
    )


def _look(folder: Path) -> StoreInfo:
    """One store. Raises StoreError."""
    store = stores.open(folder)
    entries = list(store.entries().values())
    try:
        trained = training_record(store)
    except DamagedStoreError as fault:  # verify mends it
        warn(str(fault))
        trained = None
    spec = store.spec
    return StoreInfo(
        folder,
        None,
        spec,
        len(entries),
        sum(each.n_frames for each in entries),
        0.0 if spec.is_text else sum(each.n_samples for each in entries) / spec.sample_rate,
        folder_bytes(folder),
        skips(folder),
        trained,
        known_origin(folder),
        stores.last_used(folder),
    )


def folder_bytes(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on disk, without the holes of sparse ones; or in an object store."""
    far = mirror.n_bytes(folder)
    if far is not None:
        return far
    if objects.place_of(folder):
        return stores.open(folder).n_bytes()
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())

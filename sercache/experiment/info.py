"""What stores hold, and what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sercache import settings, stores
from sercache.errors import DamagedStoreError, SercacheError
from sercache.experiment.origin import known_origin
from sercache.extraction import skips, training_record
from sercache.progress import used, warn
from sercache.stores import FeatureSpec
from sercache.trained_on import TrainedOn


@dataclass(frozen=True)
class InfoOptions:
    """The options of one call."""

    stores: Sequence[str | Path] = ()
    """Their folders; none named: all of the cache."""
    cache: Path | None = None


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
    )


def folder_bytes(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on disk; holes in sparse files do not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())

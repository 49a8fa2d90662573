"""Rows of the tables that `sercache info` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sercache.experiment.info import StoreGroup, StoreInfo
from sercache.stores import FeatureSpec
from sercache.units import duration, size

HEADING = ("corpus", "encoder", "states", "kept", "clip", "entries", "audio", "disk", "folder")


def row_of(store: StoreInfo, spec: FeatureSpec) -> tuple[object, ...]:
    """A store of the cache, below ``HEADING``."""
    kind = f"{spec.dtype} frames" if spec.frames else "pooled"
    length = "-" if spec.is_text else duration(store.seconds)
    shape = f"{len(spec.states)} x {spec.dim}"
    about = (spec.corpus, spec.shown, shape, kind, spec.sound, store.n_entries, length)
    return (*about, size(store.n_bytes), store.folder)


def of_groups(groups: Sequence[StoreGroup], by: str) -> list[tuple[object, ...]]:
    """A heading, and what stores hold together, a row each, all of them in the last; nothing without stores."""
    rows: list[tuple[object, ...]] = [(by, "stores", "utterances", "audio", "disk", "last use")]
    for each in groups:
        length = duration(each.seconds) if each.seconds else "-"
        counts = (len(each.folders), each.n_utterances, length, size(each.n_bytes))
        rows.append((each.name, *counts, day(each.last_used)))
    return rows if groups else []


def day(when: datetime | None) -> str:
    """A day, as it is here."""
    return "-" if when is None else when.astimezone().strftime("%Y-%m-%d")

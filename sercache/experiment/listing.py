"""What `sercache info` prints of stores: rows of its tables, and one store in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sercache.experiment.info import StoreGroup, StoreInfo
from sercache.experiment.origin import extract_command
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


def in_words(store: StoreInfo, spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    """Everything about one store, each with a label; a label that is empty goes on with the one above."""
    yield "store", str(store.folder)
    yield "digest", spec.digest
    yield "corpus", f"{spec.corpus} {spec.release}".rstrip()
    yield "encoder", spec.shown
    for key, value in spec.identity.items():
        yield "", f"{key}: {value}"
    if store.trained_on:
        yield "", str(store.trained_on)
    yield "states", " ".join(spec.states)
    rate = "word pieces" if spec.is_text else f"{spec.sample_rate / spec.hop:g} frames/s"
    yield "shape", f"D = {spec.dim}, {rate}, {spec.dtype}, clip {spec.sound}"
    length = "" if spec.is_text else f"{duration(store.seconds)} of audio, "
    yield "entries", f"{store.n_entries}, {length}{store.n_frames} frames"
    if spec.is_text:
        of_file = spec.transcripts and f"of a file, digest {spec.transcripts}"
        yield "text", of_file or "the corpus' own transcripts"
    yield "disk", size(store.n_bytes)
    yield "last use", day(store.last_used)
    for entry_id, reason in store.skipped.items():
        yield "skipped", f"{entry_id}: {reason}"
    if store.origin:
        yield "made by", f"encoder {store.origin['encoder']}, root {store.origin['root']}"
        yield "continue", extract_command(store.folder)


def day(when: datetime | None) -> str:
    """A day, as it is here."""
    return "-" if when is None else when.astimezone().strftime("%Y-%m-%d")

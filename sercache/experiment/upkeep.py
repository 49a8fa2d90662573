"""What converting, merging and pruning share: stores made of stores, with the notes that lie beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sercache import advice, clips, extraction, settings, stores
from sercache.datasets import Skipped
from sercache.errors import DiskSpaceError
from sercache.experiment.origin import known_origin, write_origin
from sercache.extraction import SPLITS
from sercache.progress import bar, warn
from sercache.stores import Copied, FeatureSpec
from sercache.trained_on import FILE
from sercache.units import size

_SPARE_BYTES = 2**26
"""Kept free beyond what a copy takes."""


def cache_of(folder: Path, request: Path | None) -> Path:
    """The cache of a store that is made of the one at ``folder``: the one named, else that which this lies in."""
    if request is not None:
        return settings.expanded(request)
    place = folder.absolute()
    cache = place.parents[1]
    if place == stores.store_path(cache, stores.read_spec(folder), stores.read_format(folder)):
        return cache
    return Path(settings.load().value("cache").value)


def make(
    target: Path, spec: FeatureSpec, format: str, sources: Sequence[Path], changes: Mapping[str, Any]
) -> Copied:
    """Fill the store at ``target`` with what others hold of ``spec``, checked, and with their notes.

    ``changes`` are options of an extraction that would make it which the first source's do not say. Raises as
    ``stores.copy``, DiskSpaceError before anything is written.
    """
    n_bytes = sum(bytes_of(spec, folder) for folder in sources)
    there = sum(bytes_of(spec, folder) for folder in [target] if stores.exists(folder))
    free = extraction.free_bytes(target)
    if n_bytes - there + _SPARE_BYTES > free and n_bytes > there:
        raise DiskSpaceError(
            f"{target} needs {size(n_bytes - there + _SPARE_BYTES)} and its disk has {size(free)} free; free some "
            "space, or name another folder"
        )
    with (
        bar(desc="copying", total=n_bytes, unit="B", unit_scale=True) as copied,
        bar(desc="checking", unit="B", unit_scale=True) as checked,
    ):
        return stores.copy(
            target,
            spec,
            format,
            sources,
            finish=lambda folder: _take_notes(folder, sources, changes),
            progress=(copied.update, checked.update),
        )


def bytes_of(spec: FeatureSpec, folder: Path) -> int:
    """Bytes of features of ``spec`` of all that a store holds."""
    entries = stores.open(folder).entries()
    means = 2 * 4 * len(spec.states) * spec.dim * len(entries)
    if not spec.frames:
        return means
    return means + stores.frame_bytes(spec) * len(spec.states) * sum(
        each.n_frames for each in entries.values()
    )


def _take_notes(folder: Path, sources: Sequence[Path], changes: Mapping[str, Any]) -> None:
    """Write beside a store what its sources say of how they were made, and of what they could not encode."""
    origin = next((found for found in map(known_origin, sources) if found), None)
    if origin and not known_origin(folder):
        write_origin(folder, {**{k: v for k, v in origin.items() if v is not None}, **changes})
    table = next((source for source in sources if stores.has_corpus(source)), None)
    if table is not None and not stores.has_corpus(folder):
        stores.write_corpus(folder, partial(stores.read_corpus, table))
    rule = clips.parse(stores.read_spec(folder).clip)
    stored = {clips.utterance_id(id, rule) for id in stores.open(folder).ids()}
    reasons: dict[str, str] = {}
    for source in (folder, *sources):
        reasons |= extraction.skips(source)
        for name in (
            FILE,
            *(f"{SPLITS}/{path.name}" for path in (stores.notes_folder(source) / SPLITS).glob("*.json")),
        ):
            if source != folder and (note := stores.read_note(source, name)):
                (stores.notes_folder(folder) / name).parent.mkdir(exist_ok=True)
                stores.write_note(folder, name, note)
    left = [Skipped(id, reason) for id, reason in reasons.items() if id not in stored]
    extraction.record_skips(folder, left)
    unfinished = [source for source in sources if not extraction.is_finished(source)]
    if unfinished:
        warn(
            f"the extraction into {unfinished[0]} did not come to its end: what it lacks is lacking here too"
        )
        extraction.mark_begun(folder)


def copy_first(folder: str | Path) -> str:
    """What to do with a store in an object store that is to be changed."""
    return f"copy it into a folder first, which checks every byte: {advice.command('convert', folder, cache='FOLDER')}"

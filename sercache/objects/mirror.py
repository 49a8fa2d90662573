"""Copies on this machine of what is small in a store that lies in an object store: its ``ledger``, but for claims.

A copy is renewed where the object was changed, as its tag tells, and goes where the object went. What this machine
itself puts into the folder is never taken for a copy.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sercache import files
from sercache.objects import ObjectAddress, place_of
from sercache.objects.bucket import Bucket, Mark, at_once, bucket_of

_SEEN = ".mirrored.json"
"""In a store's folder: the objects of which there are copies, each with size and tag."""
_OWN = ("claims/", "writers/", "batches/", "checkpoints/", "lock")
"""Below ``ledger``: what is no copy."""
_LISTED = ("spec.json", "view.json")
"""Where a server lists nothing: the files whose change means that anything may have changed."""
_SHARE = 20
"""At most one part in so many of the time is spent on looking for news."""
_looked: dict[Path, float] = {}
"""When the next look at a store is due, in seconds of ``time.monotonic``."""
_lock = threading.Lock()


def arrive(store: Path, *, fresh: bool = False) -> None:
    """Bring the copies of a store up to date; ``fresh``: now, else where that was not done of late.

    Nothing is done for a store in a folder of its own. Raises StoreError, FileError.
    """
    place = place_of(store)
    if place is None:
        return
    with _lock:
        began = time.monotonic()
        if not fresh and began < _looked.get(store, 0.0):
            return
        bucket = bucket_of(place)
        (_listed if place.writes else _unlisted)(bucket, place, store)
        ended = time.monotonic()
        _looked[store] = ended + max(1.0, _SHARE * (ended - began))


def arrive_cache(cache: Path) -> None:
    """Bring the specs of all stores of a cache up to date, two folders deep. Raises StoreError."""
    place = place_of(cache)
    if place is None:
        return
    bucket = bucket_of(place)
    if not place.writes:
        return
    first = bucket.folders(place.key)
    folders = [*first, *(each for found in at_once(bucket.folders, first) for each in found)]
    folders += [
        f"{place.key}/{path.parent.relative_to(cache)}".lstrip("/")
        for deep in ("*", "*/*")
        for path in cache.glob(f"{deep}/ledger")
    ]
    names = [
        name for name in dict.fromkeys(folders) if not name.rpartition("/")[2].startswith((".", "ledger"))
    ]

    def spec(name: str) -> None:
        path = cache / name[len(place.key) :].lstrip("/") / "ledger" / "spec.json"
        data = bucket.get(f"{name}/ledger/spec.json")
        if data is None and path.parent.is_dir():
            _listed(bucket, replace(place, key=name), path.parents[1])  # it is gone, and its copies with it
        elif data is None:
            return
        elif not path.exists() or path.read_bytes() != data:
            files.write_bytes(path, data)

    at_once(spec, names)


def fetch(store: Path, names: Iterable[str]) -> None:
    """Have copies of these files of a store too, as they are now; those that are not there go. Raises StoreError."""
    place = place_of(store)
    if place is None:
        return
    bucket = bucket_of(place)
    at_once(lambda name: _copy(bucket, f"{place.key}/{name}", store / name), names)


def _copy(bucket: Bucket, key: str, path: Path) -> bool:
    data = bucket.get(key)
    if data is None:
        path.unlink(missing_ok=True)
        return False
    if not path.exists() or path.read_bytes() != data:
        files.write_bytes(path, data)
    return True


def _listed(bucket: Bucket, place: ObjectAddress, store: Path) -> None:
    seen = _seen(store)  # before the list: what came between is not taken for gone
    base = f"{place.key}/ledger/"
    there = {
        name: [mark.size, mark.tag]
        for key, mark in bucket.names(base.rstrip("/")).items()
        for name in [key[len(base) :]]
        if not name.startswith(_OWN) and ".." not in name.split("/")
    }
    changed = [
        name for name, mark in there.items() if seen.get(name) != mark or not _at(store, name).exists()
    ]
    at_once(lambda name: _copy(bucket, base + name, _at(store, name)), changed)
    gone = [name for name in seen if name not in there]
    for name in gone:
        _at(store, name).unlink(missing_ok=True)
    if changed or gone:
        _note(store, there)


def _unlisted(bucket: Bucket, place: ObjectAddress, store: Path) -> None:
    """Where nothing is listed the view says which records there are, and the names of notes are known."""
    base, seen = f"{place.key}/ledger/", _seen(store)
    marks = dict(zip(_LISTED, at_once(lambda name: bucket.mark(base + name), _LISTED), strict=True))
    there = {name: [mark.size, mark.tag] for name, mark in marks.items() if mark is not None}
    if there == seen and all(_at(store, name).exists() for name in there):
        return
    at_once(lambda name: _copy(bucket, base + name, _at(store, name)), (*_LISTED, *NOTES))
    names = [f"commits/{number:08d}.json" for number in _shown(_at(store, "view.json"))]
    at_once(lambda name: _copy(bucket, base + name, _at(store, name)), names)
    for path in (store / "ledger" / "commits").glob("*.json"):
        if f"commits/{path.name}" not in names:
            path.unlink(missing_ok=True)
    if there:
        _note(store, there)


NOTES = ("origin.json", "skipped.json", "hub.json", "trained_on.json", "corpus.jsonl")
"""Small files of a store that it may have or not."""


def _shown(view: Path) -> list[int]:
    """Numbers of the records that a store's view shows; none where it has no view."""
    try:
        ranges = json.loads(view.read_bytes())["record"]["commits"]
        return [number for first, last in ranges for number in range(int(first), int(last) + 1)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _at(store: Path, name: str) -> Path:
    return store / "ledger" / name


def _seen(store: Path) -> dict[str, Any]:
    try:
        found = json.loads((store / _SEEN).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(store: Path, there: dict[str, Any]) -> None:
    with suppress(OSError):
        store.mkdir(parents=True, exist_ok=True)
    files.write_json(store / _SEEN, there)


def mark_of(path: Path) -> Mark | None:
    """Size and tag of the object that a path stands for; None where there is none."""
    place = place_of(path)
    assert place is not None
    return bucket_of(place).mark(place.key)


def n_bytes(store: Path) -> int | None:
    """Bytes of all objects of a store; None where the place lists nothing, or is no object store."""
    place = place_of(store)
    if place is None or not place.writes:
        return None
    return sum(mark.size for mark in bucket_of(place).names(place.key).values())


def send(path: Path, data: bytes | Path) -> None:
    """Put the object that a file of this machine is a copy of; nothing is done for a file of a folder of its own."""
    place = place_of(path)
    if place is not None:
        bucket_of(place).put(place.key, data)


def create(path: Path, data: bytes) -> bool:
    """``send`` of what must not be there; false where it is. True for a file of a folder of its own."""
    place = place_of(path)
    return place is None or bucket_of(place).create(place.key, data)


def drop(paths: Iterable[Path]) -> None:
    """Remove the objects that files are copies of, where they are; nothing is done for other files."""
    for path in paths:
        place = place_of(path)
        if place is not None:
            bucket_of(place).remove([place.key])


def content(path: Path) -> bytes | None:
    """What the object holds that a path stands for; None where there is none."""
    place = place_of(path)
    return None if place is None else bucket_of(place).get(place.key)

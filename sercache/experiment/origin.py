"""What a store remembers of the command that made it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sercache import advice, datasets, encoders, settings, stores, text
from sercache.augment import text_of
from sercache.errors import DamagedStoreError, SercacheError, SettingsError
from sercache.experiment import clustered
from sercache.experiment.extract_options import ExtractOptions
from sercache.progress import warn

_ORIGIN = "origin.json"


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Remember beside the features how they were made: encoder argument, root, options."""
    stores.write_note(folder, _ORIGIN, origin)


def origin_of(request: ExtractOptions, root: str) -> dict[str, Any]:
    """The request as JSON values, folders made absolute so that it can be run again from anywhere."""
    said = clustered.without(asdict(request))
    for key in ("cache", "root", "devices", "shard", "keep_transcripts", "variants"):
        del said[key]
    record = {key: value for key, value in said.items() if value is not None}
    record["encoder"] = encoders.absolute(request.encoder)
    if request.transcripts is not None:
        record["transcripts"] = str(settings.expanded(request.transcripts).absolute())
    how = text.reading()
    if how.encoding is not None:
        record["encoding"] = how.encoding
    if how.labels_as_written:
        record["labels_as_written"] = True
    place = settings.expanded(root).absolute()
    # A way up is taken now: the folder that it leads out of may be gone later. Links stay, as they may be moved.
    return {**record, "root": str(place.resolve() if ".." in place.parts else place)}


def remember(folder: Path, now: dict[str, Any]) -> None:
    """Remember how a store was made where that is not known, and where corpus and encoder have moved to."""
    before = known_origin(folder)
    gone = [
        key
        for key in ("root", "encoder")
        if Path(str(before.get(key, ""))).is_absolute() and not Path(str(before[key])).exists()
    ]
    if before and not gone:
        return
    with suppress(SercacheError):  # the disk may be read-only
        write_origin(folder, {**now, **before, **{key: now[key] for key in gone}} if before else now)


def read_origin(folder: Path) -> dict[str, Any]:
    """What ``write_origin`` wrote; empty where nothing was. Raises DamagedStoreError."""
    origin = stores.read_note(folder, _ORIGIN)
    for key, value in origin.items():
        if not isinstance(value, str | int | float):
            raise DamagedStoreError(
                f"{stores.notes_folder(folder) / _ORIGIN} is damaged: {key} is {type(value).__name__}; "
                f"run {advice.command('verify', folder, repair=True)}"
            )
    return origin


def known_origin(folder: Path) -> dict[str, Any]:
    """``read_origin`` where the origin is no more than a help: a damaged one is told and passed over."""
    try:
        return read_origin(folder)
    except DamagedStoreError as fault:
        warn(str(fault))
        return {}


def checkpoint(encoder: str, identity: Mapping[str, Any], cache: Path | None) -> str:
    """What an encoder is loaded by: a name that everybody knows, or where the cache remembers that it lay.

    ``encoder`` and ``identity`` are those of a store's spec. Gives ``encoder`` where neither is known.
    """
    if encoder in encoders.short_names():
        return encoder
    for folder, found in stores.find(cache) if cache is not None else ():
        if found.identity == identity and (name := known_origin(folder).get("encoder")):
            return str(name)
    return encoder


def extract_command(folder: Path, *, task: str | None = None, augment: str | None = None) -> str:
    """The command that adds to the store at ``folder`` what it lacks, of ``task`` where it is given.

    With ``augment`` that which makes the store of the same recordings after it.

    It is what made the store, but for what kept utterances out of it (``--limit``, ``--language``).
    """
    origin, cache = known_origin(folder), folder.absolute().parents[1]
    if not origin:
        return advice.command("info", folder)
    usual = {"dtype": "float16", "format": "zarr", "precision": "float32"}
    origin = {
        **origin,
        "device": stores.read_spec(folder).identity.get("device"),
    }  # where it decides the bytes
    asked = {option: origin.get(key) for key, option in _OPTIONS.items()}
    options = {option: value for option, value in asked.items() if value != usual.get(option)}
    return advice.command(
        "extract",
        **options | ({"task": task} if task else {}) | ({"augment": augment} if augment else {}),
        cache=None if is_usual(cache) else cache,
        pooled_only=bool(origin.get("pooled_only")),
        labels_as_written=bool(origin.get("labels_as_written")),
    )


def origin_by_spec(folder: Path, root: Path | None = None) -> dict[str, Any]:
    """What ``read_origin`` would give of a store whose origin is lost, as far as its spec tells.

    Where the corpus lies, and which folder a local encoder was, is not in it. Raises DamagedStoreError.
    """
    spec = stores.read_spec(folder)
    asked, dataset = datasets.named(spec.corpus), spec.corpus
    if asked.is_own and not asked.reader and root is not None:
        dataset = f"{datasets.reader_at(spec.corpus, root)}:{spec.corpus}"
    return {
        "encoder": spec.encoder,
        "revision": spec.identity.get("revision") or None,
        "dataset": dataset,
        "states": ",".join(spec.states),
        "clip": spec.clip,
        "augment": text_of(spec.augment),
        "dtype": spec.dtype,
        "precision": str(spec.identity.get("precision", "float32")),
        "device": spec.identity.get("device"),
        "pooled_only": not spec.frames,
        "store_format": stores.read_format(folder),
    }


def extract_again(folder: Path, root: Path | None = None) -> str:
    """The command that makes the store once more, by its spec; FOLDER stands for what that does not say."""
    origin, cache = origin_by_spec(folder, root) | {"revision": None}, folder.absolute().parents[1]
    options = {_OPTIONS[key]: value for key, value in origin.items() if key in _OPTIONS}
    return advice.command(
        "extract",
        **options | {"encoder": "FOLDER", "root": root or "FOLDER"},
        cache=None if is_usual(cache) else cache,
        pooled_only=origin["pooled_only"],
    )


def is_usual(cache: Path) -> bool:
    """Whether a command finds this cache folder without being told."""
    try:
        usual = settings.load().value("cache").value
    except SettingsError:  # there is no home that it could lie in
        return False
    return cache.absolute() == Path(usual).expanduser().absolute()


_OPTIONS = {
    "encoder": "encoder",
    "dataset": "dataset",
    "root": "root",
    "revision": "revision",
    "states": "states",
    "clip": "clip",
    "augment": "augment",
    "task": "task",
    "transcripts": "transcripts",
    "encoding": "encoding",
    "dtype": "dtype",
    "store_format": "format",
    "precision": "precision",
    "device": "device",
}
"""Options of an extraction, by what is remembered of them."""

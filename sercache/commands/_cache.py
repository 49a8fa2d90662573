"""Corpora and stores as commands look for them: settings first, then what earlier runs remembered."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sercache import catalog, settings, stores, text
from sercache.commands._console import used, warn
from sercache.datasets import Corpus
from sercache.errors import DamagedStoreError, SettingsError
from sercache.settings import Setting, Settings

_ORIGIN = "origin.json"


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Remember beside the features how they were made: encoder argument, root, options."""
    stores.write_note(folder, _ORIGIN, origin)


def read_origin(folder: Path) -> dict[str, Any]:
    """What ``write_origin`` wrote; empty where nothing was. Raises DamagedStoreError."""
    origin = stores.read_note(folder, _ORIGIN)
    for key, value in origin.items():
        if not isinstance(value, str | int | float):
            raise DamagedStoreError(
                f"{stores.notes_folder(folder) / _ORIGIN} is damaged: {key} is {type(value).__name__}; "
                f"run sercache verify {shlex.quote(str(folder))} --repair"
            )
    return origin


def known_origin(folder: Path) -> dict[str, Any]:
    """``read_origin`` where the origin is no more than a help: a damaged one is told and passed over."""
    try:
        return read_origin(folder)
    except DamagedStoreError as fault:
        warn(str(fault))
        return {}


def extract_command(folder: Path) -> str:
    """The command that continues the store at ``folder``, as it was first called."""
    origin = known_origin(folder)
    parts = ["sercache extract"]
    for key, flag in _FLAGS.items():
        if key in origin:
            parts.append(f"{flag} {shlex.quote(str(origin[key]))}")
    parts += ["--pooled-only"] if origin.get("pooled_only") else []
    parts += ["--labels-as-written"] if origin.get("labels_as_written") else []
    return " ".join(parts)


_FLAGS = {
    "encoder": "--encoder",
    "dataset": "--dataset",
    "root": "--root",
    "revision": "--revision",
    "states": "--states",
    "clip": "--clip",
    "task": "--task",
    "language": "--language",
    "transcripts": "--transcripts",
    "encoding": "--encoding",
}


def corpus_root(name: str, flag: Path | None, known: Settings, cache: Path) -> Setting:
    """The corpus' folder: flag, environment, file, or the last extraction's. Raises SettingsError."""
    found = known.root(name, flag)
    if found:
        return found
    if name == "demo":
        return Setting(str(cache / "demo-corpus"), "made at first use")
    remembered = [
        (stores.notes_folder(folder).stat().st_mtime, origin["root"])
        for folder, spec in stores.find(cache)
        if spec.corpus == name and (origin := known_origin(folder)).get("root")
    ]
    if remembered:
        return Setting(max(remembered)[1], "as last extracted")
    raise SettingsError(
        f"where is {name}? give --root FOLDER, set {settings.root_variable(name)}, "
        f"or run: sercache config roots.{name}=FOLDER"
    )


def _as_extracted(name: str, root: Path, cache: Path) -> AbstractContextManager[None]:
    """Read text as the last extraction of this corpus did, but for what the call says itself."""
    origins = [
        (
            stores.notes_folder(folder).stat().st_mtime,
            origin.get("encoding"),
            origin.get("labels_as_written", False),
        )
        for folder, spec in stores.find(cache)
        if spec.corpus == name and (origin := read_origin(folder)).get("root") == str(root.absolute())
    ]
    _, encoding, as_written = max(origins, key=lambda each: each[0], default=(0.0, None, False))
    here = text.reading()
    return text.reading_as(None if here.encoding else encoding, as_written)


def read_corpus(name: str, flag: Path | None, known: Settings, cache: Path) -> tuple[Corpus, Setting]:
    """The corpus as it lies on disk; says where, how much, and what differs from its published tables."""
    module = catalog.load("sercache.datasets", name)
    root = corpus_root(name, flag, known, cache)
    folder = Path(root.value).expanduser()
    with _as_extracted(name, folder, cache):
        corpus = module.read(folder)
    used("corpus", f"{name} {corpus.release}".rstrip() + f", {len(corpus.utterances)} utterances in {root}")
    for line in corpus.warnings:
        warn(line)
    for item in corpus.skipped[:5]:
        warn(f"left out {item.what}: {item.reason}")
    if len(corpus.skipped) > 5:
        warn(f"left out {len(corpus.skipped) - 5} more")
    return corpus, root

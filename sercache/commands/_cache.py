"""Corpora and stores as commands look for them: settings first, then what earlier runs remembered."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sercache import catalog, settings, stores
from sercache.commands._console import used, warn
from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.settings import Setting, Settings

_ORIGIN = "origin.json"


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Remember beside the features how they were made: encoder argument, root, options."""
    path = stores.notes_folder(folder) / _ORIGIN
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(origin, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_origin(folder: Path) -> dict[str, Any]:
    """What ``write_origin`` wrote; empty where nothing was."""
    path = stores.notes_folder(folder) / _ORIGIN
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def extract_command(folder: Path) -> str:
    """The command that continues the store at ``folder``, as it was first called."""
    origin = read_origin(folder)
    parts = ["sercache extract"]
    for key, flag in _FLAGS.items():
        if key in origin:
            parts.append(f"{flag} {shlex.quote(str(origin[key]))}")
    parts += ["--pooled-only"] if origin.get("pooled_only") else []
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
        if spec.corpus == name and (origin := read_origin(folder)).get("root")
    ]
    if remembered:
        return Setting(max(remembered)[1], "as last extracted")
    raise SettingsError(
        f"where is {name}? give --root FOLDER, set {settings.root_variable(name)}, "
        f"or run: sercache config roots.{name}=FOLDER"
    )


def read_corpus(name: str, flag: Path | None, known: Settings, cache: Path) -> tuple[Corpus, Setting]:
    """The corpus as it lies on disk; says where, how much, and what differs from its published tables."""
    module = catalog.load("sercache.datasets", name)
    root = corpus_root(name, flag, known, cache)
    corpus = module.read(Path(root.value).expanduser())
    used("corpus", f"{name} {corpus.release}".rstrip() + f", {len(corpus.utterances)} utterances in {root}")
    for line in corpus.warnings:
        warn(line)
    for item in corpus.skipped[:5]:
        warn(f"left out {item.what}: {item.reason}")
    if len(corpus.skipped) > 5:
        warn(f"left out {len(corpus.skipped) - 5} more")
    return corpus, root

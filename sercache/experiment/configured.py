"""The settings of this user as they hold now, each with where it comes from; and changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import datasets, settings
from sercache.errors import SettingsError
from sercache.settings import Setting


@dataclass(frozen=True)
class Configured:
    """Every setting, and the file that may hold it."""

    file: Path | None
    settings: dict[str, Setting]
    """By key: those that everybody has, then folders of corpora (``roots.NAME``) and of checkpoints."""
    why_no_file: str = ""
    """What keeps this user from having a file."""

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {"file": self.file, "settings": {key: vars(each) for key, each in self.settings.items()}}


def run(changes: Sequence[str] = ()) -> Configured:
    """The settings after ``key=value`` changes, which are written to the file. Raises SettingsError."""
    known = settings.load()
    if changes:
        pairs = [change.partition("=") for change in changes]
        for key, equals, _ in pairs:
            if not equals:
                raise SettingsError(f"a setting is written key=value, got {key!r}")
        known = settings.change(known, {_key(key): value for key, _, value in pairs})
    held = {key: _value(known, key) for key in settings.KEYS}
    for name in sorted({*known.roots, *known.roots_in_environment()}):
        if root := known.root(name):
            held[f"roots.{name}"] = root
    for name, path in sorted(known.encoders.items()):
        held[f"encoders.{name}"] = Setting(path, str(known.file))
    return Configured(known.file, held, "" if known.file else settings.why_no_file(known.environment))


def _value(known: settings.Settings, key: str) -> Setting:
    """A setting, also where it has no value: what is there is to be seen without it."""
    try:
        return known.value(key)
    except SettingsError:
        return Setting("", "not set")


def _key(key: str) -> str:
    """A setting's key; the root of a corpus of one's own goes by its name alone, whatever reads it."""
    section, _, dataset = key.partition(".")
    if section != "roots" or ":" not in dataset:
        return key
    return f"roots.{datasets.named(dataset).name}"

"""`sercache config`: show or change the settings."""

from __future__ import annotations

from collections.abc import Sequence

from sercache import datasets, settings
from sercache.commands.console import print_json
from sercache.errors import SettingsError
from sercache.layout import columns
from sercache.progress import say


def run(changes: Sequence[str], *, as_json: bool = False) -> None:
    """Apply ``key=value`` changes, then print every setting with its source. Raises SettingsError."""
    known = settings.load()
    if changes:
        pairs = [change.partition("=") for change in changes]
        for key, equals, _ in pairs:
            if not equals:
                raise SettingsError(f"a setting is written key=value, got {key!r}")
        known = settings.change(known, {_key(key): value for key, _, value in pairs})
    rows = [(key, _value(known, key), meaning) for key, meaning in settings.KEYS.items()]
    names = {*known.roots, *known.roots_in_environment()}
    rows += [(f"roots.{name}", root, "") for name in sorted(names) if (root := known.root(name))]
    source = str(known.file)
    rows += [
        (f"encoders.{name}", settings.Setting(path, source), "")
        for name, path in sorted(known.encoders.items())
    ]
    if as_json:
        told = {key: {"value": str(each.value), "source": each.source} for key, each, _ in rows}
        print_json({"file": known.file, "settings": told})
        return
    for line in columns(rows):
        say(line)
    if known.file is None:
        say(f"file: none, for {settings.why_no_file(known.environment)}; SERCACHE_CONFIG names one")
    else:
        say(f"file: {known.file}{'' if known.file.exists() else ' (not written yet)'}")


def _value(known: settings.Settings, key: str) -> settings.Setting:
    """A setting, also where it has no value: what is there is to be seen without it."""
    try:
        return known.value(key)
    except SettingsError:
        return settings.Setting("", "not set")


def _key(key: str) -> str:
    """A setting's key; the root of a corpus of one's own goes by its name alone, whatever reads it."""
    section, _, dataset = key.partition(".")
    if section != "roots" or ":" not in dataset:
        return key
    asked = datasets.named(dataset)
    return f"roots.{asked.name}"

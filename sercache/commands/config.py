"""`sercache config`: show or change the settings."""

from __future__ import annotations

from collections.abc import Sequence

from sercache import settings
from sercache.commands._console import columns, say
from sercache.errors import SettingsError


def run(changes: Sequence[str]) -> None:
    """Apply ``key=value`` changes, then print every setting with its source. Raises SettingsError."""
    known = settings.load()
    if changes:
        pairs = [change.partition("=") for change in changes]
        for key, equals, _ in pairs:
            if not equals:
                raise SettingsError(f"a setting is written key=value, got {key!r}")
        known = settings.change(known, {key: value for key, _, value in pairs})
    rows = [(key, known.value(key), meaning) for key, meaning in settings.KEYS.items()]
    names = {*known.roots, *_roots_in(known)}
    rows += [(f"roots.{name}", root, "") for name in sorted(names) if (root := known.root(name))]
    source = str(known.file)
    rows += [
        (f"encoders.{name}", settings.Setting(path, source), "")
        for name, path in sorted(known.encoders.items())
    ]
    for line in columns(rows):
        say(line)
    say(f"file: {known.file}{'' if known.file.exists() else ' (not written yet)'}")


def _roots_in(known: settings.Settings) -> list[str]:
    """Corpora whose root an environment variable names."""
    prefix = settings.root_variable("")
    return [
        key[len(prefix) :].lower().replace("_", "-") for key in known.environment if key.startswith(prefix)
    ]

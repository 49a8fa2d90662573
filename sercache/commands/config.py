"""`sercache config`: show or change the settings."""

from __future__ import annotations

from sercache.commands.console import say_rows
from sercache.experiment.configured import Configured
from sercache.progress import say
from sercache.settings import KEYS


def shown(found: Configured) -> None:
    """Every setting with its source, and where the file lies that may hold it."""
    say_rows([(key, each, KEYS.get(key, "")) for key, each in found.settings.items()])
    if found.file is None:
        say(f"file: none, for {found.why_no_file}; SERCACHE_CONFIG names one")
    else:
        say(f"file: {found.file}{'' if found.file.exists() else ' (not written yet)'}")

"""Names that a shell completes: heads, corpora and encoders of the catalogue, runs, stores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from sercache import objects


class _Name(click.ParamType):
    """A name of the catalogue, or the path of a file of the user's; nothing is loaded to complete it."""

    def __init__(self, name: str, room: str) -> None:
        self.name, self.room = name, room

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from sercache import catalog, encoders

        known = catalog.names(self.room) if self.room != encoders.ROOM else sorted(encoders.short_names())
        return _begun(incomplete, known)


class _Encoder(_Name):
    """The name of an encoder, or what other tools call it."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> str:
        """Our name of it."""
        from sercache import encoders

        return encoders.own_name(value)


class Folder(click.Path):
    """A folder, or the address of one in an object store (``s3://…``), as the folder that stands for it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Path:
        """The folder. Raises SettingsError for an address that means nothing."""
        found = super().convert(value, param, context)
        return objects.folder_of(value) if objects.is_address(value) else Path(str(found))


class _Place(Folder):
    """A folder, of which sercache knows some."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from sercache import settings, stores
        from sercache.errors import SercacheError
        from sercache.report import runs

        known: list[str] = []
        try:
            given = ctx.params.get("cache" if self.kind == "store" else "runs")
            given = given if isinstance(given, Path) else None  # of report, runs are what it shows
            if self.kind == "store":
                cache = Path(settings.load().value("cache", given).value).expanduser()
                known = sorted(str(path) for path, _ in stores.find(cache))
            else:
                folder = Path(settings.load().value("runs", given).value).expanduser()
                known = sorted(map(str, runs.find(folder)))
        except (SercacheError, OSError):
            pass  # a shell that completes has nowhere to say it
        begun = str(settings.expanded(incomplete)) if incomplete.startswith("~") else incomplete
        # Not both: zsh puts what names and paths have in common in the place of the word, which is nothing.
        return _begun(begun, known) or super().shell_complete(ctx, param, incomplete)


def _begun(incomplete: str, known: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(each) for each in known if each.startswith(incomplete)]


HEAD = _Name("head", "sercache.heads")
CORPUS = _Name("corpus", "sercache.datasets")
ENCODER = _Encoder("encoder", "sercache.encoders")
FOLDER = Folder()
STORE, RUN = _Place("store"), _Place("run")

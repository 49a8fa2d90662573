"""Names that a shell completes: heads, corpora and encoders of the catalogue, runs, stores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem


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


class _Place(click.Path):
    """A folder, of which sercache knows some."""

    def __init__(self, kind: str) -> None:
        super().__init__(path_type=Path)
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
            if self.kind == "store":
                cache = Path(settings.load().value("cache", given).value)
                known = sorted(str(path) for path, _ in stores.find(cache))
            else:
                known = sorted(map(str, runs.find(Path(settings.load().value("runs").value))))
        except (SercacheError, OSError):
            pass  # a shell that completes has nowhere to say it
        return _begun(incomplete, known) + super().shell_complete(ctx, param, incomplete)


def _begun(incomplete: str, known: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(each) for each in known if each.startswith(incomplete)]


HEAD = _Name("head", "sercache.heads")
CORPUS = _Name("corpus", "sercache.datasets")
ENCODER = _Name("encoder", "sercache.encoders")
STORE, RUN = _Place("store"), _Place("run")

"""`sercache report`: runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sercache import settings
from sercache.commands._console import say, used
from sercache.commands._outcome import printed
from sercache.errors import SettingsError
from sercache.report import runs, tables
from sercache.report.render import Format


def run(folders: Sequence[Path], table_format: Format) -> None:
    """Print the runs named, or all of the runs folder, as one table. Raises SettingsError."""
    chosen = list(folders)
    if not chosen:
        where = settings.load().value("runs")
        chosen = runs.find(Path(where.value).expanduser())
        if not chosen:
            raise SettingsError(f"no runs in {where}; make one with: sercache train --head superb")
    reports = [runs.load(folder) for folder in chosen]
    say(tables.table(reports, printed=[printed(report) for report in reports], format=table_format))
    if table_format == "text":
        for folder in chosen:
            used(
                "run",
                f"{folder}{', plots in ' + str(folder / 'plots') if (folder / 'plots').exists() else ''}",
            )

"""`sercache report`: runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sercache.commands import _results
from sercache.commands.console import print_json
from sercache.experiment import details
from sercache.experiment import pages as of_pages
from sercache.experiment.outcome import shown, unfinished_at
from sercache.experiment.several import all_runs, names_of_runs, read_results, read_runs, run_folders
from sercache.layout import terminal_width
from sercache.progress import say, used
from sercache.report import Format


def detailed(request: details.DetailsOptions, table_format: Format, *, as_json: bool) -> None:
    """Print what lies behind the score of one run."""
    found = details.run(request)
    if as_json:
        print_json(found)
        return
    say("\n\n".join(each.render(table_format, terminal_width()) for each in found.tables))


def pages(request: of_pages.PageOptions) -> None:
    """Write pages of runs, and print where the first of them lies."""
    say(str(of_pages.run(request).written[0]))


def run(paths: Sequence[Path], table_format: Format, *, as_json: bool = False) -> None:
    """Print the runs named, or all of the runs folder, as tables of what can be compared.

    Of a folder that holds runs, as a sweep does, all of them; of an unfinished run what is missing. Raises
    SettingsError.
    """
    if as_json:
        print_json(read_results(run_folders(paths) if paths else all_runs()))
        return
    finished = [path for path in paths if not _told(path)]
    if paths and not finished:
        return
    reports, folders = read_runs(run_folders(finished) if finished else all_runs())
    say(shown(reports, names_of_runs(folders), table_format))
    if table_format == "text":
        for folder in folders:
            plots = folder / "plots"
            used("run", f"{folder}{f', plots in {plots}' if any(plots.glob('*.png')) else ''}")
        _results.passes(reports)


def _told(path: Path) -> bool:
    """Whether it is an unfinished run: what is missing has been said then."""
    found = unfinished_at(path)
    for each in found:
        used("run", f"{path} is not finished: {each}")
        if each.command:
            used("to finish", each.command)
    return bool(found)

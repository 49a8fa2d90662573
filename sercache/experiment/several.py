"""Several run folders as one call names them: found, read, called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sercache import advice, settings
from sercache.errors import ContractError, SettingsError, UnknownNameError
from sercache.evaluation import with_scope
from sercache.experiment.head_file import file_of
from sercache.experiment.result import Result
from sercache.progress import warn
from sercache.record import Report
from sercache.report import runs


def all_runs() -> list[Path]:
    """Every run of the runs folder. Raises SettingsError where there is none."""
    where = settings.load().value("runs")
    found = runs.find(Path(where.value).expanduser())
    if not found:
        raise SettingsError(
            f"no runs in {where}; `{advice.command('train', help=True)}` shows how to make one"
        )
    return found


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """The run folders among some paths and in folders among them, each once; the rest is named and left out.

    Raises SettingsError where a path does not exist, or none leads to a run.
    """
    chosen: dict[Path, None] = {}
    left: list[Path] = []
    for path in paths:
        if not path.exists():
            hint = runs.meant(path) or f" (those that there are: {advice.command('report')})"
            raise SettingsError(f"{path} does not exist; expected a run folder{hint}")
        found = [path] if (path / runs.REPORT).is_file() else runs.find(path) if path.is_dir() else []
        chosen |= dict.fromkeys(found)
        left += [] if found else [path]
    if not chosen:
        more = f" (nor are {len(left) - 1} others)" if len(left) > 1 else ""
        raise SettingsError(
            f"{left[0]} is not a run folder and holds none: there is no {runs.REPORT}{more}; "
            f"`{advice.command('train', help=True)}` shows how to make one"
        )
    if left:
        warn(f"no runs, left out: {', '.join(path.name for path in left)}")
    return list(chosen)


def read_runs(folders: Sequence[Path]) -> tuple[list[Report], list[Path]]:
    """Reports and their folders. One that is damaged among several is named and left out. Raises SettingsError."""
    found: list[tuple[Report, Path]] = []
    for folder in folders:
        try:
            found.append((_with_scope(runs.load(folder)), folder))
        except SettingsError as fault:
            if len(folders) == 1:
                raise
            warn(str(fault))
    if not found:
        raise SettingsError(f"none of {len(folders)} runs can be read")
    return [report for report, _ in found], [folder for _, folder in found]


def read_results(folders: Sequence[Path]) -> list[Result]:
    """As ``read_runs``, each with its folder."""
    return [Result(report, folder=folder) for report, folder in zip(*read_runs(folders), strict=True)]


def _with_scope(report: Report) -> Report:
    """With the scope inside the head, which older runs do not tell; a head that is not here tells nothing."""
    if report.standardises is not None:
        return report
    try:
        return with_scope(report, file_of(report, None).Head)
    except (UnknownNameError, ContractError):
        return report


def names_of_runs(folders: Sequence[Path]) -> list[str]:
    """What folders are called: their names, with the folder above where two are the same."""
    names = [folder.name for folder in folders]
    return [f"{f.parent.name}/{f.name}" if names.count(f.name) > 1 else f.name for f in folders]

"""`sercache report`: runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sercache import advice, settings
from sercache.errors import ContractError, SettingsError, UnknownNameError
from sercache.evaluation import with_scope
from sercache.experiment.head_file import file_of
from sercache.experiment.outcome import shown, unfinished_at
from sercache.progress import say, used, warn
from sercache.record import Report
from sercache.report import Format, runs


def run(paths: Sequence[Path], table_format: Format) -> None:
    """Print the runs named, or all of the runs folder, as tables of what can be compared.

    Of a folder that holds runs, as a sweep does, all of them; of an unfinished run what is missing. Raises
    SettingsError.
    """
    if paths:
        finished = [path for path in paths if not _told(path)]
        if not finished:
            return
        chosen = _chosen(finished)
    else:
        where = settings.load().value("runs")
        chosen = runs.find(Path(where.value).expanduser())
        if not chosen:
            raise SettingsError(
                f"no runs in {where}; `{advice.command('train', help=True)}` shows how to make one"
            )
    reports, folders = _read(chosen)
    say(shown(reports, _names(folders), table_format))
    if table_format == "text":
        for folder in folders:
            plots = folder / "plots"
            used("run", f"{folder}{f', plots in {plots}' if any(plots.glob('*.png')) else ''}")


def _told(path: Path) -> bool:
    """Whether it is an unfinished run: what is missing has been said then."""
    found = unfinished_at(path)
    for each in found:
        used("run", f"{path} is not finished: {each}")
        if each.command:
            used("to finish", each.command)
    return bool(found)


def _chosen(paths: Sequence[Path]) -> list[Path]:
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


def _read(folders: Sequence[Path]) -> tuple[list[Report], list[Path]]:
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


def _with_scope(report: Report) -> Report:
    """With the scope inside the head, which older runs do not tell; a head that is not here tells nothing."""
    if report.standardises is not None:
        return report
    try:
        return with_scope(report, file_of(report, None).Head)
    except (UnknownNameError, ContractError):
        return report


def _names(folders: Sequence[Path]) -> list[str]:
    """What folders are called: their names, with the folder above where two are the same."""
    names = [folder.name for folder in folders]
    return [f"{f.parent.name}/{f.name}" if names.count(f.name) > 1 else f.name for f in folders]

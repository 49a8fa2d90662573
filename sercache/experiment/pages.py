"""`sercache report --html`: pages of runs, on which single utterances are read and heard, and an index of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sercache import catalog, files
from sercache.errors import SettingsError
from sercache.experiment.compare import paired
from sercache.experiment.illustrated import Seen, extras_of
from sercache.experiment.outcome import convention, printed
from sercache.experiment.result import Result
from sercache.experiment.several import all_runs, names_of_runs, read_runs, run_folders
from sercache.progress import bar, used
from sercache.record import HEADLINE, Report
from sercache.report import PageExtras, ReportTable, index, page, pair_plots, side_by_side
from sercache.settings import expanded
from sercache.statistics import System, system_of, unlike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PAIRED = 12
"""Runs of one table that are compared two by two: of more those with the highest scores."""
_PAGES = (".html", ".htm")
_SOUND, _SOUND_OF_ALL = 5_000_000, 50_000_000
"""Bytes of sound in a page, and in all pages of a call."""
INDEX = "index.html"


@dataclass(frozen=True)
class PageOptions:
    """The options of one call."""

    html: Path
    """A file that ends in .html for the page of one run; else a folder, for an index and a page of each run."""
    runs: Sequence[str | Path] = ()
    """Run folders, and folders that hold some; none: all of the runs folder."""
    audio: bool | None = None
    """Whether clips of recordings are in the pages; None: where the licence of the corpus lets anybody copy them."""
    root: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Pages:
    """What was written."""

    written: tuple[Path, ...]
    """The page of one run; or the index, then the page of each run."""


@dataclass(frozen=True)
class _Group:
    """Runs on the same utterances, two by two."""

    table: ReportTable
    figure: Figure
    names: tuple[str, ...]


def run(request: PageOptions, results: Sequence[Result] = ()) -> Pages:
    """Write the pages; ``results`` in memory come after the folders.

    Raises SettingsError for several runs in one file, for sound that may not be passed on; MissingExtraError.
    """
    out = expanded(request.html)
    folders = run_folders([expanded(each) for each in request.runs]) if request.runs else []
    if not folders and not results:
        folders = all_runs()
    reports, read = read_runs(folders) if folders else ([], [])
    names = [
        *names_of_runs(read),
        *(f"{each.report.head}, result {k}" for k, each in enumerate(results, start=1)),
    ]
    reports = [*reports, *(each.report for each in results)]
    seen = Seen.of(request.root, request.cache, request.audio)
    if out.suffix.lower() in _PAGES and not out.is_dir():
        if len(reports) > 1:
            raise SettingsError(
                f"{out} is one file and these are {len(reports)} runs; name a folder, which takes an index and a page "
                f"of each: --html {out.with_suffix('')}"
            )
        _make(out.parent)
        written = [_write(reports[0], out, extras_of(reports[0], seen, _SOUND))]
    else:
        _make(out)
        written = _several(reports, names, out, seen)
    used(
        "page" if len(written) == 1 else "pages",
        f"{written[0]}" + (f" and {len(written) - 1} more" if written[1:] else ""),
    )
    return Pages(tuple(written))


def _make(folder: Path) -> None:
    """Raises FileError where it cannot be made."""
    with files.write_faults_named(folder, "choose another place with --html"):
        folder.mkdir(parents=True, exist_ok=True)


def _several(reports: Sequence[Report], names: Sequence[str], out: Path, seen: Seen) -> list[Path]:
    """The index and a page of each run."""
    pages = _file_names(names)
    groups = _groups(reports, names)
    sound = min(_SOUND, _SOUND_OF_ALL // len(reports))
    written = []
    for name, report, file in zip(bar(names, desc="pages", unit="page"), reports, pages, strict=True):
        extras = extras_of(report, seen, sound)
        pairs = next((_with_run(group.table, name) for group in groups if name in group.names), None)
        extras = dataclasses.replace(extras, pairs=pairs, index=INDEX)
        written.append(_write(report, out / file, extras))
    links = {name: quote(file) for name, file in zip(names, pages, strict=True)}
    tables = side_by_side.runs_tables(
        reports, [printed(each) for each in reports], [convention(each) for each in reports], names
    )
    drawn = [(group.table, group.figure) for group in groups]
    files.write_text(out / INDEX, index.index_page(tables, links, drawn))
    return [out / INDEX, *written]


def _write(report: Report, path: Path, extras: PageExtras) -> Path:
    return page.write(report, path, printed=printed(report), aggregate=convention(report), extras=extras)


def _file_names(names: Sequence[str]) -> list[str]:
    """A file of its own for each run, and none called as the index; also where disks do not tell case apart."""
    found: dict[str, None] = {}
    taken = {INDEX}
    for name in names:
        stem, number = catalog.file_name(name), 1
        file = f"{stem}.html"
        while file.casefold() in taken:
            number += 1
            file = f"{stem}-{number}.html"
        taken.add(file.casefold())
        found[file] = None
    return list(found)


def _groups(reports: Sequence[Report], names: Sequence[str]) -> list[_Group]:
    """Runs that can be compared, two or more together, with the table and the picture of their pairs."""
    held: list[list[tuple[System, Report]]] = []
    for name, report in zip(names, reports, strict=True):
        if not report.predictions or not report.summary:
            continue
        system = system_of(report, name)
        own = next((group for group in held if not unlike(group[0][0], system)), None)
        if own is None:
            held.append(own := [])
        own.append((system, report))
    return [_group(group) for group in held if len(group) > 1]


def _group(group: Sequence[tuple[System, Report]]) -> _Group:
    best = sorted(group, key=lambda each: -each[1].summary[each[1].main_metric].score(HEADLINE).mean)[
        :_MOST_PAIRED
    ]
    systems, reports = [each for each, _ in best], [report for _, report in best]
    found, table = paired(systems, reports, [reports[0].main_metric])
    if len(best) < len(group):
        note = f"the {len(best)} of {len(group)} runs with the highest score are compared"
        table = dataclasses.replace(table, notes=(note, *table.notes))
    names = [each.name for each in systems]
    return _Group(table, pair_plots.matrix(table.title, names, found), tuple(names))


def _with_run(table: ReportTable, name: str) -> ReportTable:
    """The pairs that a run is one of."""
    return dataclasses.replace(table, rows=tuple(row for row in table.rows if name in row[:2]))

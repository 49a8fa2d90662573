"""`sercache probe`: what each state of an encoder tells, by logistic regression on its means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import catalog, files, settings, stores
from sercache.claims import Claims, claims_in, divided, taken
from sercache.datasets import Corpus
from sercache.errors import FileError, LeftOutError, MissingExtraError, SettingsError
from sercache.evaluation import (
    CLAIMS,
    MOST,
    Data,
    How,
    Method,
    evaluate,
    settle,
    tidy,
)
from sercache.experiment import clustered
from sercache.experiment.finding import FoundStore, check_store, encoder_of, find_store
from sercache.experiment.labels import read_labels
from sercache.experiment.options import Duplicates, Positive
from sercache.experiment.origin import extract_command
from sercache.experiment.places import check_writable, free_name, partial_of
from sercache.experiment.ready import AtHand
from sercache.experiment.together import standing_in
from sercache.progress import bar, notes_only, used, warn
from sercache.protocols import ALL
from sercache.recipe import Setup
from sercache.record import HEADLINE, NAMES, Report, digest_of
from sercache.report import Cell, ReportTable, html, pairs, plots
from sercache.report.layer_plots import probe_curve
from sercache.report.notes import about_score, interval_notes, of_rows, provenance
from sercache.states import select
from sercache.statistics import system_of
from sercache.units import listed

_HEAD = "logistic"
_WHAT = "probe.json"
"""Of which experiments a folder holds the table."""


@dataclass(frozen=True)
class ProbeOptions:
    """The options of one call."""

    encoder: str | None = None
    """None: that of ``store``."""
    dataset: str | None = None
    root: Path | None = None
    cache: Path | None = None
    runs: Path | None = None
    task: str | None = None
    protocol: str | None = None
    states: str = "all"
    clip: str | None = None
    duplicates: Duplicates | None = None
    c: Positive = 0.01
    store: Path | None = None
    cluster: str | None = None
    cluster_options: Sequence[str] = ()
    lifetime: str | None = None


@dataclass(frozen=True, eq=False)
class Probed:
    """What each state of an encoder tells."""

    reports: Mapping[str, Report]
    """Of the logistic regression on each state."""
    table: ReportTable
    folder: Path
    """That holds the table, and the plot where matplotlib is installed."""
    written: tuple[Path, ...]

    def plain(self) -> dict[str, Any]:
        """For programs: the table, and scores by state."""
        states = {name: report.summary for name, report in self.reports.items()}
        return {"folder": self.folder, "written": self.written, "table": self.table.plain(), "states": states}

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        return html(self.table)


def run(request: ProbeOptions, at_hand: AtHand | None = None) -> Probed:
    """Fit each state by itself over the folds of a protocol; draw and write the table.

    Processes that are given the same share the fits, and write one table; what was done before an interruption is kept.
    An encoder, a corpus and a store ``at_hand`` take the place of names. Raises SercacheError.
    """
    at_hand = at_hand or AtHand()
    if clustered.asked(request):
        clustered.run("probe", request, clustered.runs_folder(request), has_objects=not at_hand.is_empty)
        request = clustered.alone(request)
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    corpus = at_hand.corpus or _corpus(request, known, cache)
    encoder = request.encoder if request.store is None else encoder_of(request.store, request.encoder)
    setup = Setup(
        encoder=str(encoder),
        dataset=corpus.name,
        protocol=request.protocol or corpus.info.default_protocol,
        states=request.states,
        frames=False,
        task=request.task,
        clip=request.clip or "none",
        duplicates=request.duplicates,
    )
    found = _store(request, at_hand, cache, corpus, setup)
    for line in found.deviations:
        warn(line)
    if setup.protocol == ALL or corpus.is_numeric(setup.task):
        raise SettingsError(
            "a probe predicts classes of test parts: choose a protocol other than all, and a task that gives classes"
        )
    used("store", str(found.folder))
    used("protocol", f"{setup.protocol}, task {corpus.task_name(setup.task)}, C = {request.c:g}")
    runs = Path(known.value("runs", request.runs).value).expanduser()
    meant = free_name(runs, f"probe-{Path(setup.encoder).name}-{catalog.file_name(corpus.name)}")
    check_writable(meant)
    partial = partial_of(meant)
    asked = digest_of([str(found.folder), request.task, request.protocol, request.c, request.duplicates])
    places = [f"probe-{asked}-{number}" for number in range(1, MOST + 1)]
    with files.unless_empty(runs), _tidied(partial), claims_in(partial / CLAIMS) as claims:
        own = next((place for place in places if claims.take(place)), "")
        reports = _reports(corpus, found.folder, setup, request, partial, claims)
        made = table(reports, request.c)
        wanted = {name: _digest(report) for name, report in reports.items()}
        with taken(claims, f"table-{digest_of(wanted)}"):
            folder = next((each for each in standing_in(meant) if _probed_in(each) == wanted), None)
            if folder is None:
                folder = free_name(meant.parent, meant.name)
                _write(made, reports, wanted, folder)
            claims.release(own)
            if not claims.others(places):  # who is at work on the same needs the fits still
                for report in reports.values():
                    settle(partial, report)
    written = tuple(sorted(path for path in folder.iterdir() if path.name != _WHAT))
    return Probed(reports, made, folder, written)


@contextmanager
def _tidied(partial: Path) -> Iterator[None]:
    try:
        yield
    finally:
        tidy(partial)


def _digest(report: Report) -> str:
    return report.experiment.digest if report.experiment else ""


def _probed_in(folder: Path) -> dict[str, Any]:
    """Digests of the experiments that a folder holds the table of, by state; empty where that is not known."""
    with suppress(FileError):
        return files.read_json(folder / _WHAT, "probe again")
    return {}


def _write(made: ReportTable, reports: Mapping[str, Report], wanted: Mapping[str, str], folder: Path) -> None:
    """Table, plot and what they are of; they appear together."""
    with files.new_folder(folder) as temporary:
        made.write(temporary / "probe")
        try:
            plots.save(probe_curve(reports), temporary / "probe")
        except MissingExtraError as fault:
            warn(str(fault))
        files.write_json(temporary / _WHAT, wanted)


def _corpus(request: ProbeOptions, known: settings.Settings, cache: Path) -> Corpus:
    """The corpus by name, or that of the store. Raises SettingsError where neither is named."""
    if request.store is None and None in (request.encoder, request.dataset):
        raise SettingsError("name what is probed: --encoder and --dataset, or --store")
    return read_labels(request.dataset, request.root, known, cache, request.store)


def _store(request: ProbeOptions, at_hand: AtHand, cache: Path, corpus: Corpus, setup: Setup) -> FoundStore:
    """The store that is probed."""
    chosen = request.clip is not None
    if at_hand.store is not None:
        return check_store(at_hand.store.path, corpus, setup, chosen)
    if request.store is not None:
        return check_store(request.store, corpus, setup, chosen)
    identity = at_hand.encoder.identity if at_hand.encoder else None
    return find_store(cache, corpus, setup, _HEAD, clip_is_chosen=chosen, identity=identity)


def _reports(
    corpus: Corpus, folder: Path, setup: Setup, request: ProbeOptions, partial: Path, claims: Claims
) -> dict[str, Report]:
    """A report for each state; those first that no other process works on, which keeps its fits in ``partial``."""
    module, store = catalog.load("sercache.heads", _HEAD), stores.open(folder)
    data = Data(corpus, (store,), remedy=f"run: {extract_command(folder, task=request.task)}")
    names = store.spec.states
    if setup.states.strip() != "all":
        names = select(store.spec.encoder_states or store.spec.states, setup.states)
    found: dict[str, Report] = {}
    asked = [str(folder), request.task, request.protocol, request.c, request.duplicates]
    claimed = [f"state-{digest_of([*asked, name])}" for name in names]
    order = divided(claims, claimed)
    for place in bar(order, desc="probing", unit="state", total=len(names)):
        name = names[place]
        own = dataclasses.replace(setup, states=name, clip=store.spec.clip)
        method = Method(_HEAD, module.Head, own, module.RECIPE, {"c": request.c})
        try:
            with notes_only():
                found[name] = evaluate(method, data, how=How(partial=partial)).report
        except LeftOutError:
            claims.leave_out(claimed[place])
    if len(found) < len(names):
        left_out = listed([name for name in names if name not in found])
        raise LeftOutError(
            f"left out: state {left_out}, since every process that fitted it was lost; the other states are done, and "
            "the same command tries again"
        )
    return {name: found[name] for name in names}


def table(reports: Mapping[str, Report], c: float) -> ReportTable:
    """One row per state: every metric of the pooled predictions, and the interval of its UA."""
    first = next(iter(reports.values()))
    metrics = first.metrics
    differs, about_best = pairs.best_column([system_of(report, name) for name, report in reports.items()])
    rows: list[tuple[Cell, ...]] = []
    for k, (name, report) in enumerate(reports.items()):
        pooled = [report.summary[metric].score(HEADLINE) for metric in metrics]
        rows.append((name, *pooled, report.summary["ua"].interval(HEADLINE), *differs[k : k + 1]))
    best = max(reports, key=lambda name: reports[name].summary["ua"].score(HEADLINE).mean)
    notes = [
        f"logistic regression on the mean over time of one state, C = {c:g} fixed: nothing is tuned",
        about_score([first], HEADLINE),
        *interval_notes([report.summary["ua"].interval(HEADLINE) for report in reports.values()]),
        *of_rows([(f"state {name}", provenance(report)) for name, report in reports.items()]),
    ]
    if len(reports) > 1:
        notes.append(
            f"highest UA: state {best}; that it is the highest was seen on the test parts, so choose a state by a "
            "dev part before you report it"
        )
    notes += about_best
    setup = first.setup
    title = (
        f"Probe of {setup['encoder']} on {first.corpus['name']} ({setup['protocol']}, {first.corpus['task']}): "
        f"{first.estimand(HEADLINE)}"
    )
    columns = ("state", *(NAMES[metric] for metric in metrics), "UA 95 %", *([pairs.BEST] if differs else []))
    return ReportTable(title, columns, tuple(rows), tuple(notes))

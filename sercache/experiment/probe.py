"""`sercache probe`: what each state of an encoder tells, by logistic regression on its means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sercache import catalog, settings, stores
from sercache.datasets import Corpus
from sercache.errors import MissingExtraError, SettingsError
from sercache.evaluation import Data, Method, evaluate
from sercache.experiment.finding import FoundStore, check_store, find_store
from sercache.experiment.labels import read_labels
from sercache.experiment.options import Duplicates, Positive
from sercache.experiment.origin import extract_command
from sercache.experiment.places import free_name
from sercache.experiment.ready import AtHand
from sercache.progress import bar, notes_only, used, warn
from sercache.protocols import ALL
from sercache.recipe import Setup
from sercache.record import HEADLINE, NAMES, Report
from sercache.report import ReportTable, html, plots
from sercache.report.layer_plots import probe_curve
from sercache.report.notes import about_score, interval_notes, of_rows, provenance
from sercache.states import select

_HEAD = "logistic"


@dataclass(frozen=True)
class ProbeOptions:
    """The options of one call."""

    encoder: str
    dataset: str
    root: Path | None = None
    cache: Path | None = None
    runs: Path | None = None
    task: str | None = None
    protocol: str | None = None
    states: str = "all"
    clip: str | None = None
    duplicates: Duplicates | None = None
    c: Positive = 0.01


@dataclass(frozen=True, eq=False)
class Probed:
    """What each state of an encoder tells."""

    reports: Mapping[str, Report]
    """Of the logistic regression on each state."""
    table: ReportTable
    folder: Path
    """That holds the table, and the plot where matplotlib is installed."""
    written: tuple[Path, ...]

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        return html(self.table)


def run(request: ProbeOptions, at_hand: AtHand | None = None) -> Probed:
    """Fit each state by itself over the folds of a protocol; draw and write the table.

    An encoder, a corpus and a store ``at_hand`` take the place of names. Raises SercacheError.
    """
    at_hand = at_hand or AtHand()
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    corpus = at_hand.corpus or read_labels(request.dataset, request.root, known, cache)
    setup = Setup(
        encoder=request.encoder,
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
    reports = _reports(corpus, found.folder, setup, request)
    made = table(reports, request.c)
    runs = Path(known.value("runs", request.runs).value).expanduser()
    folder = free_name(runs, f"probe-{Path(setup.encoder).name}-{catalog.file_name(corpus.name)}")
    written = made.write(folder / "probe")
    try:
        written += plots.save(probe_curve(reports), folder / "probe")
    except MissingExtraError as fault:
        warn(str(fault))
    return Probed(reports, made, folder, tuple(written))


def _store(request: ProbeOptions, at_hand: AtHand, cache: Path, corpus: Corpus, setup: Setup) -> FoundStore:
    """The store that is probed."""
    chosen = request.clip is not None
    if at_hand.store is not None:
        return check_store(at_hand.store.path, corpus, setup, chosen)
    identity = at_hand.encoder.identity if at_hand.encoder else None
    return find_store(cache, corpus, setup, _HEAD, clip_is_chosen=chosen, identity=identity)


def _reports(corpus: Corpus, folder: Path, setup: Setup, request: ProbeOptions) -> dict[str, Report]:
    """A report for each state."""
    module, store = catalog.load("sercache.heads", _HEAD), stores.open(folder)
    data = Data(corpus, (store,), remedy=f"run: {extract_command(folder, task=request.task)}")
    names = store.spec.states
    if setup.states.strip() != "all":
        names = select(store.spec.encoder_states or store.spec.states, setup.states)
    reports: dict[str, Report] = {}
    for name in bar(names, desc="probing", unit="state"):
        own = dataclasses.replace(setup, states=name, clip=store.spec.clip)
        method = Method(_HEAD, module.Head, own, module.RECIPE, {"c": request.c})
        with notes_only():
            reports[name] = evaluate(method, data).report
    return reports


def table(reports: Mapping[str, Report], c: float) -> ReportTable:
    """One row per state: every metric of the pooled predictions, and the interval of its UA."""
    first = next(iter(reports.values()))
    metrics = first.metrics
    rows = []
    for name, report in reports.items():
        pooled = [report.summary[metric].score(HEADLINE) for metric in metrics]
        rows.append((name, *pooled, report.summary["ua"].interval(HEADLINE)))
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
    setup = first.setup
    title = (
        f"Probe of {setup['encoder']} on {first.corpus['name']} ({setup['protocol']}, {first.corpus['task']}): "
        f"{first.estimand(HEADLINE)}"
    )
    columns = ("state", *(NAMES[metric] for metric in metrics), "UA 95 %")
    return ReportTable(title, columns, tuple(rows), tuple(notes))

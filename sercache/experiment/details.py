"""What lies behind the score of a run: its probabilities, and how it does on parts of the utterances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from sercache import advice, datasets, settings, stores
from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.experiment.compare import trained_alike
from sercache.experiment.corpora import cache_if_any
from sercache.experiment.info import spoken_seconds
from sercache.experiment.labels import read_labels
from sercache.experiment.lexical import called
from sercache.experiment.result import Result
from sercache.progress import warn
from sercache.record import Report
from sercache.report import ReportTable, breakdown, html, listeners, probabilities, tables

By = Literal["speaker", "sex", "language", "duration", "corpus"]


@dataclass(frozen=True)
class DetailsOptions:
    """The options of one call."""

    run: Path
    calibration: bool = False
    by: Sequence[By] = ()
    listeners: bool = False
    root: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Details:
    """Tables on one run, in the order that they were asked for."""

    tables: tuple[ReportTable, ...]

    def plain(self) -> list[dict[str, Any]]:
        """As JSON values: title, rows by column, notes."""
        return [table.plain() for table in self.tables]

    def _repr_html_(self) -> str:
        """The tables, for notebooks."""
        return "\n".join(map(html, self.tables))


def run(request: DetailsOptions, trained: Result | None = None, corpus: Corpus | None = None) -> Details:
    """The tables that are asked for of one run; a result and a corpus in memory take the place of names.

    Sex and language are those of the corpus, lengths those of the store. What cannot be told is left out with a
    warning. Raises SettingsError where the run tested nothing, or nothing that is asked for can be told.
    """
    trained = trained or Result.load(request.run)
    report, where = trained.report, trained.folder or "this result"
    if not report.predictions:
        raise SettingsError(f"{where} tested nothing at home, so that there is nothing to break down")
    reading = cache(lambda: corpus or _corpus(report, request))
    made: list[ReportTable] = []
    faults: list[SettingsError] = []
    for table in _asked(request, report, where, reading):
        try:
            made += table()
        except SettingsError as fault:
            faults.append(fault)
    if not made and faults:
        raise faults[0]
    for each in faults:
        warn(f"a table is left out: {each}")
    return Details(tuple(made))


def _asked(
    request: DetailsOptions, report: Report, where: object, reading: Callable[[], Corpus]
) -> list[Callable[[], list[ReportTable]]]:
    """What makes each of the tables that are asked for, in their order; ``reading`` gives the corpus, read once."""
    asked: list[Callable[[], list[ReportTable]]] = []
    if request.calibration:
        asked.append(lambda: _calibration(report, where))
    for by in request.by:
        if by == "corpus":
            asked.append(lambda: [_other_corpora(report)])
        else:
            asked.append(partial(_parts, by, report, request, reading))
    if request.listeners:
        asked.append(lambda: [_listeners(report, reading())])
    return asked


def _parts(
    by: str, report: Report, request: DetailsOptions, reading: Callable[[], Corpus]
) -> list[ReportTable]:
    return [breakdown.breakdown_table(report, by, _values(by, report, request, reading))]


def _calibration(report: Report, where: object) -> list[ReportTable]:
    """Calibration, and answering the surest. Raises SettingsError for numbers."""
    if report.targets:
        raise SettingsError(f"{where} predicts numbers, which have no probabilities; leave --calibration out")
    old = not report.dev_predictions and any(fold.n_dev for fold in report.folds)
    remedy = trained_alike(report, report, name=f"{Path(str(where)).name}-with-dev") if old else ""
    return [probabilities.calibration_table(report, remedy), probabilities.selective_table(report)]


def _listeners(report: Report, corpus: Corpus) -> ReportTable:
    """Human listeners beside the head. Raises SettingsError where the corpus, as it lies here, holds none."""
    if report.targets:
        raise SettingsError("these heads predict numbers, and listeners are compared by classes")
    made = listeners.listeners_table(report, datasets.listener_votes(corpus, str(report.corpus["task"])))
    if made is not None:
        return made
    ids = {p.id for p in report.predictions}
    rates = {id: rate for id, rate in datasets.listener_rates(corpus).items() if id in ids}
    if not rates:
        raise SettingsError(
            f"{corpus.name} as it lies here holds neither votes of single listeners nor rates of recognition; IEMOCAP, "
            "MSP-IMPROV, CREMA-D (finishedResponses.csv) and EMO-DB (erkennung.txt) publish them"
        )
    return listeners.rates_table(report, rates)


def _other_corpora(report: Report) -> ReportTable:
    if not report.cross_corpus:
        raise SettingsError(
            f"these heads were tested on {report.corpus['name']} alone; `{advice.command('evaluate', help=True)}` "
            "shows how to test them on others"
        )
    return tables.cross_corpus_table(report)


def _values(
    by: str, report: Report, request: DetailsOptions, reading: Callable[[], Corpus]
) -> Mapping[str, str]:
    """By id what an utterance is told apart by. Raises SettingsError for what is not known of any."""
    found: Mapping[str, str]
    if by == "speaker":
        found = {p.id: p.speaker for p in report.predictions if p.speaker}
    elif by == "duration":
        found = {id: breakdown.band(seconds) for id, seconds in _seconds(report, request).items()}
    else:
        found = {u.id: value for u in reading().utterances if (value := getattr(u, by))}
    ids = {p.id for p in report.predictions}
    found = {id: value for id, value in found.items() if id in ids}
    if not found:
        raise SettingsError(
            f"{report.corpus['name']} does not say the {by} of its utterances; choose another --by"
        )
    return found


def _corpus(report: Report, request: DetailsOptions) -> Corpus:
    known = settings.load()
    return read_labels(called(report.corpus), request.root, known, cache_if_any(known, request.cache))


def _seconds(report: Report, request: DetailsOptions) -> dict[str, float]:
    """Length of each utterance in seconds, all of its clips together, by the store that trained the run."""
    features = Path(settings.load().value("cache", request.cache).value).expanduser()
    digest = report.features["digest"]
    folder = next((folder for folder, spec in stores.find(features) if spec.digest == digest), None)
    if folder is None:
        raise SettingsError(
            f"lengths are read from the features of the run, which are not in {features}; give their --cache"
        )
    if stores.read_spec(folder).is_text:
        raise SettingsError("features of text have no length in seconds; choose another --by")
    return {id: seconds for (_, id), seconds in spoken_seconds(folder).items()}

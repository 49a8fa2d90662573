"""`sercache lexical`: how much a run's predictions depend on the words that are spoken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import advice, settings
from sercache.catalog import file_name
from sercache.datasets import Corpus, split_task
from sercache.errors import SettingsError
from sercache.evaluation.lexical import Lexical, Unit, lexical, transcripts
from sercache.experiment import corpus_table
from sercache.experiment.corpora import cache_if_any
from sercache.experiment.cross_corpus import answers, name_with_task, tested_since
from sercache.experiment.labels import read_labels
from sercache.experiment.result import Result
from sercache.progress import warn
from sercache.record import CrossCorpus, Report, counted
from sercache.report import ReportTable


@dataclass(frozen=True)
class LexicalOptions:
    """The options of one call."""

    run: Path
    on: str | None = None
    """A corpus that the run was tested on, ``DATASET[:TASK]``."""
    root: Path | None = None
    cache: Path | None = None
    unit: Unit = "utterance"
    weighted: bool = False


@dataclass(frozen=True)
class WordDependence:
    """How much a run's predictions depend on the words that are spoken."""

    ppmi: Lexical
    table: ReportTable
    written: tuple[Path, ...]
    """Files beside the run; none of a run that was not saved."""


def run(
    request: LexicalOptions, trained: Result | None = None, corpus: Corpus | None = None
) -> WordDependence:
    """The PPMI of words and predicted classes; its table is written into the run folder.

    A result and a corpus in memory take the place of names. Raises SettingsError where the run predicts no classes of
    that corpus, or it has no transcripts.
    """
    trained = trained or Result.load(request.run)
    report, where = trained.report, trained.folder or "this result"
    if report.targets:
        raise SettingsError(f"{where} predicts numbers; PPMI is of predicted classes")
    there = None if request.on is None else said_there(request.on, trained)
    if there is None and not report.predictions:
        raise SettingsError(f"{where} tested nothing at home; name a corpus that it was tested on with --on")
    about = there.corpus if there else report.corpus
    name = about["name"]
    if corpus is None:
        known = settings.load()
        cache = cache_if_any(known, request.cache)
        corpus = read_labels(called(about), request.root, known, cache)
    if corpus.reader and not corpus.goes_by(name, about["release"]):
        warn(
            f"{name} is release {corpus.release} now and {about['release']} in {where}: its table is another, or "
            "has changed; predictions and words are put together by id"
        )
    found = lexical(
        there.predictions if there else report.predictions,
        report.classes,
        _words(corpus, request.unit),
        by="model" if there else "seed",
        unit=request.unit,
        weighted=request.weighted,
    )
    made = table(report, name, found, request.unit, request.weighted, by_model=there is not None)
    if trained.folder is None:
        return WordDependence(found, made, ())
    stem = "lexical"
    if there is not None:
        with_task = split_task(str(request.on))[1] is not None
        stem += f"-on-{name_with_task(name, there.task) if with_task else file_name(name)}"
    return WordDependence(found, made, tuple(made.write(trained.folder / stem)))


def _words(corpus: Corpus, unit: Unit) -> dict[str, str]:
    """What each utterance says, by id; of a corpus that is known by digests of its transcripts, these.

    Raises SettingsError where it has neither, or its digests tell no words.
    """
    store = corpus.from_store
    if store is None or any(u.transcript for u in corpus.utterances):
        return transcripts(corpus)
    digests = corpus_table.transcript_digests(store)
    if not digests:
        return transcripts(corpus)  # which says so
    if unit == "word":
        raise SettingsError(
            f"the table of {store} has digests of the transcripts of {corpus.name}, which tell equal utterances and no "
            "words; choose --unit utterance, or extract with --keep-transcripts where the recordings lie"
        )
    return digests


def called(about: Mapping[str, Any]) -> str:
    """What ``--dataset`` takes for the corpus of a report."""
    return f"{about['reader']}:{about['name']}" if about.get("reader") else str(about["name"])


def said_there(asked: str, trained: Result) -> CrossCorpus:
    """What the run says of another corpus: tested after training, or since by `sercache evaluate`."""
    found = [*trained.report.cross_corpus, *(tested_since(trained.folder) if trained.folder else ())]
    fitting = [each for each in found if answers(each, asked)]
    if not fitting:
        tested = ", ".join(dict.fromkeys(f"{each.dataset}:{each.task}" for each in found)) or "none"
        dataset, task = split_task(asked)
        where = trained.folder or "RUN"
        raise SettingsError(
            f"{trained.folder or 'this result'} was not tested on {asked} (tested on: {tested}); run: "
            f"{advice.command('evaluate', where, dataset=dataset, task=task)}"
        )
    return fitting[0]


def table(
    report: Report, corpus: str, found: Lexical, unit: Unit, weighted: bool, *, by_model: bool
) -> ReportTable:
    """PPMI of each class and over all, in bits."""
    n = found.overall.n
    over = counted(n, "model") if by_model else f"{counted(n, 'seed')}, whose folds are taken together"
    weights = "weighted by p(item|class)" if weighted else "each the same"
    notes = [
        f"PPMI in bits of {unit} and predicted class, lower is better; mean ± sample std over {over}",
        f"of a class: mean over the {unit}s that were predicted so at least once, {weights}; overall: mean of the "
        "classes that are predicted",
        f"{found.n_items} different items in {found.n_utterances} utterances"
        + (f"; {found.n_left_out} without a transcript left out" if found.n_left_out else ""),
    ]
    if unit == "utterance" and found.n_items == found.n_utterances:
        notes.append("every transcript occurs once, so PPMI says only how often each class is predicted")
    rows = [*((name, value) for name, value in found.classes.items()), ("overall", found.overall)]
    return ReportTable(
        f"{report.title}: lexical dependence on {corpus}",
        ("predicted class", "PPMI"),
        tuple(rows),
        tuple(notes),
    )

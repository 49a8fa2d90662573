"""Cross-corpus testing: the trained heads of a finished run on another corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from sercache import settings
from sercache.datasets import Corpus
from sercache.errors import RecipeError, SettingsError
from sercache.evaluation import Extra, cross_corpus_task, evaluate_cross_corpus, read_scalings, setup_of
from sercache.experiment.cross_corpus import Tested, TestedHeads, extra_of, folder_on, other_corpus
from sercache.experiment.options import Duplicates
from sercache.experiment.origin import known_origin
from sercache.experiment.outcome import draw
from sercache.experiment.places import free_name, written_in_turn
from sercache.experiment.result import Result
from sercache.experiment.tails import head_class
from sercache.progress import bar, used
from sercache.record import CrossCorpus, Report, digest_of
from sercache.report import runs
from sercache.settings import Settings
from sercache.stores import FeatureStore
from sercache.training import build
from sercache.views import AnyView, Scaling


@dataclass(frozen=True)
class TestOptions:
    """The options of one call."""

    run: Path
    dataset: str | None = None
    """A corpus, or the folder of a store of it; None: that of ``store``."""
    task: str | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    encoder: str | None = None
    """Where the checkpoint lies, for a run that trained a local one's blocks with its head."""
    head: str | None = None
    """File of the run's head, where the run alone names it or nothing does."""
    duplicates: Duplicates | None = None
    """What is to be done about recordings that the run was trained on: ``keep`` or ``apart``."""
    store: Path | None = None


def run(
    request: TestOptions,
    trained: Result | None = None,
    corpus: Corpus | None = None,
    *stores_at_hand: FeatureStore,
) -> Result:
    """Predict all of a corpus with every head of a run; write ``RUN/on-<corpus>``, where it lies in a folder.

    Another task than the corpus gets by itself has a folder of its own, ``RUN/on-<corpus>-<task>``. ``trained``, the
    ``corpus`` and stores of its features, one for each input, take the place of names where they are given.
    Raises SettingsError where the run kept no weights or has seen that corpus, MissingFeaturesError.
    """
    trained = trained or Result.load(request.run, request.head)
    report = trained.report
    known = settings.load()
    used("run", f"{trained.folder or 'in memory'}: {report.title}")
    setup = dataclasses.replace(setup_of(report.setup), encoder=report.features["spec"]["encoder"])
    heads = TestedHeads(report.head, setup, report.corpus["task"], identities(report))
    extra = _extra(request, heads, known, corpus, stores_at_hand)
    # A run with --finetune-from needs the checkpoint itself; the store remembers where it lay.
    origin = known_origin(extra.store.path)
    setup = dataclasses.replace(setup, encoder=request.encoder or origin.get("encoder", setup.encoder))
    kind = head_class(
        trained.head_file,
        setup,
        [each.spec for each in extra.stores],
        report.recipe,
    )
    models = bar(total=len(report.runs), desc="predicting", unit="model")
    try:
        there = evaluate_cross_corpus(
            report,
            extra,
            partial(trained_head, kind, trained),
            scalings_of(trained),
            duplicates=request.duplicates,
            device=settings.resolve_device(known.value("device", request.device).value),
            progress=lambda _: models.update(),
        )
    finally:
        models.close()
    return _finish(trained, there, extra.corpus)


def _extra(
    request: TestOptions,
    heads: TestedHeads,
    known: Settings,
    corpus: Corpus | None,
    given: Sequence[FeatureStore],
) -> Extra:
    """The corpus to test on with the store of each input."""
    if corpus is not None and given:
        first, *more = given
        return Extra(corpus, first, request.task or cross_corpus_task(corpus, heads.task), beside=tuple(more))
    cache = Path(known.value("cache", request.cache).value).expanduser()
    if corpus is None:
        where = Tested(request.dataset, request.root, request.store)
        return other_corpus(where, request.task, heads, known, cache)
    return extra_of(corpus, request.task or cross_corpus_task(corpus, heads.task), heads, cache)


def trained_head(kind: type[nn.Module], trained: Result, fold: str, seed: int, view: AnyView) -> nn.Module:
    """The trained head of a fold and a seed. Raises SettingsError where its weights were not kept or do not fit."""
    report = trained.report
    outputs = report.targets or report.classes
    weights = trained.weights[fold, seed]
    try:
        return build(kind, view, len(outputs), seed, start=weights, **report.options).eval()
    except RecipeError as fault:
        path = runs.weights_path(trained.folder or Path(), fold, seed)
        raise SettingsError(
            f"{path} is not of the head {report.head} that report.json names: {fault}"
        ) from fault


def identities(report: Report) -> list[Mapping[str, Any]]:
    """Of the encoder of each input."""
    stores = [report.features, *report.features.get("beside", ())]
    return [store["spec"]["identity"] for store in stores]


def scalings_of(trained: Result) -> dict[str, tuple[Scaling, ...]]:
    """Statistics of each fold's inputs, where the run normalised globally."""
    report = trained.report
    if report.setup["normalise"] != "global":
        return {}
    return {fold.name: read_scalings(dict(trained.weights[fold.name, None])) for fold in report.folds}


def _finish(trained: Result, there: CrossCorpus, corpus: Corpus) -> Result:
    """A run folder inside the run's: its record without its own tests, and what was said of the corpus."""
    report = trained.report
    bare = tuple(dataclasses.replace(each, scores={}) for each in report.runs)
    about = dataclasses.replace(
        report,
        runs=bare,
        predictions=(),
        dev_predictions=(),
        summary={},
        confusion=(),
        notes=(),
        cross_corpus=(there,),
        recordings=None,
    )
    if trained.folder is None:
        return Result(about)
    folder = folder_on(trained.folder, report, corpus, there.task)
    with written_in_turn(trained.folder, folder.name):
        _make_room(folder, there)
        runs.save(about, folder, overwrite=True)
        draw(about, folder)
    return Result(about, {}, folder)


def _make_room(folder: Path, there: CrossCorpus) -> None:
    """What was said of other utterances or features of the corpus is no earlier try of this: it is moved aside."""
    try:
        before = runs.load(folder).cross_corpus if (folder / runs.REPORT).is_file() else ()
    except SettingsError:  # a damaged one is replaced
        return
    now = digest_of([there.corpus, there.features])
    if any(digest_of([each.corpus, each.features]) != now for each in before):
        aside = free_name(folder.parent, f"former-{folder.name}")
        folder.rename(aside)
        used("moved", f"{folder} to {aside.name}: it is of other utterances or features of {there.dataset}")

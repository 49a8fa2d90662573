"""What results and features tell: tables, maps, the words behind predictions, the states of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.api._arguments import (
    AnyPath,
    Progress,
    corpus_of,
    encoder_of,
    folder_or_store,
    in_memory,
    place,
    saved,
    told,
    unfit,
)

if TYPE_CHECKING:
    from sercache.contracts import Checked
    from sercache.datasets import Corpus
    from sercache.encoders import Encoder
    from sercache.experiment import pages
    from sercache.experiment.compare import PairedRuns
    from sercache.experiment.details import Details
    from sercache.experiment.lexical import WordDependence
    from sercache.experiment.map import Mapped
    from sercache.experiment.new import Kind
    from sercache.experiment.probe import Probed
    from sercache.experiment.result import Result
    from sercache.experiment.robustness import Robustness
    from sercache.record import Report
    from sercache.stores import FeatureStore


def probe(
    encoder: str | Encoder | None = None,
    dataset: str | Corpus | None = None,
    store: AnyPath | FeatureStore | None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> Probed:
    """What each state of an encoder tells: logistic regression on its means, over the folds of a protocol.

    A ``store`` names its encoder and corpus too.
    ``settings`` are the options of ``sercache probe``: ``states``, ``task``, ``protocol``, ``c``, … The table and the
    plot lie in the folder that the result names.
    """
    from sercache.experiment import filled
    from sercache.experiment import probe as work
    from sercache.experiment.ready import AtHand

    name, frozen = (None, None) if encoder is None else encoder_of(encoder)
    called, corpus = (None, None) if dataset is None else corpus_of(dataset)
    folder, opened = folder_or_store(store)
    if opened is not None and None in (name, called):
        folder = opened.path
    named = {"encoder": name, "dataset": called, "store": folder, **settings}
    request = filled(
        work.ProbeOptions, "probe", {key: value for key, value in named.items() if value is not None}
    )
    at_hand = AtHand(encoder=frozen, corpus=corpus, store=opened)
    with told(progress, request, settings):
        return work.run(request, at_hand)


def lexical(
    run: AnyPath | Result,
    on: str | None = None,
    corpus: Corpus | None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> WordDependence:
    """How much a run's predictions depend on the words: PPMI of transcripts and predicted classes.

    ``on`` is a corpus that the run was tested on (``DATASET[:TASK]``); ``corpus`` holds the transcripts, by default
    that of the predictions is read. ``settings`` are the options of ``sercache lexical``: ``unit``, ``weighted``, …
    """
    from sercache.experiment import filled
    from sercache.experiment import lexical as work

    request = filled(work.LexicalOptions, "lexical", {"run": place(run), "on": on, **settings})
    with told(progress, request, settings):
        return work.run(request, in_memory(run), corpus)


def compare(runs: Sequence[AnyPath | Result], *, progress: Progress = True, **settings: Any) -> PairedRuns:
    """Which of some runs differ on the same utterances: differences, intervals and a test over speakers, two by two.

    ``runs`` are folders and results, two or more; ``settings`` are the options of ``sercache compare``: ``metrics``,
    ``on``, ``plot``, ``page``, ``published`` (beside them what others report of the corpus; then one run will do).
    Raises SettingsError for runs of other utterances, tasks or folds, or where nothing is published of the corpus.
    """
    from sercache.experiment import compare as work
    from sercache.experiment import filled

    if isinstance(runs, str | PathLike) or not isinstance(runs, Sequence):
        raise unfit("runs", "a list of run folders and Results", runs)
    results = [found for each in runs if (found := in_memory(each)) is not None]
    folders = [each for each in runs if in_memory(each) is None]
    request = filled(work.CompareOptions, "compare", {"runs": folders, **settings})
    with told(progress, request, settings):
        return work.run(request, results)


def robustness(
    run: AnyPath | Result, augment: str | Sequence[str], *, progress: Progress = True, **settings: Any
) -> Robustness:
    """A run's heads on their own test parts under conditions: ``augment="noise:snr=20,10,0"``, or a list of such.

    Features that the cache lacks are extracted. Of each condition the scores, their intervals and the difference from
    the run as it was tested, paired over speakers; beside a run's folder a table and curves are written.
    ``settings`` are the options of ``sercache robustness``: ``root``, ``cache``, ``device``, ``encoder``.
    Raises SettingsError for a run without weights or tests, MissingFeaturesError without its features.
    """
    from sercache.experiment import filled
    from sercache.experiment import robustness as work

    request = filled(
        work.RobustnessOptions, "robustness", {"run": place(run), "augment": augment, **settings}
    )
    with told(progress, request, settings):
        return work.run(request, in_memory(run))


def details(
    run: AnyPath | Result, corpus: Corpus | None = None, *, progress: Progress = True, **settings: Any
) -> Details:
    """What lies behind the score of a run: its probabilities, and its scores on parts of the utterances, as tables.

    ``settings`` are the options of ``sercache report``: ``calibration=True``, ``by=["speaker", "sex"]``,
    ``listeners=True``, ``root``, ``cache``; ``corpus`` says sex and language, by default that of the run is read.
    """
    from sercache.experiment import details as work
    from sercache.experiment import filled

    request = filled(work.DetailsOptions, "details", {"run": place(run), **settings})
    with told(progress, request, settings):
        return work.run(request, in_memory(run), corpus)


def write_pages(
    runs: AnyPath | Result | Sequence[AnyPath | Result],
    html: AnyPath,
    *,
    progress: Progress = True,
    **settings: Any,
) -> pages.Pages:
    """Write the page of a run as one HTML file, or into a folder an index over runs and a page of each.

    ``html`` is a file that ends in .html, or a folder; ``settings`` are the options of ``sercache report --html``:
    ``audio``, ``root``, ``cache``. Raises SettingsError for sound of a corpus that may not be passed on.
    """
    from sercache.experiment import filled
    from sercache.experiment import pages as work

    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    results = [found for each in several if (found := in_memory(each)) is not None]
    folders = [each for each in several if in_memory(each) is None]
    request = filled(work.PageOptions, "write_pages", {"runs": folders, "html": html, **settings})
    with told(progress, request, settings):
        return work.run(request, results)


def draw_map(
    run: AnyPath | Result, dataset: str | None = None, *, progress: Progress = True, **settings: Any
) -> Mapped:
    """The vectors that a saved run's head gives the utterances of a corpus, in the plane (t-SNE), with a picture.

    ``settings`` are the options of ``sercache map``: ``by``, ``fold``, ``seed``, …
    """
    from sercache.experiment import filled
    from sercache.experiment import map as work

    request = filled(
        work.MapOptions,
        "draw_map",
        {"run": saved(run), **({} if dataset is None else {"dataset": dataset}), **settings},
    )
    with told(progress, request, settings):
        return work.run(request)


def new(kind: Kind, name: str, folder: AnyPath = ".") -> Path:
    """Write ``folder``/NAME.py, a small ``head``, ``corpus`` or ``encoder`` that passes ``check``, to be changed.

    Gives its path. Raises SettingsError for a name that cannot be a file's or is taken, FileError.
    """
    from sercache.experiment import new as work

    return work.run(kind, name, Path(folder))


def check(name: AnyPath) -> list[Checked]:
    """The contract of a head, a corpus or an encoder on a file of yours, or on one that is installed, check by check.

    ``faults`` of each is empty where it holds. Raises UnknownNameError, ContractError for a file that cannot be loaded.
    """
    from os import fspath

    from sercache import contracts, given

    with given.named_by_user(given.texts_of(name)):
        rooms = contracts.rooms_of(fspath(name))
        return [found for room in rooms for found in contracts.checked(room, fspath(name))]


def table(*found: Report | Result) -> str:
    """Results as a table for people: the metrics of one, or several side by side."""
    from sercache.experiment.result import Result
    from sercache.record import Report
    from sercache.report import tables

    for each in found:
        if not isinstance(each, Report | Result):
            raise unfit("a row of a table", "a Result or a Report", each)
    return tables.table([each if isinstance(each, Report) else each.report for each in found])

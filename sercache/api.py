"""The verbs of the command line in Python, with its defaults and its errors. ``import sercache`` offers them lazily.

Each verb makes the option record of its command from ``**settings``: the command's options with ``_`` for ``-``, each
checked by name and type. Names may be objects: an Encoder, a Corpus, a FeatureStore, a Result. ``progress=True`` shows
bars, False nothing, and a ``sercache.progress.Listener`` gets all that the command prints.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache import given, stores, text
from sercache.errors import SettingsError
from sercache.progress import Listener, listener_of, sent_to
from sercache.settings import expanded, resolve_device

if TYPE_CHECKING:
    from torch import nn

    from sercache.checkup import CheckUp
    from sercache.datasets import Corpus
    from sercache.encoders import Encoder
    from sercache.evaluation import Extra
    from sercache.experiment.lexical import WordDependence
    from sercache.experiment.map import Mapped
    from sercache.experiment.predict import Predicted
    from sercache.experiment.probe import Probed
    from sercache.experiment.ready import AtHand
    from sercache.experiment.result import Result
    from sercache.experiment.sweep import Swept
    from sercache.record import Report
    from sercache.report import ReportTable
    from sercache.stores import FeatureStore

    AnyPath = str | PathLike[str]
    Progress = bool | Listener


def read_corpus(
    name: str, root: AnyPath, *, encoding: str | None = None, labels_as_written: bool = False
) -> Corpus:
    """The corpus ``name`` (``sercache datasets``) as it lies in ``root``. Raises CorpusError.

    One of your own is ``manifest:NAME`` or ``audformat:NAME``; without NAME it is called as its table or header says.
    ``encoding`` is that of tables which are not UTF-8; ``labels_as_written`` keeps labels apart that differ only by
    case, space or the form of a letter.
    """
    from sercache import datasets

    with text.reading_as(encoding, labels_as_written), given.named_by_user(given.texts_of(name)):
        return datasets.read(name, expanded(root))


def load_encoder(
    name: str, *, revision: str | None = None, device: str = "auto", precision: str = "float32"
) -> Encoder:
    """A frozen encoder by short name, Hugging Face id or local folder. Raises EncoderError."""
    from sercache import encoders

    with given.named_by_user(given.texts_of(name)):
        return encoders.load(name, revision=revision, device=resolve_device(device), precision=precision)


def extract(
    encoder: str | Encoder,
    dataset: str | Corpus,
    cache: AnyPath | None = None,
    *,
    strict: bool = True,
    progress: Progress = True,
    **settings: Any,
) -> FeatureStore:
    """Run an encoder over a corpus and give the store of its states; what the cache holds already is not computed.

    ``settings`` are the options of ``sercache extract``: ``states``, ``clip``, ``pooled_only``, ``dtype``, ``task``,
    ``root``, ``device``, … An encoder of text takes the corpus' own transcripts, or those of the file ``transcripts``.
    Recordings that cannot be encoded raise AudioError after the rest is stored; with ``strict=False`` they are left
    out, and ``sercache.extraction.skips(store.path)`` tells them.
    """
    from sercache.experiment import extract as work
    from sercache.experiment import filled

    name, at_hand = _encoder(encoder)
    called, corpus = _corpus(dataset)
    named: dict[str, Any] = {"encoder": name, "dataset": called}
    if cache is not None:
        named["cache"] = cache
    request = filled(work.ExtractOptions, "extract", {**named, **settings})
    with _told(progress, request, settings):
        folder = work.run(request, at_hand=at_hand, corpus=corpus, strict=strict)
    return stores.open(folder)


def train(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None = None,
    dataset: str | Corpus | None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> Result:
    """Train a head over all folds and seeds: one of ``sercache heads``, a file of yours, or a class.

    ``settings`` are the options of ``sercache train``: ``encoder``, ``task``, ``protocol``, ``states``, ``seeds=2`` or
    ``seeds=[0, 1]``, ``recipe={"lr": 1e-3}``, ``options={...}`` of the head, …; what is not given is as published, and
    for a class as it declares (sercache.head.Declared), else the plain recipe and the corpus' own protocol.
    ``beside`` are further inputs, by name or ``{"egemaps:all:frames": store}``; ``test_on`` other corpora, by name or
    as pairs of a Corpus and its FeatureStore. By names the run folder is written that the command writes. With a
    FeatureStore nothing is, unless ``name`` or ``runs`` asks for it: see ``Result.save``.
    """
    from sercache.experiment import filled
    from sercache.experiment import train as work
    from sercache.experiment.setup import TrainOptions

    at_hand, named = _at_hand(head, store, dataset, settings)
    request = filled(TrainOptions, "train", named)
    in_memory = at_hand.store is not None and request.name is None and request.runs is None
    with _told(progress, request, settings):
        return work.in_memory(request, at_hand) if in_memory else work.run(request, at_hand)


def evaluate(
    run: AnyPath | Result,
    dataset: str | Corpus,
    store: FeatureStore | Sequence[FeatureStore] = (),
    *,
    progress: Progress = True,
    **settings: Any,
) -> Result:
    """Test the heads of a run on all of another corpus.

    A run that lies in a folder gets ``RUN/on-DATASET[-TASK]``. ``store`` holds the features of the corpus, of several
    inputs one each; by default those of the cache. ``settings`` are the options of ``sercache evaluate``.
    """
    from sercache.experiment import filled, test_on
    from sercache.experiment.result import Result

    called, corpus = _corpus(dataset)
    request = filled(test_on.TestOptions, "evaluate", {"run": _place(run), "dataset": called, **settings})
    given = tuple(map(_store, store)) if isinstance(store, Sequence) else (_store(store),)
    if given and corpus is None:
        raise SettingsError("a store goes with the Corpus that it was extracted from; give that as dataset")
    with _told(progress, request, settings):
        return test_on.run(request, run if isinstance(run, Result) else None, corpus, *given)


def predict(
    run: AnyPath | Result,
    paths: AnyPath | Sequence[AnyPath] = (),
    *,
    progress: Progress = True,
    **settings: Any,
) -> list[Predicted]:
    """What the trained heads of a run say of recordings: a record for each, or for each window of it.

    ``paths`` are files and folders; ``settings`` are the options of ``sercache predict``: ``manifest``, ``window``,
    ``step``, ``folds``, ``seeds``, ``encoders``, ``speaker_statistics``, ``device``, … A recording that cannot be read
    has its reason in ``error``.
    """
    from sercache.experiment import filled
    from sercache.experiment import predict as work
    from sercache.experiment.ensemble import PredictOptions
    from sercache.experiment.result import Result

    request = filled(PredictOptions, "predict", {"run": _place(run), "paths": paths, **settings})
    with _told(progress, request, settings):
        return list(work.run(request, run if isinstance(run, Result) else None).records)


def probe(
    encoder: str | Encoder,
    dataset: str | Corpus,
    store: FeatureStore | None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> Probed:
    """What each state of an encoder tells: logistic regression on its means, over the folds of a protocol.

    ``settings`` are the options of ``sercache probe``: ``states``, ``task``, ``protocol``, ``c``, … The table and the
    plot lie in the folder that the result names.
    """
    from sercache.experiment import filled
    from sercache.experiment import probe as work
    from sercache.experiment.ready import AtHand

    name, at_hand = _encoder(encoder)
    called, corpus = _corpus(dataset)
    request = filled(work.ProbeOptions, "probe", {"encoder": name, "dataset": called, **settings})
    given = AtHand(encoder=at_hand, corpus=corpus, store=None if store is None else _store(store))
    with _told(progress, request, settings):
        return work.run(request, given)


def sweep(
    head: str,
    grid: Mapping[str, Sequence[Any]] | Sequence[str],
    name: str,
    *,
    progress: Progress = True,
    **settings: Any,
) -> Swept:
    """Train a head at every point of a grid, select on dev alone, and test what was selected.

    ``grid``: ``{"lr": [1e-3, 1e-4], "states": ["all", "6"]}``. ``name`` is that of the sweep's folder; one that was cut
    off is continued. ``settings`` are the options of ``sercache sweep``.
    """
    from sercache.experiment import filled
    from sercache.experiment import sweep as work

    request = filled(work.SweepOptions, "sweep", {"head": head, "grid": grid, "name": name, **settings})
    with _told(progress, request, settings):
        return work.run(request)


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
    from sercache.experiment.result import Result

    request = filled(work.LexicalOptions, "lexical", {"run": _place(run), "on": on, **settings})
    with _told(progress, request, settings):
        return work.run(request, run if isinstance(run, Result) else None, corpus)


def draw_map(run: AnyPath | Result, dataset: str, *, progress: Progress = True, **settings: Any) -> Mapped:
    """The vectors that a saved run's head gives the utterances of a corpus, in the plane (t-SNE), with a picture.

    ``settings`` are the options of ``sercache map``: ``by``, ``fold``, ``seed``, …
    """
    from sercache.experiment import filled
    from sercache.experiment import map as work

    request = filled(work.MapOptions, "draw_map", {"run": _saved(run), "dataset": dataset, **settings})
    with _told(progress, request, settings):
        return work.run(request)


def export(run: AnyPath | Result, out: AnyPath, *, progress: Progress = True, **settings: Any) -> Path:
    """Write an encoder that was trained with its head (``finetune_from``) as a Hugging Face folder; gives ``out``.

    ``settings`` are the options of ``sercache export``: ``fold``, ``seed``, ``encoder``, ``input``.
    """
    from sercache.experiment import export as work
    from sercache.experiment import filled

    request = filled(work.ExportOptions, "export", {"run": _saved(run), "out": out, **settings})
    with _told(progress, request, settings):
        return work.run(request)


def doctor(dataset: str | Corpus, *, progress: Progress = True, **settings: Any) -> CheckUp:
    """A check-up of a copy of a corpus: completeness, broken files, equal sound; ``problems`` is empty of a clean one.

    ``settings`` are the options of ``sercache doctor``: ``root``, ``task``, ``deep``.
    """
    from sercache.experiment import doctor as work
    from sercache.experiment import filled

    called, corpus = _corpus(dataset)
    request = filled(work.DoctorOptions, "doctor", {"dataset": called, **settings})
    with _told(progress, request, settings):
        return work.check(request, corpus)


def reproduce(
    paper: str | None = None, table: str | None = None, *, progress: Progress = True, **settings: Any
) -> ReportTable:
    """A paper's table with ours beside the printed numbers; finished trials are kept.

    Without a table: what there is, how much of it is done and what it waits for. ``settings`` are the options of
    ``sercache reproduce``: ``roots={"iemocap": FOLDER}``, ``rows``, ``seeds``, ``recipe={...}``, …
    """
    from sercache.experiment import filled
    from sercache.report import ReportTable
    from sercache.reproduction import reproduce as work
    from sercache.reproduction.paper import OVERVIEW, ReproduceOptions, overview

    request = filled(ReproduceOptions, "reproduce", {"paper": paper, "table": table, **settings})
    with _told(progress, request, settings):
        if paper is not None and table is not None:
            return work.run(request)
        return ReportTable("tables of papers", OVERVIEW, tuple(overview(request)))


def table(*found: Report | Result) -> str:
    """Results as a table for people: the metrics of one, or several side by side."""
    from sercache.experiment.result import Result
    from sercache.record import Report
    from sercache.report import tables

    for each in found:
        if not isinstance(each, Report | Result):
            raise _unfit("a row of a table", "a Result or a Report", each)
    return tables.table([each if isinstance(each, Report) else each.report for each in found])


def _place(run: AnyPath | Result) -> AnyPath:
    """The folder of a run, for its options; of a result in memory none. Raises SettingsError for anything else."""
    if isinstance(run, str | PathLike):
        return run
    from sercache.experiment.result import Result

    if not isinstance(run, Result):
        raise _unfit("run", "the folder of a run or a Result", run)
    return run.folder or Path()


def _saved(run: AnyPath | Result) -> AnyPath:
    """The folder of a run. Raises SettingsError for a result that has none."""
    place = _place(run)
    if place == Path():
        raise SettingsError("this result was not saved; call save(folder) and give what it returns")
    return place


def _unfit(what: str, expected: str, got: Any) -> SettingsError:
    return SettingsError(f"{what} is {expected}, got {reprlib.repr(got)}")


def _encoder(given: str | Encoder) -> tuple[str, Encoder | None]:
    """The name of an encoder, and the encoder where it is at hand. Raises SettingsError for anything else."""
    if isinstance(given, str | PathLike):
        return fspath(given), None
    if not (callable(getattr(given, "encode", None)) and hasattr(given, "states")):
        raise _unfit("encoder", "a name or an Encoder", given)
    return given.name, given


def _corpus(given: str | Corpus) -> tuple[str, Corpus | None]:
    """The name of a corpus, and the corpus where it is at hand. Raises SettingsError for anything else."""
    from sercache.datasets import Corpus

    if isinstance(given, str | PathLike):
        return fspath(given), None
    if not isinstance(given, Corpus):
        raise _unfit("dataset", "a name or a Corpus", given)
    return given.dataset, given


def _store(given: Any) -> FeatureStore:
    """A store at hand. Raises SettingsError for anything else."""
    if not (hasattr(given, "spec") and callable(getattr(given, "pooled", None))):
        raise _unfit("store", "a FeatureStore, as sercache.open_store gives it", given)
    store: FeatureStore = given
    return store


@contextmanager
def _told(progress: Progress, request: object, settings: Mapping[str, Any]) -> Iterator[None]:
    """Send what is reported to ``progress``, and let text of corpora be read as the settings say."""
    if not isinstance(progress, bool) and not callable(getattr(progress, "bar", None)):
        raise _unfit("progress", "True, False or a sercache.progress.Listener", progress)
    with (
        sent_to(listener_of(progress)),
        given.named_by_user(given.texts_of(request)),
        text.reading_as(settings.get("encoding"), bool(settings.get("labels_as_written"))),
    ):
        yield


def _at_hand(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None,
    dataset: str | Corpus | None,
    settings: Mapping[str, Any],
) -> tuple[AtHand, dict[str, Any]]:
    """Objects of a training apart from names: what is at hand, and the settings that name the rest."""
    from sercache.experiment.ready import AtHand

    given: dict[str, Any] = {}
    named: dict[str, Any] = dict(settings)
    named["head"], given["head"] = _head(head)
    if dataset is not None:
        named["dataset"], given["corpus"] = _corpus(dataset)
    if isinstance(store, str | PathLike):
        named["store"] = store
    elif store is not None:
        given["store"] = _store(store)
    if named.get("encoder") is not None:
        named["encoder"], given["encoder"] = _encoder(named["encoder"])
    beside = named.get("beside")
    if isinstance(beside, Mapping):
        given["beside"], named["beside"] = tuple(map(_store, beside.values())), list(beside)
    test_on = named.get("test_on")
    if isinstance(test_on, Sequence) and any(isinstance(each, tuple) for each in test_on):
        given["test_on"] = _extras(test_on)
        del named["test_on"]
    return AtHand(**given), named


def _head(given: str | type[nn.Module]) -> tuple[str, type[nn.Module] | None]:
    """The name of a head, and its class where that is given. Raises SettingsError for anything else."""
    from torch import nn

    from sercache import catalog

    if isinstance(given, str | PathLike):
        return fspath(given), None
    if not (isinstance(given, type) and issubclass(given, nn.Module)):
        raise _unfit("head", "a name, a file or a class of torch.nn.Module", given)
    return catalog.called(given.__name__), given


def _extras(test_on: Sequence[Any]) -> tuple[Extra, ...]:
    """Pairs of a corpus and its store. Raises SettingsError for anything else."""
    from sercache.datasets import Corpus
    from sercache.evaluation import Extra

    for each in test_on:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], Corpus)):
            raise SettingsError(f"test_on is names, or pairs of a Corpus and its FeatureStore, got {each!r}")
    return tuple(Extra(corpus, _store(store)) for corpus, store in test_on)

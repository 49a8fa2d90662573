"""The verbs of the command line in Python, with its defaults and its errors. ``import sercache`` offers them lazily.

Each verb makes the option record of its command from ``**settings``: the command's options with ``_`` for ``-``, each
checked by name and type. Names may be objects: an Encoder, a Corpus, a FeatureStore, a Result. ``progress=True`` shows
bars, False nothing, and a ``sercache.progress.Listener`` hears all that the command prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache import stores, text
from sercache.errors import SettingsError
from sercache.progress import Listener, heard_by, listener_of
from sercache.settings import expanded, resolve_device

if TYPE_CHECKING:
    from torch import nn

    from sercache.datasets import Corpus
    from sercache.encoders import Encoder
    from sercache.evaluation import Extra
    from sercache.experiment.predict import Predicted
    from sercache.experiment.result import Result
    from sercache.report.record import Report
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

    with text.reading_as(encoding, labels_as_written):
        return datasets.read(name, expanded(root))


def load_encoder(
    name: str, *, revision: str | None = None, device: str = "auto", precision: str = "float32"
) -> Encoder:
    """A frozen encoder by short name, Hugging Face id or local folder. Raises EncoderError."""
    from sercache import encoders

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
    from sercache.experiment.options import filled

    named: dict[str, Any] = {
        "encoder": encoder if isinstance(encoder, str) else encoder.name,
        "dataset": dataset if isinstance(dataset, str) else dataset.dataset,
    }
    if cache is not None:
        named["cache"] = cache
    request = filled(work.ExtractOptions, "extract", {**named, **settings})
    with heard_by(listener_of(progress)):
        folder = work.run(
            request,
            at_hand=None if isinstance(encoder, str) else encoder,
            corpus=None if isinstance(dataset, str) else dataset,
            strict=strict,
        )
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
    from sercache.experiment import train as work
    from sercache.experiment.options import filled
    from sercache.experiment.setup import TrainOptions

    at_hand, named = _at_hand(head, store, dataset, settings)
    request = filled(TrainOptions, "train", named)
    in_memory = at_hand.store is not None and request.name is None and request.runs is None
    with heard_by(listener_of(progress)):
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
    from sercache.experiment import test_on
    from sercache.experiment.options import filled
    from sercache.experiment.result import Result

    trained = run if isinstance(run, Result) else Result.load(run)
    named = {
        "run": trained.folder or Path(),
        "dataset": dataset if isinstance(dataset, str) else dataset.name,
    }
    given = tuple(store) if isinstance(store, Sequence) else (store,)
    if given and isinstance(dataset, str):
        raise SettingsError("a store goes with the Corpus that it was extracted from; give that as dataset")
    request = filled(test_on.TestOptions, "evaluate", {**named, **settings})
    with heard_by(listener_of(progress)):
        corpus = None if isinstance(dataset, str) else dataset
        return test_on.run(request, trained, corpus, *given)


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
    from sercache.experiment.result import Result

    trained = run if isinstance(run, Result) else Result.load(run)
    with heard_by(listener_of(progress)):
        return trained.predict(paths, **settings)


def table(*found: Report | Result) -> str:
    """Results as a table for people: the metrics of one, or several side by side."""
    from sercache.report import tables
    from sercache.report.record import Report

    return tables.table([each if isinstance(each, Report) else each.report for each in found])


def _at_hand(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None,
    dataset: str | Corpus | None,
    settings: Mapping[str, Any],
) -> tuple[Any, dict[str, Any]]:
    """Objects of a training apart from names: what is at hand, and the settings that name the rest."""
    from sercache import catalog
    from sercache.datasets import Corpus
    from sercache.experiment.train import AtHand

    given: dict[str, Any] = {}
    named: dict[str, Any] = dict(settings)
    named["head"] = head if isinstance(head, str) else catalog.called(head.__name__)
    if isinstance(head, type):
        given["head"] = head
    if isinstance(dataset, Corpus):
        given["corpus"] = dataset
    elif dataset is not None:
        named["dataset"] = dataset
    if isinstance(store, str | PathLike):
        named["store"] = store
    elif store is not None:
        given["store"] = store
    encoder = named.get("encoder")
    if encoder is not None and not isinstance(encoder, str | PathLike):
        given["encoder"], named["encoder"] = encoder, encoder.name
    beside = named.get("beside")
    if isinstance(beside, Mapping):
        given["beside"], named["beside"] = tuple(beside.values()), list(beside)
    test_on = named.get("test_on")
    if isinstance(test_on, Sequence) and any(isinstance(each, tuple) for each in test_on):
        given["test_on"] = _extras(test_on)
        del named["test_on"]
    return AtHand(**given), named


def _extras(test_on: Sequence[Any]) -> tuple[Extra, ...]:
    """Pairs of a corpus and its store. Raises SettingsError for anything else."""
    from sercache.datasets import Corpus
    from sercache.evaluation import Extra

    for each in test_on:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], Corpus)):
            raise SettingsError(f"test_on is names, or pairs of a Corpus and its FeatureStore, got {each!r}")
    return tuple(Extra(corpus, store) for corpus, store in test_on)

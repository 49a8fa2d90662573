"""The same in Python: corpus, encoder, store, report. ``import sercache`` offers these names lazily."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache import catalog, datasets, encoders, evaluation, extraction, recipe, settings, stores, text
from sercache.datasets import Corpus
from sercache.encoders import Encoder
from sercache.errors import AudioError, StoreError, UnknownNameError
from sercache.experiment import predict as predicting
from sercache.experiment.ensemble import PredictOptions
from sercache.experiment.filling import carry_out, place_of, plan_for
from sercache.experiment.predict import Predicted
from sercache.experiment.setup import TrainOptions, check_inputs, chosen_setup
from sercache.experiment.train import head_class
from sercache.extraction import words
from sercache.head import of_class
from sercache.progress import bar
from sercache.published.head import head_options, published_of
from sercache.report import tables
from sercache.report.record import Report
from sercache.stores import FeatureStore
from sercache.stores.spec import DType

if TYPE_CHECKING:
    from torch import nn


def read_corpus(
    name: str, root: str | Path, *, encoding: str | None = None, labels_as_written: bool = False
) -> Corpus:
    """The corpus ``name`` (``sercache datasets``) as it lies in ``root``. Raises CorpusError.

    One of your own is ``manifest:NAME`` or ``audformat:NAME``; without NAME it is called as its table or header says.
    ``encoding`` is that of tables which are not UTF-8; ``labels_as_written`` keeps labels apart that differ only by
    case, space or the form of a letter.
    """
    with text.reading_as(encoding, labels_as_written):
        return datasets.read(name, settings.expanded(root))


def load_encoder(
    name: str, *, revision: str | None = None, device: str = "auto", precision: str = "float32"
) -> Encoder:
    """A frozen encoder by short name, Hugging Face id or local folder. Raises EncoderError."""
    return encoders.load(name, revision=revision, device=settings.resolve_device(device), precision=precision)


def extract(
    encoder: Encoder,
    corpus: Corpus,
    cache: str | Path,
    *,
    states: str = "all",
    frames: bool = True,
    dtype: DType = "float16",
    clip: str = "none",
    format: str = "zarr",
    task: str | None = None,
    transcripts: str | Path | None = None,
    strict: bool = True,
    progress: bool = True,
) -> FeatureStore:
    """The store of ``corpus`` through ``encoder`` below ``cache``; what it holds already is not computed.

    Utterances are those that ``task`` labels (``all``: every one). An encoder of text takes the corpus' own
    transcripts, or those of the file ``transcripts`` (columns id and text). Recordings that cannot be encoded raise
    AudioError after the rest is stored, or with ``strict=False`` are left to ``extraction.skips(folder)``. Batches and
    threads are those of the command; memory that runs out on a device is a warning.
    """
    from sercache.experiment.extract import chosen_utterances

    file = settings.expanded(transcripts) if transcripts is not None else None
    utterances, digest = words.replaced(chosen_utterances(corpus, task), file, encoder)
    spec = extraction.feature_spec(
        encoder,
        corpus,
        selection=states,
        dtype=dtype,
        frames=frames,
        clip=clip,
        transcripts=digest,
    )
    spec, folder = place_of(settings.expanded(cache), spec, corpus, format)
    plan = plan_for(encoder, utterances, spec, folder)
    skipped = plan.skipped
    if plan.pending:
        writer = stores.create(folder, spec, format)
        name = f"{encoder.name} x {corpus.name}"
        with bar(total=len(plan.pending), desc=name, disable=not progress) as entries:
            result = carry_out(plan, encoder, writer, format, progress=lambda piece: entries.update())
        skipped = result.skipped
    else:
        extraction.mark_finished(folder)
    extraction.record_skips(folder, skipped)
    if skipped and strict:
        raise AudioError(
            f"{len(skipped)} of {len(utterances)} recordings could not be encoded, first: {skipped[0].what}: "
            f"{skipped[0].reason}; the rest is stored, strict=False accepts that"
        )
    return stores.open(folder)


def train(
    head: str | type[nn.Module],
    store: FeatureStore,
    corpus: Corpus,
    *,
    recipe_changes: Sequence[str] = (),
    options: Sequence[str] = (),
    beside: Mapping[str, FeatureStore] | None = None,
    test_on: Sequence[tuple[Corpus, FeatureStore]] = (),
    device: str = "auto",
    **setup: Any,
) -> Report:
    """Train a head from the store over folds and seeds: one of ``sercache heads``, a file of yours, or a class.

    What the file of a class does not say (sercache.head.Declared) is the plain recipe and the corpus' own protocol.
    ``setup`` names fields of sercache.recipe.Setup (``protocol``, ``dev``, ``states``, ``frames``,
    ``normalise``, ``max_frames``, ``task``, ``target``, ``finetune_from``) or ``seeds`` (how many); the rest is as
    published. Blocks that are trained are those of the checkpoint ``encoder``.
    ``recipe_changes`` and ``options`` are written ``name=value``. ``beside`` are stores of further inputs by
    what they are on the command line (``egemaps:all:frames``); every trained head also predicts all of the
    corpora of ``test_on``. Raises what the command line reports.
    """
    module = (
        catalog.load("sercache.heads", head)
        if isinstance(head, str)
        else of_class(head, _usual(corpus, store))
    )
    head = head if isinstance(head, str) else catalog.called(head.__name__)
    more = beside or {}
    request = TrainOptions(
        head=head, settings=recipe_changes, head_options=options, beside=tuple(more), **setup
    )
    chosen, published = chosen_setup(module, request, corpus)
    check_inputs(module, head, chosen)
    for its_corpus, its_store in ((corpus, store), *((corpus, each) for each in more.values()), *test_on):
        _check_of(its_store, its_corpus)
    specs = [store.spec, *(each.spec for each in more.values())]
    method = evaluation.Method(
        head,
        head_class(module, chosen, specs),
        dataclasses.replace(chosen, clip=store.spec.clip),
        recipe.override(module.RECIPE, request.settings),
        head_options(module, request.head_options),
    )
    elsewhere = tuple(evaluation.Extra(other, its_store) for other, its_store in test_on)
    data = evaluation.Data(corpus, (store, *more.values()), test_on=elsewhere)
    how = evaluation.How(device=settings.resolve_device(device))
    return evaluation.evaluate(method, data, published=published_of(module, published), how=how).report


def _usual(corpus: Corpus, store: FeatureStore) -> recipe.Setup:
    """How a head of no paper reads this store and is judged on this corpus."""
    protocol = corpus.info.default_protocol
    return recipe.Setup(
        encoder=store.spec.shown,
        dataset=corpus.name,
        protocol=protocol,
        dev="none" if protocol.startswith("fixed:") else "next",
        states="all",
        frames=store.spec.frames,
    )


def _check_of(store: FeatureStore, corpus: Corpus) -> None:
    """Raises StoreError for a store of another corpus: ids may be the same."""
    if not corpus.goes_by(store.spec.corpus, store.spec.release):
        raise StoreError(
            f"{store.path} holds {store.spec.corpus} {store.spec.release}, got the corpus {corpus.name} "
            f"{corpus.release}; give the store that was extracted from it"
        )


def table(*reports: Report) -> str:
    """Reports as a table for people: one report's metrics, or several side by side."""
    return tables.table(list(reports))


def predict(
    run: str | Path, paths: str | Path | Sequence[str | Path] = (), **settings: Any
) -> list[Predicted]:
    """What the trained heads of a run folder say of recordings: a record for each, or for each window of it.

    ``paths`` are files and folders; ``settings`` names fields of PredictOptions (``manifest``, ``window``, ``step``,
    ``folds``, ``seeds``, ``encoders``, ``speaker_statistics``, ``device``). A recording that cannot be read has its
    reason in ``error``. Raises what the command line reports, UnknownNameError for a setting that does not exist.
    """
    on_offer = [
        field.name for field in dataclasses.fields(PredictOptions) if field.name not in _COMMAND_ALONE
    ]
    for name in settings:
        if name not in on_offer:
            raise UnknownNameError(catalog.unknown("setting of predict", name, on_offer))
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    return list(predicting.run(PredictOptions(run=Path(run), paths=named, **settings)).records)


_COMMAND_ALONE = ("run", "paths", "watch")
"""Fields of PredictOptions that are no settings here."""

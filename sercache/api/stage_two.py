"""From features to results: trainings, their tests on other corpora, predictions, sweeps and papers' tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from sercache.api._arguments import (
    AnyPath,
    Progress,
    at_hand_of,
    corpus_of,
    in_memory,
    place,
    run_or_store,
    store_of,
    told,
)
from sercache.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn

    from sercache.datasets import Corpus
    from sercache.evaluation import Forecast, Several, Unfinished
    from sercache.experiment.predict import Predicted
    from sercache.experiment.result import Result
    from sercache.experiment.sweep import Swept
    from sercache.report import ReportTable
    from sercache.reproduction import foretold
    from sercache.stores import FeatureStore


@overload
def train(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None = None,
    dataset: str | Corpus | None = None,
    *,
    folds: None = None,
    seeds: int | Sequence[int] | None = None,
    dry_run: Literal[False] = False,
    progress: Progress = True,
    **settings: Any,
) -> Result: ...


@overload
def train(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None = None,
    dataset: str | Corpus | None = None,
    *,
    folds: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] | str | None = None,
    dry_run: Literal[False] = False,
    progress: Progress = True,
    **settings: Any,
) -> Result | Unfinished: ...


@overload
def train(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None = None,
    dataset: str | Corpus | None = None,
    *,
    folds: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] | str | None = None,
    dry_run: bool,
    progress: Progress = True,
    **settings: Any,
) -> Result | Unfinished | Forecast: ...


def train(
    head: str | type[nn.Module],
    store: AnyPath | FeatureStore | None = None,
    dataset: str | Corpus | None = None,
    *,
    folds: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] | str | None = None,
    dry_run: bool = False,
    progress: Progress = True,
    **settings: Any,
) -> Result | Unfinished | Forecast:
    """Train a head over all folds and seeds: one of ``sercache heads``, a file of yours, or a class.

    ``settings`` are the options of ``sercache train``: ``encoder``, ``task``, ``protocol``, ``states``,
    ``recipe={"lr": 1e-3}``, ``options={...}`` of the head, …; what is not given is as published, and
    for a class as it declares (sercache.head.Declared), else the plain recipe and the corpus' own protocol.
    A script with ``cluster="local:2"`` has that below ``if __name__ == "__main__":``.
    ``seeds=2`` is how many, ``seeds=[0, 1]`` which. ``folds=["1", "2"]`` and ``seeds="0-4/25"`` train a part of a run,
    and give an Unfinished while others are missing; processes that train the same at once share the trainings.
    ``beside`` are further inputs, by name or ``{"egemaps:all:frames": store}``; ``test_on`` other corpora, by name or
    as pairs of a Corpus and its FeatureStore. By names the run folder is written that the command writes. With a
    FeatureStore nothing is, unless ``name`` or ``runs`` asks for it: see ``Result.save``. ``dry_run=True`` gives the
    Forecast of what it takes, and trains nothing.
    """
    from sercache.experiment import filled
    from sercache.experiment import train as work
    from sercache.experiment.setup import TrainOptions

    own = {"folds": folds, "seeds": seeds, "dry_run": dry_run or None}
    more = {name: value for name, value in own.items() if value is not None}
    at_hand, named = at_hand_of(head, store, dataset, {**settings, **more})
    request = filled(TrainOptions, "train", named)
    in_memory = at_hand.store is not None and request.name is None and request.runs is None
    with told(progress, request, settings):
        return work.in_memory(request, at_hand) if in_memory else work.run(request, at_hand)


def evaluate(
    run: AnyPath | Result,
    dataset: str | Corpus | None = None,
    store: AnyPath | FeatureStore | Sequence[FeatureStore] = (),
    *,
    progress: Progress = True,
    **settings: Any,
) -> Result:
    """Test the heads of a run on all of another corpus.

    A run that lies in a folder gets ``RUN/on-DATASET[-TASK]``. ``store`` holds the features of the corpus, of several
    inputs one each, or is the folder of a store, whose corpus needs no name; by default those of the cache.
    ``settings`` are the options of ``sercache evaluate``.
    """
    from sercache.experiment import filled, test_on

    called, corpus = (None, None) if dataset is None else corpus_of(dataset)
    named = {"run": place(run), "dataset": called, **settings}
    if isinstance(store, str | PathLike):
        named["store"], store = store, ()
    request = filled(
        test_on.TestOptions, "evaluate", {key: value for key, value in named.items() if value is not None}
    )
    at_hand = tuple(map(store_of, store)) if isinstance(store, Sequence) else (store_of(store),)
    if at_hand and corpus is None:
        raise SettingsError("a store goes with the Corpus that it was extracted from; give that as dataset")
    with told(progress, request, settings):
        return test_on.run(request, in_memory(run), corpus, *at_hand)


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

    request = filled(PredictOptions, "predict", {"run": place(run), "paths": paths, **settings})
    with told(progress, request, settings):
        return list(work.run(request, in_memory(run)).records)


@overload
def sweep(
    head: str,
    grid: Mapping[str, Sequence[Any]] | Sequence[str],
    name: str,
    *,
    budget: None = None,
    dry_run: Literal[False] = False,
    progress: Progress = True,
    **settings: Any,
) -> Swept: ...


@overload
def sweep(
    head: str,
    grid: Mapping[str, Sequence[Any]] | Sequence[str],
    name: str,
    *,
    budget: str | None = None,
    dry_run: bool = False,
    progress: Progress = True,
    **settings: Any,
) -> Swept | Unfinished | Several | None: ...


def sweep(
    head: str,
    grid: Mapping[str, Sequence[Any]] | Sequence[str],
    name: str,
    *,
    budget: str | None = None,
    dry_run: bool = False,
    progress: Progress = True,
    **settings: Any,
) -> Swept | Unfinished | Several | None:
    """Train a head at every point of a grid, select on dev alone, and test what was selected.

    ``grid``: ``{"lr": [1e-3, 1e-4], "states": ["all", "6"]}``. ``name`` is that of the sweep's folder; one that was cut
    off is continued. ``settings`` are the options of ``sercache sweep``. With a ``budget`` ("2h") what fits into it is
    trained, and an Unfinished given where that is not one whole point; ``dry_run=True`` gives what all points take,
    None where nobody knows, and trains nothing.
    """
    from sercache.experiment import filled
    from sercache.experiment import sweep as work

    named = {"head": head, "grid": grid, "name": name, "budget": budget, "dry_run": dry_run, **settings}
    request = filled(work.SweepOptions, "sweep", named)
    with told(progress, request, settings):
        return work.run(request)


def export(
    run: AnyPath | Result | FeatureStore | None = None,
    out: AnyPath | None = None,
    *,
    progress: Progress = True,
    **settings: Any,
) -> Path:
    """Write a run's trained encoder (``finetune_from``), a store or a corpus as what other tools load; gives ``out``.

    ``settings`` are the options of ``sercache export``: of a run ``fold``, ``seed``, ``encoder``, ``number``; of a
    store ``to``, which is cf, npy, parquet or webdataset, ``states`` and ``shard_size``; of a corpus ``dataset``,
    ``root``, ``copy_audio`` and ``to``: audformat, emobox, huggingface, kaldi, lhotse, manifest, speechbrain or
    webdataset.
    """
    from sercache.experiment import export as work
    from sercache.experiment import filled

    request = filled(
        work.ExportOptions,
        "export",
        {"run": None if run is None else run_or_store(run), "out": out, **settings},
    )
    with told(progress, request, settings):
        return work.run(request)


@overload
def reproduce(
    paper: str | None = None,
    table: str | None = None,
    *,
    dry_run: Literal[False] = False,
    progress: Progress = True,
    **settings: Any,
) -> ReportTable: ...


@overload
def reproduce(
    paper: str | None = None,
    table: str | None = None,
    *,
    dry_run: bool,
    progress: Progress = True,
    **settings: Any,
) -> ReportTable | foretold.TableForecast | None: ...


def reproduce(
    paper: str | None = None,
    table: str | None = None,
    *,
    dry_run: bool = False,
    progress: Progress = True,
    **settings: Any,
) -> ReportTable | foretold.TableForecast | None:
    """A paper's table with ours beside the printed numbers; finished trials are kept.

    Without a table: what there is, how much of it is done and what it waits for. ``settings`` are the options of
    ``sercache reproduce``: ``roots={"iemocap": FOLDER}``, ``rows``, ``seeds``, ``recipe={...}``, … ``dry_run=True``
    gives what the table takes, extraction included, and does nothing.
    """
    from sercache.experiment import filled
    from sercache.report import ReportTable
    from sercache.reproduction import reproduce as work
    from sercache.reproduction.paper import OVERVIEW, ReproduceOptions, overview, with_table

    named = {"paper": paper, "table": table, "dry_run": dry_run, **settings}
    request = with_table(filled(ReproduceOptions, "reproduce", named))
    with told(progress, request, settings):
        if request.paper is not None and request.table is not None:
            return work.run(request)
        return ReportTable("tables of papers", OVERVIEW, tuple(overview(request)))

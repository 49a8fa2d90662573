"""Corpora that trained heads are tested on, and the stores of them that the same encoders made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sercache import stores
from sercache.catalog import file_name
from sercache.datasets import Corpus
from sercache.errors import SettingsError, StoreError
from sercache.evaluation import Extra, cross_corpus_task
from sercache.experiment.finding import check_store, find_store
from sercache.experiment.labels import read_labels
from sercache.progress import used, warn
from sercache.recipe import Setup, inputs
from sercache.record import CrossCorpus, Report
from sercache.report import runs
from sercache.settings import Settings, expanded

_FOLDER = "on-"


@dataclass(frozen=True)
class TestedHeads:
    """What heads read that are tested on other corpora than their own."""

    head: str
    setup: Setup
    task: str
    """Of the corpus that they are trained on."""
    identities: Sequence[Mapping[str, Any]]
    """Of the encoder of each input."""


@dataclass(frozen=True)
class Tested:
    """Where a corpus is that heads are tested on."""

    dataset: str | None
    """Its name, or the folder of a store, whose corpus is meant."""
    root: Path | None = None
    store: Path | None = None
    """That is read, of several; without ``dataset`` its corpus is meant."""


def other_corpus(
    where: Tested,
    task: str | None,
    heads: TestedHeads,
    known: Settings,
    cache: Path,
    *,
    clip_is_chosen: bool = False,
) -> Extra:
    """A corpus with a store for each input, made by the encoders of the heads' own.

    ``clip_is_chosen``: no store of another clip rule will do.
    Without a task it gets the one that is called as that of
    the heads, or else its default.
    Raises SettingsError, CorpusError, MissingFeaturesError.
    """
    store, dataset = where.store, where.dataset
    if store is None and dataset is None:
        raise SettingsError("name a corpus with --dataset, or a store of it with --store")
    if store is None and stores.exists(expanded(str(dataset))):
        store, dataset = expanded(str(dataset)), None
    corpus = read_labels(dataset, where.root, known, cache, store)
    if store is not None:
        return _of_store(corpus, task or cross_corpus_task(corpus, heads.task), heads, store, clip_is_chosen)
    task = task or cross_corpus_task(corpus, heads.task)
    return extra_of(corpus, task, heads, cache, clip_is_chosen=clip_is_chosen)


def extra_of(
    corpus: Corpus, task: str, heads: TestedHeads, cache: Path, *, clip_is_chosen: bool = False
) -> Extra:
    """A corpus with its store for each input, made by the encoders of the heads. Raises MissingFeaturesError."""
    found = []
    for own, identity in zip(inputs(heads.setup), heads.identities, strict=True):
        there = dataclasses.replace(own, dataset=corpus.name, task=task)
        found.append(
            find_store(cache, corpus, there, heads.head, clip_is_chosen=clip_is_chosen, identity=identity)
        )
    for line in (line for each in found for line in each.deviations):
        warn(f"{corpus.name}: {line}")
    used("tested on", f"{corpus.name}, task {task}, {found[0].folder}")
    first, *more = (stores.open(each.folder) for each in found)
    return Extra(corpus, first, task, beside=tuple(more))


def _of_store(corpus: Corpus, task: str, heads: TestedHeads, folder: Path, clip_is_chosen: bool) -> Extra:
    """A corpus with the store that was named. Raises StoreError for one of another encoder."""
    if len(heads.identities) > 1:
        raise SettingsError(
            f"heads of {len(heads.identities)} inputs read as many stores, got the one at {folder}; name its corpus"
        )
    own = dataclasses.replace(heads.setup, dataset=corpus.name, task=task)
    found = check_store(folder, corpus, own, clip_is_chosen)
    if dict(found.spec.identity) != dict(heads.identities[0]):
        raise StoreError(
            f"{folder} was made by {found.spec.shown} with other weights or settings than the encoder of the heads, "
            f"{heads.setup.encoder}; name a store that this one made"
        )
    for line in found.deviations:
        warn(f"{corpus.name}: {line}")
    used("tested on", f"{corpus.name}, task {task}, {folder}")
    return Extra(corpus, stores.open(folder), task)


def folder_on(run: Path, report: Report, corpus: Corpus, task: str) -> Path:
    """Where a run folder keeps what its heads say of another corpus.

    ``on-<corpus>`` for the task that the corpus gets when none is named, else ``on-<corpus>-<task>``.
    """
    is_own = task == cross_corpus_task(corpus, report.corpus["task"])
    return run / f"{_FOLDER}{file_name(corpus.name) if is_own else name_with_task(corpus.name, task)}"


def name_with_task(corpus: str, task: str) -> str:
    """A corpus and one of its tasks in a file's name; of a label map its own name and digest alone."""
    return f"{file_name(corpus)}-{quote(task.rpartition('/')[2], safe='@')}"


def tested_since(run: Path) -> list[CrossCorpus]:
    """What `sercache evaluate` left in a run folder. Raises SettingsError for a damaged one."""
    folders = [folder for folder in runs.find(run) if folder.name.startswith(_FOLDER)]
    return [there for folder in folders for there in runs.load(folder).cross_corpus]


def answers(there: CrossCorpus, text: str) -> bool:
    """Whether a result is that of the corpus ``DATASET[:TASK]``; one of one's own goes with or without its reader."""
    reader = there.corpus.get("reader")
    names = [there.dataset, *([f"{reader}:{there.dataset}"] if reader else [])]
    return text in (*names, *(f"{name}:{there.task}" for name in names))

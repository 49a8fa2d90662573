"""What trials need: corpora and stores, read once, extracted where they are missing, named where they cannot be."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sercache import advice, catalog, clips, encoders, extraction, stores
from sercache.datasets import Corpus
from sercache.errors import AudioError, MissingFeaturesError, SercacheError
from sercache.evaluation import Extra, claims_in, taken
from sercache.experiment import extract
from sercache.experiment.corpora import is_known, read_corpus
from sercache.experiment.finding import find_store
from sercache.papers import AlsoTrain
from sercache.progress import warn
from sercache.recipe import Setup, inputs
from sercache.record import digest_of
from sercache.settings import Settings, expanded

if TYPE_CHECKING:
    from sercache.reproduction.kept import Kept

CLAIMS = ".claims"
"""Folder of what the processes at work on a paper have claimed, beside its runs."""
_Need = tuple[str, str, str]
"""Corpus, encoder, clip rule: what shares a store."""


class NotAtHandError(SercacheError):
    """A corpus or checkpoint that is not on this machine."""


@dataclass
class Place:
    """Where a reproduction finds and leaves things, and what it has found already."""

    known: Settings
    cache: Path
    device: str
    folder: Path
    may_extract: bool
    may_download: bool = True
    wanted: dict[_Need, dict[str, None]] = field(default_factory=dict)
    """State selections that the trials to come read of a store: they are extracted in one go."""
    corpora: dict[str, tuple[Corpus, str]] = field(default_factory=dict)
    complete: set[tuple[object, ...]] = field(default_factory=set)
    kept: dict[str, Kept] = field(default_factory=dict)
    """Finished trials by the digest of their plan, compared once."""

    @property
    def as_it_is(self) -> Place:
        """The same place, where nothing is extracted: what is missing is missing."""
        return replace(self, may_extract=False, complete=set())


@contextmanager
def done_by_one(name: str, place: Place) -> Iterator[None]:
    """Do something that is done once for a paper: other processes wait, and find it done."""
    with claims_in(place.folder / CLAIMS) as claims, taken(claims, f"once-{digest_of(name)}"):
        yield


def expect(setups: Iterable[Setup], place: Place) -> None:
    """Note what will be read, so that an encoder runs once over a corpus for all of it."""
    for setup in setups:
        for each in inputs(setup):
            place.wanted.setdefault(_need(each), {})[each.cached_states] = None


def is_at_hand(dataset: str, place: Place) -> bool:
    """Whether somebody said where the corpus lies."""
    return is_known(dataset, place.known, place.cache)


def check_at_hand(dataset: str, place: Place) -> None:
    """Raises NotAtHandError with how to get the corpus where nobody pointed to it."""
    if not is_at_hand(dataset, place):
        about = catalog.load("sercache.datasets", dataset).INFO
        raise NotAtHandError(
            f"{about.title}: get it from {about.access} ({about.licence}), then run: "
            f"{advice.command('config', f'roots.{dataset}=FOLDER')}"
        )


def corpus_of(dataset: str, place: Place) -> tuple[Corpus, str]:
    """The corpus and its folder, read once. Raises NotAtHandError, CorpusError."""
    if dataset not in place.corpora:
        check_at_hand(dataset, place)
        corpus, root = read_corpus(dataset, None, place.known, place.cache)
        place.corpora[dataset] = corpus, root.value
    return place.corpora[dataset]


def store_of(
    setup: Setup, head: str, place: Place, *, task: str | None = None, language: str | None = None
) -> tuple[Corpus, Path]:
    """A corpus and the store that serves one input, extracted where it is missing and may be.

    Raises NotAtHandError, MissingFeaturesError, EncoderError, and what else an extraction raises.
    """
    corpus, root = corpus_of(setup.dataset, place)
    key = (setup.dataset, setup.encoder, setup.cached_states, setup.cached_frames, setup.clip, task, language)
    try:
        folder = find_store(place.cache, corpus, setup, head, clip_is_chosen=True).folder
        if not place.may_extract or key in place.complete or _is_complete(folder, corpus, task, language):
            place.complete.add(key)
            return corpus, folder
    except MissingFeaturesError as missing:
        if not place.may_extract:
            raise
        warn(str(missing).partition("; run:")[0] + "; extracting it now")
    _check_checkpoint(setup.encoder, place)
    _extract(setup, corpus, root, place, task, language)
    place.complete.add(key)
    return corpus, find_store(place.cache, corpus, setup, head, clip_is_chosen=True).folder


def inputs_of(
    setup: Setup, head: str, place: Place, *, task: str | None = None, language: str | None = None
) -> tuple[Corpus, Path, *tuple[Path, ...]]:
    """The corpus and a store for each input of the set-up. Raises as ``store_of``."""
    corpus, first = store_of(setup, head, place, task=task, language=language)
    rest = inputs(setup)[1:]
    return corpus, first, *(store_of(each, head, place, task=task, language=language)[1] for each in rest)


def added_corpus(setup: Setup, also: AlsoTrain, head: str, place: Place) -> Extra:
    """A corpus that is added to the training parts, cut down to its share."""
    there = replace(setup, dataset=also.dataset, task=also.task)
    corpus, first, *rest = inputs_of(there, head, place, task=also.task, language=also.language)
    beside = tuple(stores.open(each) for each in rest)
    return Extra(part_of(corpus, also), stores.open(first), also.task, also.language, beside)


def tested_corpus(setup: Setup, text: str, head: str, place: Place) -> Extra | None:
    """A corpus ``DATASET[:TASK]`` that trained heads are tested on; None where it is not at hand."""
    dataset, _, task = text.partition(":")
    if not is_at_hand(dataset, place):
        return None
    there = replace(setup, dataset=dataset, task=task or None)
    corpus, first, *rest = inputs_of(there, head, place, task=task or None)
    beside = tuple(stores.open(each) for each in rest)
    return Extra(corpus, stores.open(first), task or None, None, beside)


def part_of(corpus: Corpus, also: AlsoTrain) -> Corpus:
    """A random share of the utterances that the task labels; the corpus itself for a share of 1."""
    if also.share == 1:
        return corpus
    labelled = sorted(corpus.members(also.task))
    chosen = set(random.Random(0).sample(labelled, round(also.share * len(labelled))))
    return replace(corpus, utterances=tuple(u for u in corpus.utterances if u.id in chosen))


def _need(setup: Setup) -> _Need:
    return setup.dataset, setup.encoder, setup.clip


def _extract(
    setup: Setup, corpus: Corpus, root: str, place: Place, task: str | None, language: str | None
) -> None:
    """Run the encoder for this input and for all that later trials read of the same store."""
    selections = {**place.wanted.get(_need(setup), {}), setup.cached_states: None}
    # The convolutional state has a size of its own and never shares a store with blocks.
    together = [s for s in selections if (s == "conv") == (setup.cached_states == "conv")]
    request = extract.ExtractOptions(
        encoder=setup.encoder,
        dataset=setup.dataset,
        root=Path(root),
        cache=place.cache,
        device=place.device,
        states="+".join(together),
        clip=setup.clip,
        pooled_only=not setup.cached_frames,
        task=task,
        language=language,
    )
    try:
        extract.run(request)
    except AudioError as fault:  # the rest is stored, and the report lists what is left out
        warn(str(fault))


def _check_checkpoint(encoder: str, place: Place) -> None:
    """Raises NotAtHandError where the weights would have to be downloaded and may not be."""
    known = encoders.short_names()
    source = known[encoder][1] if encoder in known else encoder
    if place.may_download or expanded(encoder).is_dir() or " " in source or "/" not in source:
        return
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(source, "config.json"), str):
        raise NotAtHandError(
            f"{source} is not in the cache of the Hugging Face hub; run: hf download {source}"
        )


def _is_complete(folder: Path, corpus: Corpus, task: str | None, language: str | None) -> bool:
    """Whether the store has every utterance of the task, but for those whose audio cannot be encoded."""
    store = stores.open(folder)
    rule = clips.parse(store.spec.clip)
    entries = {*store.ids(), *extraction.skips(folder)}
    held = {clips.utterance_id(entry, rule) for entry in entries} | entries
    return all(u.id in held for u in extract.chosen_utterances(corpus, task, language))

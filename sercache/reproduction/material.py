"""What trials need: stores of the features of corpora, extracted where they are missing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from sercache import clips, encoders, extraction, stores
from sercache.datasets import Corpus
from sercache.errors import AudioError, MissingFeaturesError, MissingMaterialError
from sercache.evaluation import Extra
from sercache.experiment import extract, planned, selection
from sercache.experiment.finding import find_store
from sercache.papers import AlsoTrain
from sercache.progress import warn
from sercache.protocols import read_names
from sercache.published import TrialPlan
from sercache.recipe import Setup, inputs
from sercache.reproduction.place import Need, Place, corpus_of, is_at_hand, lists_folder
from sercache.reproduction.recognised import Recognised, recognised
from sercache.settings import expanded
from sercache.stores import FeatureStore


def expect(setups: Iterable[Setup], place: Place) -> None:
    """Note what will be read, so that an encoder runs once over a corpus for all of it."""
    for setup in setups:
        for each in inputs(setup):
            place.wanted.setdefault(_need(each), {})[each.cached_states] = None


def store_of(
    setup: Setup, head: str, place: Place, *, language: str | None = None, recogniser: str = ""
) -> tuple[Corpus, FeatureStore]:
    """A corpus and the store that serves one input, extracted where it is missing and may be, or planned.

    Words are those that ``recogniser`` hears, the corpus' own without one. Raises MissingMaterialError,
    MissingFeaturesError, EncoderError, and what else a recognition or an extraction raises.
    """
    corpus, root = corpus_of(setup.dataset, place)
    if place.planned is not None:
        return corpus, _as_planned(setup, corpus, place, place.planned, (language, recogniser))
    texts = recognised(recogniser, setup.dataset, place) if recogniser else None
    which = "" if texts is None else texts.digest
    key = (
        setup.dataset, setup.encoder, setup.cached_states, setup.cached_frames, setup.clip, setup.task, language, which
    )  # fmt: skip
    find = partial(find_store, place.cache, corpus, setup, head, clip_is_chosen=True, transcripts=which)
    try:
        folder = find().folder
        if (
            not place.may_extract
            or key in place.complete
            or _is_complete(folder, corpus, setup.task, language)
        ):
            place.complete.add(key)
            return corpus, stores.open(folder)
    except MissingFeaturesError as missing:
        if not place.may_extract and texts is not None:
            raise MissingFeaturesError(
                f"{_told(missing)} of what {recogniser} recognises in it; leave --no-extract out"
            ) from None
        if not place.may_extract:
            raise
        warn(f"{_told(missing)}; extracting it now")
    _check_checkpoint(setup.encoder, place)
    _extract(setup, corpus, root, place, language, texts)
    place.complete.add(key)
    try:
        return corpus, stores.open(find().folder)
    except MissingFeaturesError as missing:  # nothing could be encoded, which was told
        if texts is None:
            raise
        raise MissingFeaturesError(
            f"{_told(missing)}: nothing could be encoded of what {recogniser} recognised, see {texts.path}"
        ) from None


def inputs_of(
    setup: Setup, head: str, place: Place, *, language: str | None = None, recogniser: str = ""
) -> tuple[Corpus, FeatureStore, *tuple[FeatureStore, ...]]:
    """The corpus and a store for each input of the set-up. Raises as ``store_of``."""
    found = [store_of(each, head, place, language=language, recogniser=recogniser) for each in inputs(setup)]
    return found[0][0], found[0][1], *(store for _, store in found[1:])


def added_corpus(plan: TrialPlan, setup: Setup, also: AlsoTrain, place: Place) -> Extra:
    """A corpus that is added to the training parts, cut down to its share."""
    there = replace(setup, dataset=also.dataset, task=also.task)
    corpus, first, *rest = inputs_of(
        there, plan.trial.head, place, language=also.language, recogniser=plan.recogniser
    )
    return Extra(part_of(corpus, also), first, also.task, also.language, tuple(rest))


def tested_corpus(plan: TrialPlan, text: str, place: Place) -> Extra | None:
    """A corpus ``DATASET[:TASK]`` that trained heads are tested on; None where it is not at hand."""
    dataset, _, task = text.partition(":")
    if not is_at_hand(dataset, place):
        return None
    there = replace(plan.setup, dataset=dataset, task=task or None)
    corpus, first, *rest = inputs_of(there, plan.trial.head, place, recogniser=plan.recogniser)
    folder, selected = lists_folder(plan, place), plan.trial.selected.get(dataset)
    if folder is not None and selected is not None:
        ids = set(read_names(folder / selected.path, corpus.by_id()))
        corpus = replace(corpus, utterances=tuple(u for u in corpus.utterances if u.id in ids))
    return Extra(corpus, first, task or None, None, tuple(rest))


def part_of(corpus: Corpus, also: AlsoTrain) -> Corpus:
    """A random share of the utterances that the task labels; the corpus itself for a share of 1."""
    if also.share == 1:
        return corpus
    labelled = sorted(corpus.members(also.task))
    chosen = set(random.Random(0).sample(labelled, round(also.share * len(labelled))))
    return replace(corpus, utterances=tuple(u for u in corpus.utterances if u.id in chosen))


def _told(missing: MissingFeaturesError) -> str:
    """What is missing, without the command that makes it."""
    return str(missing).partition("; run:")[0]


def _need(setup: Setup) -> Need:
    return setup.dataset, setup.encoder, setup.clip


def _as_planned(
    setup: Setup, corpus: Corpus, place: Place, here: planned.PlannedStores, words: tuple[str | None, str]
) -> FeatureStore:
    """The store that serves one input where it is whole, else one as it would be extracted: nothing is computed.

    ``words``: the language that is read, and the recogniser whose texts stand in for the corpus' own transcripts.
    """
    language, recogniser = words
    which: str | None = None
    if recogniser and _reads_text(setup):
        which = f"{recogniser} in {corpus.name}"
        try:
            which = recognised(recogniser, setup.dataset, place).digest
        except MissingMaterialError:
            here.untold[f"what {which} hears is recognised first: not known how long it takes"] = None
            if not any(each.transcript for each in corpus.utterances):
                raise MissingMaterialError(f"what {which} hears is not known yet") from None
    with suppress(MissingFeaturesError):
        found = find_store(place.cache, corpus, setup, "", clip_is_chosen=True, transcripts=which)
        if _is_complete(found.folder, corpus, setup.task, language):
            return stores.open(found.folder)
    _check_checkpoint(setup.encoder, replace(place, may_download=False))
    return here.of(setup, _selection(setup, place), corpus, (language, which or ""))


def _reads_text(setup: Setup) -> bool:
    return encoders.identify(setup.encoder).get("modality") == "text"


def _selection(setup: Setup, place: Place) -> str:
    """States of this input and of all that later trials read of the same store."""
    selections = {**place.wanted.get(_need(setup), {}), setup.cached_states: None}
    # The convolutional state has a size of its own and never shares a store with blocks.
    return "+".join(s for s in selections if (s == "conv") == (setup.cached_states == "conv"))


def _extract(
    setup: Setup, corpus: Corpus, root: str, place: Place, language: str | None, texts: Recognised | None
) -> None:
    """Run the encoder for this input and for all that later trials read of the same store."""
    reads_text = texts is not None and _reads_text(setup)
    request = extract.ExtractOptions(
        encoder=setup.encoder,
        dataset=setup.dataset,
        root=Path(root),
        cache=place.cache,
        device=place.device,
        states=_selection(setup, place),
        clip=setup.clip,
        pooled_only=not setup.cached_frames,
        task=setup.task,
        language=language,
        transcripts=texts.path if texts is not None and reads_text else None,
    )
    try:
        extract.run(request)
    except AudioError as fault:  # the rest is stored, and the report lists what is left out
        warn(str(fault))


def _check_checkpoint(encoder: str, place: Place) -> None:
    """Raises MissingMaterialError where the weights would have to be downloaded and may not be."""
    known = encoders.short_names()
    source = known[encoder][1] if encoder in known else encoder
    if place.may_download or expanded(encoder).is_dir() or " " in source or "/" not in source:
        return
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(source, "config.json"), str):
        raise MissingMaterialError(
            f"{source} is not in the cache of the Hugging Face hub; run: hf download {source}"
        )


def _is_complete(folder: Path, corpus: Corpus, task: str | None, language: str | None) -> bool:
    """Whether the store has every utterance of the task, but for those whose audio cannot be encoded."""
    store = stores.open(folder)
    rule = clips.parse(store.spec.clip)
    entries = {*store.ids(), *extraction.skips(folder)}
    held = {clips.utterance_id(entry, rule) for entry in entries} | entries
    return all(u.id in held for u in selection.chosen_utterances(corpus, task, language))

"""What an evaluation reads: labels, folds, views; gathered and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sercache import clips
from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, ProtocolError, SettingsError, StoreError
from sercache.extraction import is_finished, skips
from sercache.protocols import Fold, make_folds
from sercache.recipe import Setup
from sercache.stores import FeatureStore
from sercache.training import View
from sercache.views import (
    MEMORY_SHARE,
    FeatureView,
    JoinedView,
    free_memory,
    global_scaling,
    open_view,
    speaker_scaling,
    stored_entries,
)


@dataclass(frozen=True, eq=False)
class Extra:
    """Another corpus whose utterances are added to every training part."""

    corpus: Corpus
    store: FeatureStore
    task: str | None = None
    language: str | None = None
    """Only utterances in this language; None: all."""


@dataclass(frozen=True, eq=False)
class Part:
    """Utterances of one corpus with their features, and those that had to be left out."""

    view: FeatureView
    labels: Mapping[str, str]
    """Class of each utterance that is used."""
    speakers: Mapping[str, str]
    task: str
    left_out: Mapping[str, str]
    """Utterances whose audio could not be encoded: id -> reason."""


@dataclass(frozen=True, eq=False)
class Material:
    """All that the trainings of an evaluation read."""

    main: Part
    """The corpus that the folds are made of."""
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]
    also: tuple[tuple[Extra, Part], ...] = ()


@dataclass(frozen=True, eq=False)
class FoldViews:
    """The parts of one fold, normalised."""

    train: View
    dev: FeatureView | None
    test: FeatureView


def gather(
    corpus: Corpus,
    store: FeatureStore,
    setup: Setup,
    *,
    also_train: Sequence[Extra] = (),
    fold_seed: int = 0,
    budget: int | None = None,
    remedy: str | None = None,
) -> Material:
    """Labels, folds and views of an evaluation.

    Raises UnknownNameError, ProtocolError, MissingFeaturesError, SettingsError, StoreError.
    """
    labels, left_out = _labelled(corpus, store, setup.task, None)
    folds = tuple(make_folds(corpus, labels, setup.protocol, dev=setup.dev, seed=fold_seed))
    if not folds:
        raise ProtocolError(f"{setup.protocol} gives no folds on {corpus.name}; choose another protocol")
    needed = {id for fold in folds for part in (fold.train, fold.dev, fold.test) for id in part}
    used = {id: label for id, label in labels.items() if id in needed}
    classes = tuple(sorted(set(used.values())))
    budget = int(MEMORY_SHARE * free_memory()) if budget is None else budget
    main = _part(corpus, store, setup, setup.task, used, left_out, classes, budget, remedy)
    also: list[tuple[Extra, Part]] = []
    for extra in also_train:
        # All corpora share one budget: what the earlier ones keep is not there for the next.
        taken = [part.view.plan for part in (main, *(part for _, part in also))]
        left = budget - sum(plan.bytes for plan in taken if plan.in_memory)
        also.append((extra, _extra(extra, store, setup, classes, left)))
    return Material(main, classes, folds, tuple(also))


def fold_views(material: Material, fold: Fold, normalise: Literal["none", "global", "speaker"]) -> FoldViews:
    """Train, dev and test view of a fold. ``global`` statistics come from the training part alone."""
    train, test = material.main.view.subset(fold.train), material.main.view.subset(fold.test)
    dev = material.main.view.subset(fold.dev) if fold.dev else None
    extra = [part.view for _, part in material.also]
    if normalise == "global":
        scaling = global_scaling(train, *extra)
        train, test = train.scaled(scaling), test.scaled(scaling)
        dev = dev.scaled(scaling) if dev else None
        extra = [view.scaled(scaling) for view in extra]
    return FoldViews(JoinedView((train, *extra)) if extra else train, dev, test)


def _labelled(
    corpus: Corpus, store: FeatureStore, task: str | None, language: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Labels of the utterances that can be used, and why others cannot: extraction skipped them."""
    labels = corpus.labels(task)
    if language is not None:
        spoken = {u.id for u in corpus.utterances if u.language.split("-")[0] == language}
        labels = {id: label for id, label in labels.items() if id in spoken}
    skipped = skips(store.path)
    held = stored_entries(store)
    left_out = {}
    for id in labels:
        reasons = [skipped[key] for key in (id, f"{id}#0") if key in skipped]
        if id not in held and reasons:
            left_out[id] = reasons[0]
    return {id: label for id, label in labels.items() if id not in left_out}, left_out


def _part(
    corpus: Corpus,
    store: FeatureStore,
    setup: Setup,
    task: str | None,
    labels: Mapping[str, str],
    left_out: Mapping[str, str],
    classes: Sequence[str],
    budget: int,
    remedy: str | None,
) -> Part:
    """The features of some utterances; speaker statistics are taken here, over all of them."""
    if clips.parse(store.spec.clip).kind == "split" and not is_finished(store.path):
        how = remedy or "run the same sercache extract again"
        raise MissingFeaturesError(
            f"the extraction into {store.path} was cut off and must be finished first; {how}"
        )
    view = open_view(
        store,
        {id: classes.index(label) for id, label in labels.items()},
        states=setup.cached_states,
        frames=setup.cached_frames,
        max_frames=setup.max_frames,
        skipped=skips(store.path),
        budget=budget,
        remedy=remedy,
    )
    speakers = {u.id: u.speaker for u in corpus.utterances if u.id in labels}
    if setup.normalise == "speaker":
        view = view.scaled(speaker_scaling(view, speakers))
    return Part(view, labels, speakers, corpus.task_name(task), left_out)


def _extra(extra: Extra, store: FeatureStore, setup: Setup, classes: Sequence[str], budget: int) -> Part:
    """Features of an added corpus, from the same encoder, labelled by the same classes."""
    name = extra.corpus.name
    if dict(extra.store.spec.identity) != dict(store.spec.identity):
        raise StoreError(
            f"{name} was encoded by {extra.store.spec.encoder} with other weights or settings than "
            f"{store.spec.corpus}; extract both with the same encoder and revision"
        )
    labels, left_out = _labelled(extra.corpus, extra.store, extra.task, extra.language)
    strange = sorted(set(labels.values()) - set(classes))
    if strange:
        raise SettingsError(
            f"{name} labels classes that are not trained here: {', '.join(strange)}; "
            f"expected {', '.join(classes)}: choose another task of {name}"
        )
    if not labels:
        language = f" in language {extra.language}" if extra.language else ""
        raise MissingFeaturesError(f"{name} has no labelled utterances{language} to add to the training part")
    return _part(extra.corpus, extra.store, setup, extra.task, labels, left_out, classes, budget, None)

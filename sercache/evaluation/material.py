"""What an evaluation reads: labels, folds, views; gathered and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sercache.catalog import file_name
from sercache.datasets import Corpus
from sercache.errors import ProtocolError, SettingsError
from sercache.evaluation.method import Data, Extra
from sercache.evaluation.parts import Part, open_added, open_cross_corpus, open_part, read_truth
from sercache.evaluation.sound import audio_of, kept_apart
from sercache.machine import free_memory
from sercache.progress import warn
from sercache.protocols import Fold, make_folds
from sercache.recipe import Setup
from sercache.record import Numbers, Target
from sercache.stores import note_use
from sercache.units import listed
from sercache.views import (
    MEMORY_SHARE,
    AnyView,
    FeatureView,
    JoinedView,
    OneInput,
    Scaling,
    beside,
    global_scaling,
)

__all__ = ["FoldViews", "Material", "fold_views", "gather", "lacking"]


@dataclass(frozen=True, eq=False)
class Material:
    """All that the trainings of an evaluation read."""

    main: Part
    """The corpus that the folds are made of."""
    target: Target
    """What the outputs of a head are."""
    folds: tuple[Fold, ...]
    also: tuple[tuple[Extra, Part], ...] = ()
    """Added to every training part."""
    cross_corpus: tuple[tuple[Extra, Part], ...] = ()
    """Other corpora that every trained head is tested on."""
    augmented: tuple[Part, ...] = ()
    """Versions of the main part that are trained on beside it."""


@dataclass(frozen=True, eq=False)
class FoldViews:
    """The parts of one fold, normalised."""

    train: AnyView
    dev: AnyView | None
    test: AnyView | None
    """None in the protocol ``all``."""
    cross_corpus: tuple[AnyView, ...] = ()
    """All of each other corpus, as this fold's heads read it."""
    scalings: tuple[Scaling, ...] = ()
    """Statistics of this fold's training part, one for each input; empty unless normalisation is global."""


def gather(data: Data, setup: Setup, *, fold_seed: int = 0) -> Material:
    """Labels, folds and views of an evaluation; ``fold_seed`` decides random folds and dev parts.

    Raises UnknownNameError, ProtocolError, MissingFeaturesError, SettingsError, StoreError.
    """
    corpus, stores = data.corpus, data.stores
    for store in (*stores, *(each for extra in (*data.also_train, *data.test_on) for each in extra.stores)):
        note_use(store.path)
    truth = read_truth(corpus, stores, setup.task, setup.target)
    numeric = isinstance(truth.target, Numbers)
    # Folds of numbers are drawn as those of a single class.
    drawn_by = dict.fromkeys(truth.values, "") if numeric else truth.labels
    folds = tuple(
        make_folds(
            corpus, drawn_by, setup.protocol, dev=setup.dev, seed=fold_seed, numeric=numeric, lists=data.lists
        )
    )
    for line in lacking(folds, corpus, setup.protocol):
        warn(line)
    if not folds:
        raise ProtocolError(f"{setup.protocol} gives no folds on {corpus.name}; choose another protocol")
    if setup.duplicates == "apart":
        audio = audio_of(stores, truth.values)
        if audio is None:
            raise SettingsError(
                "duplicates are found by digests of their audio, which these features lack; omit --duplicates apart"
            )
        folds = tuple(kept_apart(fold, audio, truth.labels) for fold in folds)
    truth = truth.only({id for fold in folds for part in (fold.train, fold.dev, fold.test) for id in part})
    target = truth.target
    budget = int(MEMORY_SHARE * free_memory()) if data.budget is None else data.budget
    main = open_part(corpus, stores, setup, setup.task, truth, target, budget, data.remedy)
    parts = [main]

    def left() -> int:
        # All corpora share one budget: what the earlier ones keep is not there for the next.
        plans = [view.plan for part in parts for view in part.inputs]
        return max(0, budget - sum(plan.bytes for plan in plans if plan.in_memory))

    trained = {id for fold in folds for id in fold.train}
    augmented: list[Part] = []
    for each in data.augmented:
        part = open_part(corpus, each, setup, setup.task, truth.only(trained), target, left(), None)
        augmented.append(part)
        parts.append(part)
    if augmented and data.also_train:
        raise SettingsError(
            "augmented features are of the corpus alone; add no other corpus to what is trained on"
        )
    also: list[tuple[Extra, Part]] = []
    for extra in data.also_train:
        also.append((extra, open_added(extra, stores, setup, target, left())))
        parts.append(also[-1][1])
    cross_corpus: list[tuple[Extra, Part]] = []
    for extra in data.test_on:
        cross_corpus.append((extra, open_cross_corpus(extra, stores, setup, main.task, target, left())))
        parts.append(cross_corpus[-1][1])
    _never_trained(cross_corpus, [(corpus, main), *((extra.corpus, part) for extra, part in also)])
    return Material(main, target, folds, tuple(also), tuple(cross_corpus), tuple(augmented))


def lacking(folds: Sequence[Fold], corpus: Corpus, protocol: str) -> list[str]:
    """What lists name and the copy has not, in a sentence if there is any: numbers are of fewer than the lists have."""
    names = list(dict.fromkeys(name for fold in folds for name in fold.lacking))
    if not names:
        return []
    return [
        f"of the recordings, sessions and speakers in the lists of {protocol}, {len(names)} are not in this copy "
        f"of {corpus.name}, first: {listed(names[:3])}; the numbers are of the others"
    ]


def fold_views(material: Material, fold: Fold, normalise: Literal["none", "global", "speaker"]) -> FoldViews:
    """Train, dev and test view of a fold. ``global`` statistics come from the training part alone."""
    inputs = [_one_input(material, fold, normalise, k) for k in range(len(material.main.inputs))]
    return FoldViews(
        beside([each.train for each in inputs]),
        beside([each.dev for each in inputs if each.dev is not None]) if fold.dev else None,
        beside([each.test for each in inputs if each.test is not None]) if fold.test else None,
        tuple(beside([each.cross_corpus[k] for each in inputs]) for k in range(len(material.cross_corpus))),
        tuple(each.scaling for each in inputs if each.scaling is not None),
    )


@dataclass(frozen=True, eq=False)
class _OneInput:
    """What one input of the heads reads in a fold."""

    train: OneInput
    dev: FeatureView | None
    test: FeatureView | None
    cross_corpus: tuple[FeatureView, ...]
    scaling: Scaling | None


def _one_input(material: Material, fold: Fold, normalise: str, k: int) -> _OneInput:
    whole = material.main.inputs[k]
    train = whole.subset(fold.train)
    dev = whole.subset(fold.dev) if fold.dev else None
    test = whole.subset(fold.test) if fold.test else None
    extra = [part.inputs[k] for _, part in material.also]
    extra += [part.inputs[k].subset(fold.train) for part in material.augmented]
    cross_corpus = [part.inputs[k] for _, part in material.cross_corpus]
    scaling = global_scaling(train, *extra) if normalise == "global" else None
    if scaling is not None:
        train = train.scaled(scaling)
        dev, test = (view.scaled(scaling) if view else None for view in (dev, test))
        extra, cross_corpus = ([view.scaled(scaling) for view in views] for views in (extra, cross_corpus))
    n_variants = 1 + len(material.augmented)
    joined = JoinedView((train, *extra), n_variants) if extra else train
    return _OneInput(joined, dev, test, tuple(cross_corpus), scaling)


def _never_trained(
    cross_corpus: Sequence[tuple[Extra, Part]], trained: Sequence[tuple[Corpus, Part]]
) -> None:
    """Refuses to call a test what the training has seen, and to write two results under one name."""
    names: dict[tuple[str, str], str] = {}
    for extra, part in cross_corpus:
        name = extra.corpus.name
        for corpus, other in trained:
            same = extra.corpus.is_called(corpus.name, corpus.release)
            shared = sorted(set(part.truth.values) & set(other.truth.values)) if same else []
            if shared:
                raise SettingsError(
                    f"{len(shared)} utterances of {name} are to be tested on as another corpus and belong to the "
                    f"one that is trained on, first: {shared[0]}; leave {name} out of --test-on"
                )
        key = file_name(name).casefold(), part.task
        if names.get(key) == name:
            raise SettingsError(f"{name}, task {part.task}, is named twice to be tested on")
        if key in names:
            raise SettingsError(
                f"{names[key]} and {name} would be one file where a disk does not tell upper from lower case; test on "
                "one of them at a time, or name one otherwise (--dataset manifest:NAME)"
            )
        names[key] = name

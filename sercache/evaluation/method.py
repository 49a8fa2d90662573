"""What an evaluation is of: a method, the data that it is tried on, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sercache.datasets import Corpus
from sercache.protocols import Fold
from sercache.recipe import Recipe, Setup
from sercache.record import Recording, StartRecord
from sercache.stores import FeatureStore
from sercache.training import Way


@dataclass(frozen=True, eq=False)
class Method:
    """A head with its options, a set-up and a recipe."""

    head: str
    """Name of the head."""
    kind: type[nn.Module]
    """Its class: ``kind(n_layers, dim, n_outputs, **options)``."""
    setup: Setup
    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the head; those at their defaults may be left out."""
    fold_seed: int = 0
    """Decides random folds and dev parts."""
    look: bool = False
    """Whether it is tried for a coarse look: what is trained then is taken for no result, and no result for it."""


@dataclass(frozen=True, eq=False)
class Extra:
    """Another corpus: added to every training part, or one that every trained head is tested on."""

    corpus: Corpus
    store: FeatureStore
    task: str | None = None
    language: str | None = None
    """Only utterances in this language; None: all."""
    beside: tuple[FeatureStore, ...] = ()
    """Stores of the further inputs, in the order of ``Setup.beside``."""

    @property
    def stores(self) -> tuple[FeatureStore, ...]:
        """One for each input."""
        return (self.store, *self.beside)


@dataclass(frozen=True, eq=False)
class Data:
    """Corpora with the stores of their features."""

    corpus: Corpus
    """That the folds are made of."""
    stores: tuple[FeatureStore, ...]
    """One for each input of the head, in the order of the set-up."""
    also_train: tuple[Extra, ...] = ()
    """Added to every training part."""
    test_on: tuple[Extra, ...] = ()
    """Every trained head predicts all of these."""
    remedy: str | None = None
    """What to do where utterances have no features, for the error."""
    budget: int | None = None
    """Bytes of features that may stay in memory; None: a share of what is free."""
    augmented: tuple[tuple[FeatureStore, ...], ...] = ()
    """Stores of the same corpus after augmentation, one for each input: only trained on, beside the plain ones."""
    lists: Path | None = None
    """Folder that the protocol's lists of folds lie below."""
    named: Path | None = None
    """The first of the stores, where it was named and not found by what it holds."""


@dataclass(frozen=True)
class How:
    """How the trainings are computed; all but ``share_order`` and ``prepare`` leave the numbers as they are."""

    way: Way = "auto"
    share_order: bool = False
    """Whether the seeds of a fold see the same batches; they differ in initial weights and dropout then."""
    partial: Path | None = None
    """Folder that keeps each training when it is done, so that a killed evaluation goes on from there."""
    runs: Path | None = None
    """Folder of runs: trainings of the same experiment that these hold are not done again."""
    prepare: Callable[[nn.Module, Fold, int], None] | None = None
    """Gives each untrained head its initial weights, from its fold and seed."""
    test: bool = True
    """Whether heads are tested. Without, no score but those of dev is ever computed, as a choice by dev needs it."""
    started_from: tuple[StartRecord, ...] = ()
    """Where these initial weights are from, for the record; nothing that they have seen is tested on."""
    recordings_before: tuple[Recording, ...] | None = ()
    """What these were trained on; None where that is not known of all."""
    device: str = "cpu"
    paces: Path | None = None
    """File that keeps how fast heads were seen to train here; None: it is measured each time."""

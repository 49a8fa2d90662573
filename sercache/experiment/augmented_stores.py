"""Stores of the same recordings after augmentation: what the cache has, and what makes what it lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

from sercache import augment, stores
from sercache.augment import Augmentation
from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, SettingsError
from sercache.experiment import augmenting
from sercache.experiment.origin import extract_command
from sercache.progress import used
from sercache.stores import FeatureStore
from sercache.units import listed


def conditions(asked: Sequence[str]) -> list[Augmentation]:
    """Each augmentation that is named, once, in the order of the call; ``none`` is none. Raises SettingsError."""
    named = [text for text in asked if text.strip() != "none"]
    if named and len(named) < len(asked):
        raise SettingsError(
            f"augmentation none is for the plain recordings alone, got {listed(named)} too; leave one of them out"
        )
    found = [augmenting.anywhere(each) for text in named for each in augment.conditions(text)]
    return list(dict.fromkeys(found))


def found_store(
    own: FeatureStore, condition: Augmentation, corpus: Corpus, cache: Path, wanted: Collection[str]
) -> FeatureStore | None:
    """The store that holds, of the recordings of ``own`` after augmentation, the entries ``wanted``; None: none does.

    Of text it is ``own``. Raises SettingsError, AudioError for recordings that are to be mixed in.
    """
    spec = own.spec
    if spec.is_text:
        return own
    ready = augmenting.ready(str(condition), corpus, spec.sample_rate)
    assert ready is not None
    need = dataclasses.replace(spec, augment=ready.spec)
    for folder, other in stores.find(cache):
        if (other.corpus, other.release) == (spec.corpus, spec.release) and need.is_held_by(other):
            there = stores.open(folder)
            if set(wanted) <= set(there.ids()):
                used("store", folder)
                return there
    return None


def beside_plain(
    asked: Sequence[str], read: Sequence[FeatureStore], corpus: Corpus, cache: Path
) -> tuple[tuple[FeatureStore, ...], ...]:
    """Of each augmentation the store of each input. Raises MissingFeaturesError with the command that makes one."""
    found = []
    for condition in conditions(asked):
        there = [found_store(own, condition, corpus, cache, own.ids()) for own in read]
        for own, each in zip(read, there, strict=True):
            if each is None:
                command = extract_command(own.path, augment=str(condition))
                raise MissingFeaturesError(
                    f"the cache {cache} has no features of all of {own.spec.shown} x {corpus.name} after {condition}; "
                    f"run: {command}"
                )
        found.append(tuple(each for each in there if each is not None))
    return tuple(found)

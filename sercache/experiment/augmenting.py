"""Augmentations as a call names them, made ready: folders found, recordings of the corpus drawn, digests taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sercache import augment
from sercache.augment import Augmentation, ReadyAugmentation, SourceStretch
from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.progress import used, warn
from sercache.stores import FeatureSpec


@dataclass(frozen=True)
class StorePlace:
    """A store that is to be filled."""

    spec: FeatureSpec
    folder: Path
    augmented: ReadyAugmentation | None = None
    """What the spec says is done to the recordings."""

    @property
    def cache(self) -> Path:
        """The folder of stores that it lies in."""
        return self.folder.parents[1]


def written(text: str | None) -> str | None:
    """An augmentation as a store remembers it: folders absolute. Raises SettingsError for what is none."""
    if text is None:
        return None
    return str(anywhere(augment.parse(text)))


def anywhere(augmentation: Augmentation) -> Augmentation:
    """The augmentation with its folders absolute."""
    steps = (
        replace(each, what=augment.folder_of(each.folder)) if each.folder else each
        for each in augmentation.steps
    )
    return replace(augmentation, steps=tuple(steps))


def ready(text: str | None, corpus: Corpus, rate: int) -> ReadyAugmentation | None:
    """The augmentation with the recordings that it takes, at ``rate`` Hz; None where there is none.

    Raises SettingsError, AudioError.
    """
    if text is None:
        return None
    augmentation = augment.parse(text)
    stretches: list[SourceStretch] = []
    if augment.needs_corpus(augmentation):
        own = sorted(corpus.utterances, key=lambda u: u.id)
        stretches = [SourceStretch(u.path, u.start, u.end) for u in own]
    found = ReadyAugmentation(augmentation, augment.added_recordings(augmentation, stretches, rate))
    used("augmented", augment.said(found.spec))
    if stretches:
        warn(
            f"babble is mixed of up to {augment.BABBLE_POOL} utterances of {corpus.name}, whichever part of a protocol "
            "they are in: what is trained on it hears speakers of its test part"
        )
    return found


def variants(text: str | None, number: int) -> Iterator[str]:
    """The augmentation with each of so many draws. Raises SettingsError where there is nothing to draw."""
    if text is None:
        raise SettingsError("--variants are of an augmentation; name one with --augment")
    augmentation = augment.parse(text)
    if number > 1 and not augmentation.draws:
        raise SettingsError(
            f"variants of {augmentation} are all alike, as nothing of it is drawn; leave --variants out"
        )
    if augmentation.variant and number > 1:
        raise SettingsError(f"{text!r} names its variant; leave that or --variants out")
    for k in range(number):
        yield str(replace(augmentation, variant=augmentation.variant or k))

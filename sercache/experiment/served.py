"""Which heads a store serves as published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sercache import catalog
from sercache.datasets import Corpus
from sercache.experiment.finding import holds
from sercache.head import declared
from sercache.recipe import Setup, inputs
from sercache.stores import FeatureSpec


@dataclass(frozen=True)
class Served:
    """Heads that were published with the encoder and the corpus of a store."""

    heads: tuple[str, ...]
    """Those whose features the store holds as published."""
    others: tuple[str, ...]
    """The others: one of each that need the same."""


def served(spec: FeatureSpec, corpus: Corpus) -> Served:
    """What of the published heads a store of this corpus serves. Heads without a paper count where they are served."""
    if spec.augment:  # none was published with
        return Served((), ())
    heads: list[str] = []
    others: dict[tuple[object, ...], str] = {}
    for name, own, is_baseline in _published(spec, corpus):
        if holds(spec, own):
            heads.append(name)
        elif not is_baseline:
            others.setdefault((own.cached_states, own.cached_frames, own.clip), name)
    return Served(tuple(heads), tuple(others.values()))


def _published(spec: FeatureSpec, corpus: Corpus) -> Iterator[tuple[str, Setup, bool]]:
    """Heads with the input that this encoder is in their set-up for this corpus, and whether they have no paper."""
    for name in catalog.names("sercache.heads"):
        module = catalog.load("sercache.heads", name)
        about = declared(module)
        for setup in (about.setup, *about.setups.values()):
            own = next((each for each in inputs(setup) if each.encoder == spec.encoder), None)
            if own is not None and setup.dataset == corpus.name:
                yield name, own, about.baseline

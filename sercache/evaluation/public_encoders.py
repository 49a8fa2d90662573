"""Public encoders whose authors trained them on what is tested here: a note under the number, never a refusal.

Which utterances they saw is not known, and the published numbers that people compare with are of such encoders.
"""

from __future__ import annotations

from collections.abc import Iterable

from sercache import encoders
from sercache.datasets import Corpus
from sercache.stores import FeatureStore


def leaks(stores: Iterable[FeatureStore], corpus: Corpus) -> tuple[str, ...]:
    """A note for each encoder of these features, and each way in which it knows a corpus that is tested."""
    notes = [
        seen.note(spec.shown)
        for spec in [store.spec for store in stores]
        for seen in encoders.seen_corpora(spec.encoder, spec.identity)
        if corpus.is_called(seen.corpus, "")
    ]
    return tuple(dict.fromkeys(notes))

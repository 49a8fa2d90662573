"""What single listeners said of utterances, as classes of a task, where a corpus publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from sercache import catalog
from sercache.datasets._corpus import Corpus
from sercache.datasets._labels import canonical
from sercache.errors import UnknownNameError

RECOGNISED = "recognised"
"""Attribute of a rating: the share of the listeners who named the class of the utterance."""
_NAMED = "LISTENERS"
"""What the file of a corpus may hold: beginnings of the names of raters who are single listeners, a tuple of texts.
Ratings of others are a speaker's own, or votes that were counted already."""


def listener_votes(corpus: Corpus, task: str | None) -> dict[str, dict[str, tuple[str, ...]]]:
    """By id of each utterance of ``task`` and listener, the classes named; empty text for one that the task lacks.

    Empty where the corpus publishes no single votes, or does not say which of its raters are listeners.
    """
    begins = _listeners(corpus)
    label_map = corpus.label_map(task)
    classes = {name: name for name in label_map.values()}
    classes |= {known: name for raw, name in label_map.items() if (known := canonical(raw))}
    labels = corpus.labels(task)
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for utterance in corpus.utterances if begins else ():
        if utterance.id in labels:
            votes = {
                each.rater: tuple(dict.fromkeys(classes.get(label, "") for label in each.labels))
                for each in utterance.ratings
                if each.rater.startswith(begins) and each.labels
            }
            found |= {utterance.id: votes} if votes else {}
    return found


def listener_rates(corpus: Corpus) -> dict[str, float]:
    """By id, the share of listeners who named the class of the utterance, where the corpus publishes that alone."""
    rates: dict[str, float] = {}
    for utterance in corpus.utterances:
        for each in utterance.ratings:
            attributes: Mapping[str, float] = each.attributes or {}
            rates |= {utterance.id: attributes[RECOGNISED]} if RECOGNISED in attributes else {}
    return rates


def _listeners(corpus: Corpus) -> tuple[str, ...]:
    with suppress(UnknownNameError):
        named = vars(catalog.load("sercache.datasets", corpus.reader or corpus.name)).get(_NAMED, ())
        return tuple(map(str, named))
    return ()

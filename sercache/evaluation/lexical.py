"""How much of what a run predicts could be read off the words: PPMI of lexical items and predicted classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sercache.datasets import Corpus
from sercache.errors import SettingsError
from sercache.metrics import ppmi
from sercache.record import Prediction, Score, score
from sercache.transcripts import normalised

Unit = Literal["utterance", "word"]


@dataclass(frozen=True)
class Lexical:
    """PPMI in bits, over models: lower means that fewer words alone give the class away."""

    overall: Score
    """Mean of the classes."""
    classes: Mapping[str, Score | None]
    """None for a class that no model predicts."""
    n_items: int
    """Different lexical items."""
    n_utterances: int
    n_left_out: int
    """Utterances without a transcript."""


def transcripts(corpus: Corpus) -> dict[str, str]:
    """Normalised transcript by id, of the utterances that have one. Raises SettingsError without any."""
    found = {u.id: text for u in corpus.utterances if u.transcript and (text := normalised(u.transcript))}
    if not found:
        raise SettingsError(
            f"{corpus.name} has no transcripts, so lexical dependence cannot be computed; choose a corpus that has them"
        )
    return found


def lexical(
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    words: Mapping[str, str],
    *,
    by: Literal["seed", "model"],
    unit: Unit = "utterance",
    weighted: bool = False,
) -> Lexical:
    """PPMI of the predicted classes and ``words`` (id -> transcript).

    ``by`` seed, all folds of a seed are one set of predictions, each utterance once; ``by`` model, each fold's
    head has said all of them. ``unit`` word takes every word of an utterance as an item that got its class.
    Raises SettingsError where no utterance has a transcript.
    """
    groups: dict[tuple[str, int], list[Prediction]] = {}
    for each in predictions:
        groups.setdefault(("" if by == "seed" else each.fold, each.seed), []).append(each)
    known = {each.id for each in predictions} & words.keys()
    if not known:
        raise SettingsError("no predicted utterance has a transcript; name the corpus of these predictions")
    tables, items = [], set()
    for group in groups.values():
        pairs = [pair for each in group if each.id in known for pair in _pairs(each, words[each.id], unit)]
        items |= {item for item, _ in pairs}
        tables.append(ppmi([i for i, _ in pairs], [c for _, c in pairs], len(classes), weighted=weighted))
    return Lexical(
        overall=score([float(np.nanmean(table)) for table in tables]),
        classes={name: _over(np.array(tables)[:, k]) for k, name in enumerate(classes)},
        n_items=len(items),
        n_utterances=len(known),
        n_left_out=len({each.id for each in predictions} - known),
    )


def _pairs(each: Prediction, text: str, unit: Unit) -> list[tuple[str, int]]:
    assert isinstance(each.predicted, int)  # of numbers there are no predicted classes
    return [(item, each.predicted) for item in (text.split() if unit == "word" else [text])]


def _over(values: np.ndarray) -> Score | None:
    """Over the models that predict the class at all."""
    held = values[~np.isnan(values)]
    return score(held.tolist()) if held.size else None

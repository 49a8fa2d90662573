"""Cells that nothing is trained for: counts of a corpus, sizes of a head, numbers of a recipe."""

from __future__ import annotations

from typing import Any

from sercache import catalog
from sercache.errors import RecipeError
from sercache.papers import Built, Fact, Members, RecipeField
from sercache.record import Score
from sercache.reproduction.paper import ReproduceOptions
from sercache.reproduction.place import Place, corpus_of


def fact(wanted: Fact, request: ReproduceOptions, place: Place) -> Score:
    """The number as it is here. Raises MissingMaterialError for a corpus that is not, CorpusError, RecipeError."""
    match wanted:
        case Members():
            return _exactly(_count(wanted, place))
        case Built():
            return _exactly(_size(wanted))
        case RecipeField(trial, field):
            value = getattr(request.plan(trial).recipe, field)
            if value is None:
                raise RecipeError(
                    f"recipe field {field} of {trial.head} is none, which is no number to compare"
                )
            return _exactly(value)


def _exactly(value: float) -> Score:
    return Score(float(value), None, 1)


def _count(wanted: Members, place: Place) -> int:
    corpus, _ = corpus_of(wanted.dataset, place)
    known = corpus.by_id()
    asked = {"label": wanted.label, "group": wanted.session, "sex": wanted.sex}
    there = (
        {"label": label, "group": known[id].group, "sex": known[id].sex}
        for id, label in corpus.labels(wanted.task).items()
    )
    return sum(all(value in (None, each[name]) for name, value in asked.items()) for each in there)


def _size(wanted: Built) -> float:
    """Of a head that is built without memory for its weights."""
    import torch

    with torch.device("meta"):
        head = catalog.load("sercache.heads", wanted.head).Head(wanted.n_layers, wanted.dim, wanted.n_outputs)
    if wanted.of == "parameters":
        return sum(each.numel() for each in head.parameters())
    found: Any = head
    for name in wanted.of.split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return float(found)

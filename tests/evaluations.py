"""Short ways to write an evaluation of fake data, and to collect what it reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from sercache import progress
from sercache.datasets import Corpus
from sercache.evaluation import Data, Evaluated, Extra, Method, evaluate
from sercache.recipe import Recipe, Setup
from sercache.stores import FeatureStore

_DATA = ("also_train", "budget")


def evaluated(
    kind: type[nn.Module],
    corpus: Corpus,
    store: FeatureStore | Sequence[FeatureStore],
    setup: Setup,
    recipe: Recipe,
    test_on: Sequence[Extra] = (),
    **more: Any,
) -> Evaluated:
    """Evaluate a head; further names are fields of the set-up, the method or the data, or arguments of evaluate."""
    changes = {name: more.pop(name) for name in list(more) if name in Setup.__dataclass_fields__}
    data = {name: more.pop(name) for name in _DATA if name in more}
    head, options = more.pop("head_name", "linear"), more.pop("head_options", {})
    method = Method(head, kind, dataclasses.replace(setup, **changes), recipe, options)
    stores = tuple(store) if isinstance(store, Sequence) else (store,)
    return evaluate(method, Data(corpus, stores, test_on=tuple(test_on), **data), **more)


@contextmanager
def told(label: str) -> Iterator[list[str]]:
    """What is told under a label (``training``, ``reading``) while the block runs."""
    found: list[str] = []

    class Collects(progress.Silent):
        def used(self, label_: str, value: object) -> None:
            if label_ == label:
                found.append(str(value))

    with progress.sent_to(Collects()):
        yield found


@contextmanager
def noted() -> Iterator[list[str]]:
    """The notes of the block."""
    found: list[str] = []

    class Collects(progress.Silent):
        def note(self, text: str) -> None:
            found.append(text)

    with progress.sent_to(Collects()):
        yield found

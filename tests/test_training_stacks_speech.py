"""Every way of training many members to the end on features of speech: the contract of ``fit_many``."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from array_view import Doubled
from many_helpers import assert_same, doubled, forks
from tolerances import assert_trained_alike
from torch import nn

from sercache import api, protocols
from sercache.datasets import Corpus
from sercache.heads import linear, mlp, superb, weighted_dense
from sercache.recipe import Recipe
from sercache.stores import FeatureStore
from sercache.training import Fit, Member, build, fit_many, predict
from sercache.views import FeatureView, global_scaling, open_view

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("espeakng_loader") is None, reason="the extra `demo` is not installed"
    ),
    forks,
]
SEEDS = 3
Parts = list[tuple[FeatureView, FeatureView, FeatureView]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, FeatureStore]:
    folder = tmp_path_factory.mktemp("speech")
    corpus = api.read_corpus("demo", folder / "corpus")
    return corpus, api.extract(api.load_encoder("logmel"), corpus, folder / "cache", progress=False)


def parts_of(stored: tuple[Corpus, FeatureStore], frames: bool, n_folds: int) -> Parts:
    """Train, dev and test of sessions, each fold normalised by its own training part."""
    corpus, store = stored
    labels = corpus.labels()
    names = sorted(set(labels.values()))
    classes = {id: names.index(name) for id, name in labels.items()}
    whole = open_view(store, classes, states="all", frames=frames, max_frames=60 if frames else None)
    found = []
    for fold in protocols.make_folds(corpus, labels, "leave-one-session-out", dev="last")[:n_folds]:
        scaling = global_scaling(whole.subset(fold.train))
        found.append(tuple(whole.subset(ids).scaled(scaling) for ids in (fold.train, fold.dev, fold.test)))
    return found  # type: ignore[return-value]


def trained(head: type[nn.Module], parts: Parts, recipe: Recipe, way: str, share_order: bool) -> list[Fit]:
    members = doubled(
        Member(build(head, train, 4, seed), train, dev, seed, order_seed=0 if share_order else None)
        for train, dev, _ in parts
        for seed in range(SEEDS)
    )
    received: list[str] = []
    found = fit_many(members, recipe, way=way, say=received.append)  # type: ignore[arg-type]
    told = {"serial": "one", "stacked": "as one", "processes": "in"}
    assert received[0].startswith(told[way] + " "), received
    return found


def outputs(fits: list[Fit], parts: Parts) -> list[np.ndarray]:
    """Of the dev and the test part of each member."""
    views = [part[1:] for part in parts for _ in range(SEEDS)]
    return [predict(fit.head, Doubled(view)) for fit, own in zip(fits, views, strict=True) for view in own]


@pytest.mark.parametrize("share_order", [False, True], ids=["own-order", "shared-order"])
@pytest.mark.parametrize("head", [linear, superb, mlp, weighted_dense], ids=lambda m: m.__name__[6:])
def test_predictions_and_weights_are_those_of_serial_training(stored, head, share_order: bool) -> None:  # type: ignore[no-untyped-def]
    frames = head is weighted_dense
    parts = parts_of(stored, frames, 1 if frames else 2)
    # Published recipes are for larger corpora: enough rate and epochs that members learn, and stop early.
    recipe = replace(head.RECIPE, lr=1e-3, max_epochs=6 if frames else 60, select="dev-loss", patience=6)
    expected = trained(head.Head, parts, recipe, "serial", share_order)
    wanted = outputs(expected, parts)
    accuracy = np.mean(
        [(o.argmax(1) == view.labels).mean() for o, view in zip(wanted[1::2], _tests(parts), strict=True)]
    )
    assert accuracy > (0.3 if frames else 0.4), "members should have learned something"
    for way in ("processes", "stacked"):
        found = trained(head.Head, parts, recipe, way, share_order)
        if way == "processes":
            assert_same(found, expected)
        assert_trained_alike(found, expected, recipe)
        for ours, theirs in zip(outputs(found, parts), wanted, strict=True):
            np.testing.assert_array_equal(ours.argmax(1), theirs.argmax(1))


def _tests(parts: Parts) -> list[FeatureView]:
    return [part[2] for part in parts for _ in range(SEEDS)]

"""Whether a finished run is what is asked for now: by what names its trainings, and what they were tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluated
from fake_store import make_talk

from sercache import record
from sercache.datasets import Corpus
from sercache.evaluation import Data, How, Method
from sercache.evaluation import kept as module
from sercache.evaluation.kept import UNRECORDED, differs, differs_in_code
from sercache.heads import mlp
from sercache.recipe import Recipe, Setup
from sercache.record import Report, StartRecord
from sercache.report.runs import load, save

pytestmark = pytest.mark.usefixtures("few_draws")

SETUP = Setup("tiny", "talk", "leave-one-speaker-out", "all", frames=False, dev="next", seeds=(0, 3))
RECIPE = Recipe(lr=1e-2, batch_size=8, max_epochs=1, select="dev-ua")


@pytest.fixture(scope="module")
def report(few_draws: None, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of a finished run, as its folder keeps it."""
    corpus, store = make_talk()
    made = evaluated(mlp.Head, corpus, store, SETUP, RECIPE, head_name="mlp").report
    return load(save(made, tmp_path_factory.mktemp("runs") / "run"))


Asked = tuple[Method, Data, How]


def asked(corpus: Corpus | None = None, stores: Any = None, started_from: Any = (), **changes: Any) -> Asked:
    own, store = make_talk()
    method = replace(Method("mlp", mlp.Head, SETUP, RECIPE), **changes)
    return method, Data(corpus or own, stores or (store,)), How(started_from=started_from)


def test_the_same_is_the_same(report: Report) -> None:
    assert differs(report, *asked()) == ()
    assert differs_in_code(report, mlp.Head, {}, RECIPE) == ()


def test_fewer_seeds_are_in_it_and_more_are_not(report: Report) -> None:
    assert differs(report, *asked(setup=replace(SETUP, seeds=(3,)))) == ()
    more = asked(setup=replace(SETUP, seeds=(0, 3, 7)))
    assert differs(report, *more) == ("no training of fold s0 with seed 7 and 4 more",)


def with_spec(setup: Setup = SETUP, **changes: Any) -> Asked:
    corpus, store = make_talk()
    store.spec = replace(store.spec, **changes)
    return asked(corpus, (store,), setup=setup)


def relabelled(place: int) -> Asked:
    corpus, _ = make_talk()
    own = list(corpus.utterances)
    other = next(u.raw_label for u in own if u.raw_label != own[place].raw_label)
    own[place] = replace(own[place], raw_label=other)
    return asked(corpus=replace(corpus, utterances=tuple(own)))


OTHERS: dict[str, tuple[Asked, str]] = {
    "recipe": (asked(recipe=replace(RECIPE, lr=1e-3)), "lr 0.01 instead of 0.001"),
    "option": (asked(options={"dropout_rate": 0.5}), "head option dropout_rate"),
    "identity": (with_spec(identity={"source": "other weights"}), "source of the encoder"),
    "precision": (
        with_spec(identity={**make_talk()[1].spec.identity, "precision": "bfloat16"}),
        "precision of the encoder none instead of bfloat16",
    ),
    "transcripts": (with_spec(transcripts="ab"), "transcripts (digest) of the features none instead of ab"),
    "release": (asked(corpus=replace(make_talk()[0], release="2")), "release of the corpus"),
    "initial weights": (
        asked(started_from=(StartRecord("", "first", "mlp", ("talk",), weights="ab"),)),
        "training of the initial weights none instead of ab",
    ),
    "label": (relabelled(0), "other utterances, recordings or labels in training of fold"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_experiment_is_another_result(report: Report, name: str) -> None:
    other, words = OTHERS[name]
    assert any(words in line for line in differs(report, *other)), differs(report, *other)


def test_another_version_is_told_without_features(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mlp, "VERSION", 2, raising=False)
        assert differs_in_code(report, mlp.Head, {}, RECIPE) == (
            "version of the head's file none instead of 2",
        )
    monkeypatch.setattr(module, "TRAINING", record.TRAINING + 1)
    [line] = differs_in_code(report, mlp.Head, {}, RECIPE)
    assert line.startswith("version of the training code")


def test_the_stored_type_counts_where_frames_are_read() -> None:
    corpus, store = make_talk()
    frames = replace(SETUP, frames=True, seeds=(0,))
    made = evaluated(mlp.Head, corpus, store, frames, RECIPE, head_name="mlp").report
    assert differs(made, *with_spec(frames, dtype="bfloat16"))[0].startswith("stored type of the features")


def test_a_test_part_that_changed_is_another_result(report: Report) -> None:
    first = replace(report.folds[0], test_sha256="0")
    found = differs(replace(report, folds=(first, *report.folds[1:])), *asked())
    assert found == (f"other utterances in the test part of fold {first.name}",)
    wrong = replace(report.predictions[0], true=1 - report.predictions[0].true)
    found = differs(replace(report, predictions=(wrong, *report.predictions[1:])), *asked())
    assert found == (f"another label of test utterance {wrong.id}",)


def test_a_run_without_an_experiment_is_taken_for_no_other() -> None:
    old = load(Path(__file__).parent / "fixtures" / "a1b0434" / "runs" / "superb")
    assert differs(old, *asked()) == (UNRECORDED,)
    assert differs_in_code(old, mlp.Head, {}, RECIPE) == (UNRECORDED,)

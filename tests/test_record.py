"""What names a training: everything that decides its numbers, and nothing else."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from sercache.record import TRAINING, Experiment, Features, Initial, Job, Labelled, digest_of

FEATURES = Features("tiny", {"source": "test"}, ("1", "2"), "means", "none", "float32")
EXPERIMENT = Experiment(
    head="linear",
    head_version="",
    options={"hidden": 256},
    inputs=(FEATURES,),
    trained_on=(Labelled("talk", "1", "4class", "ab"),),
    target=None,
    protocol="leave-one-speaker-out",
    dev="next",
    fold_seed=0,
    normalise="global",
    max_frames=None,
    recipe={"lr": 1e-3, "patience": None},
)
OTHERS: dict[str, Any] = {
    "head": "mlp",
    "head_version": "2",
    "options": {"hidden": 128},
    "inputs": (replace(FEATURES, states=("1",)),),
    "trained_on": (replace(EXPERIMENT.trained_on[0], release="2"),),
    "target": "anger",
    "protocol": "kfold:5",
    "dev": "none",
    "fold_seed": 1,
    "normalise": "none",
    "max_frames": 100,
    "recipe": {"lr": 1e-4, "patience": None},
    "start": (Initial("", "cd"),),
    "order_seed": 0,
    "training": TRAINING + 1,
}


def test_every_field_is_tried() -> None:
    assert set(OTHERS) == {each.name for each in fields(Experiment)}


@pytest.mark.parametrize("name", OTHERS)
def test_every_field_decides(name: str) -> None:
    assert replace(EXPERIMENT, **{name: OTHERS[name]}).digest != EXPERIMENT.digest


@pytest.mark.parametrize(
    "change",
    [{"states": ("2", "1")}, {"kind": "frames"}, {"clip": "trim:15"}, {"dtype": "float16"},
     {"transcripts": "a"}, {"trained_from": "conv"}, {"identity": {"source": "other"}}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_so_do_those_of_an_input(change: dict[str, Any]) -> None:
    assert replace(EXPERIMENT, inputs=(replace(FEATURES, **change),)).digest != EXPERIMENT.digest


@pytest.mark.parametrize("name", OTHERS)
def test_what_differs_is_said(name: str) -> None:
    other = replace(EXPERIMENT, **{name: OTHERS[name]})
    assert other.differs_from(EXPERIMENT)
    assert EXPERIMENT.differs_from(other)
    assert not EXPERIMENT.differs_from(replace(EXPERIMENT))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": {"lr": 1e-4, "patience": None}}, "lr 0.0001 instead of 0.001"),
        ({"options": {"hidden": True}}, "head option hidden True instead of 256"),
        ({"options": {}}, "head option hidden none instead of 256"),
        ({"head_version": "2"}, "version of the head's file 2 instead of none"),
        ({"training": 7}, f"version of the training code 7 instead of {TRAINING}"),
        ({"inputs": (replace(FEATURES, dtype="float16"),)}, "stored type of the features float16 instead of float32"),
        ({"inputs": (FEATURES, FEATURES)}, "source of the encoder (input 2) test instead of none"),
        ({"inputs": (replace(FEATURES, identity={"source": "test", "sha256": "ab" * 32}),)},
         "sha256 of the encoder abababababab instead of none"),
        ({"inputs": (replace(FEATURES, identity={"source": "test", "read": {"rate": 8000}}),)},
         "rate of the encoder 8000 instead of none"),
        ({"trained_on": (*EXPERIMENT.trained_on, Labelled("esd", "1", "4class", "ab"))},
         "name of the corpus that is added esd instead of none"),
        ({"start": (Initial("emotion", "cd"),)}, "training of the initial weights cd instead of none"),
    ],
    ids=str,
)  # fmt: skip
def test_in_words(change: dict[str, Any], words: str) -> None:
    assert words in replace(EXPERIMENT, **change).differs_from(EXPERIMENT)


def test_a_name_for_people_decides_nothing() -> None:
    assert replace(EXPERIMENT, inputs=(replace(FEATURES, encoder="mine"),)).digest == EXPERIMENT.digest


def test_one_number_written_in_two_ways_is_one() -> None:
    assert replace(EXPERIMENT, options={"hidden": 256.0}).digest == EXPERIMENT.digest
    assert replace(EXPERIMENT, options={"hidden": True}).digest != EXPERIMENT.digest


def test_it_comes_back_from_its_json() -> None:
    whole = replace(EXPERIMENT, start=(Initial("emotion", "cd"),))
    record = json.loads(json.dumps(whole.to_json()))
    assert record["digest"] == whole.digest
    assert Experiment.from_json(record) == whole
    assert Experiment.from_json(record).digest == whole.digest


def test_a_job_is_an_experiment_a_fold_a_seed_and_what_the_fold_holds() -> None:
    job = Job(EXPERIMENT.digest, "1", 0, "ef")
    others = [{"experiment": "x"}, {"fold": "2"}, {"seed": 1}, {"items": "x"}]
    digests = {job.digest, *(replace(job, **other).digest for other in others)}  # type: ignore[arg-type]
    assert len(digests) == 5


def test_names_that_are_no_text_have_digests_of_their_own() -> None:
    assert len({digest_of(["/d\udce9r"]), digest_of(["/d\udceer"]), digest_of(["/d?r"])}) == 3


def test_digests_stay_what_they_are() -> None:
    """They lie in reports and in the names of files: another way to make them forgets every training."""
    assert replace(EXPERIMENT, training=1).digest == "22b5664148527d56"

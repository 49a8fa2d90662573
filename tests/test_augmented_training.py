"""Training on augmented versions beside the plain recordings: what is drawn, what is tested, what is refused."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Outcome
from hypothesis import given
from hypothesis import strategies as st

import sercache as face
from sercache.errors import MissingFeaturesError, SettingsError
from sercache.experiment import robustness
from sercache.experiment.compare import trained_alike
from sercache.experiment.result import Result
from sercache.experiment.sweep_options import SweepOptions, request_of
from sercache.experiment.together import command_of
from sercache.heads import linear
from sercache.recipe import Recipe
from sercache.record import Experiment
from sercache.report import page, plots, runs
from sercache.training.plan import batches, drawn_batches

RECIPE = Recipe(batch_size=3)


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 5), st.integers(1, 5), st.sampled_from([1, 2]))
def test_an_epoch_has_each_item_once_in_a_version_that_is_drawn(
    n_items: int, n_variants: int, seed: int, epoch: int, bucket: int
) -> None:
    recipe = Recipe(batch_size=3, bucket=bucket)
    labels, lengths = np.tile(np.arange(n_items) % 2, n_variants), np.arange(n_items * n_variants) + 1
    parts = drawn_batches(recipe, labels, lengths, n_variants, seed, epoch)
    rows = np.concatenate(parts)
    assert sorted(rows % n_items) == list(range(n_items))
    again = drawn_batches(recipe, labels, lengths, n_variants, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    if n_variants == 1:
        plain = batches(recipe, labels, lengths, seed, epoch)
        assert all(np.array_equal(a, b) for a, b in zip(parts, plain, strict=True))


def test_all_versions_are_drawn_alike() -> None:
    labels, lengths = np.zeros(4000, np.int64), np.ones(4000, np.int64)
    rows = np.concatenate(drawn_batches(RECIPE, labels, lengths, 4, 0, 1))
    counts = np.bincount(rows // 1000, minlength=4)
    # Binomial, n 1000 and p 1/4: a standard deviation is 13.7, and five of them are passed once in a million draws.
    assert (abs(counts - 250) < 70).all()


@pytest.fixture
def where(cached: Path, recordings: Path, few_draws: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(plots, "draw", lambda report, folder: [])  # they take most of the time
    monkeypatch.setattr(page, "write", lambda report, path, **options: path)
    monkeypatch.setattr(robustness, "_written", lambda folder, tested, table: [])
    return {
        "encoder": "logmel",
        "dataset": "manifest",
        "root": recordings,
        "states": "all",
        "device": "cpu",
        "protocol": "kfold:3",
        "progress": False,
        "recipe": {"max_epochs": 3, "batch_size": 8},
    }


def test_versions_that_are_alike_train_what_the_plain_ones_do(
    where: dict[str, Any], sercache: Callable[..., Outcome]
) -> None:
    """As many updates of the same batches, of one statistics; what is missing is made by the command that is told."""
    with pytest.raises(MissingFeaturesError, match="run: sercache extract") as fault:
        face.train("linear", augmented="gain:0", **where)
    command = shlex.split(str(fault.value).partition("run: ")[2])
    assert sercache(*command[1:]).code == 0
    plain = face.train("linear", **where)
    both = face.train("linear", augmented=["gain:0"], **where)
    for one, other in zip(plain.report.runs, both.report.runs, strict=True):
        assert one.n_updates == other.n_updates
    for one, other in zip(plain.report.predictions, both.report.predictions, strict=True):
        assert (one.id, one.fold) == (other.id, other.fold)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert any(
        "trained on augmented recordings too" in note and "gain:0" in note for note in both.report.notes
    )
    assert plain.report.experiment is not None
    assert both.report.experiment is not None
    assert plain.report.experiment.digest != both.report.experiment.digest
    again = Experiment.from_json(both.report.experiment.to_json())
    assert again == both.report.experiment
    assert again.inputs[0].beside == ({"steps": "gain:0", "version": 1},)
    assert "beside" not in plain.report.experiment.to_json()["inputs"][0]


def test_what_is_tested_and_what_selects_is_plain(
    where: dict[str, Any], sercache: Callable[..., Outcome], own_settings: Path
) -> None:
    """The trained head on the plain store says what the report does; a solved head takes all versions at once.

    What ``compare`` advises in order to train such a run again trains on the same versions.
    """
    for text in ("noise:snr=0", "noise:snr=20"):
        made = {key: where[key] for key in ("root", "device", "progress")}
        face.extract("logmel", "manifest", augment=text, **made)
    trained = face.train("linear", augmented="noise:snr=20,0", **where)
    found = face.robustness(trained, "noise:snr=0", progress=False)
    plain = trained.report
    assert found.conditions[0].report.predictions == plain.predictions
    assert found.conditions[1].report.predictions != plain.predictions
    assert "augment" not in plain.features["spec"]
    solved = {key: value for key, value in where.items() if key != "recipe"}
    logistic = face.train("logistic", augmented="noise:snr=20", **solved, dev="none")
    assert any("all of them at once" in note for note in logistic.report.notes)
    pair = face.compare([trained, logistic], progress=False)
    [line] = [each for each in pair.table.notes if each.startswith("augmented recordings added")]
    assert "result 1: noise:white:snr=20, seed 0, variant 0, noise:white:snr=0, seed 0, variant 0; " in line
    assert line.endswith("result 2: noise:white:snr=20, seed 0, variant 0)")
    command = trained_alike(logistic.report, logistic.report, name="again")
    changed = {"frames": True, "max_frames": 50, "finetune_from": "conv", "beside": ("logmel:all:pooled",)}
    other = dataclasses.replace(plain, setup={**plain.setup, **changed, "normalise": "none"})
    said = trained_alike(other, plain, name="again")
    for option in ("--frames", "--max-frames 50", "--finetune-from conv", "--beside logmel:all:pooled"):
        assert option in said
        assert option not in command
    done = sercache(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    again = Result.load(own_settings / "runs" / "again").report
    assert again.experiment is not None
    assert again.experiment == logistic.report.experiment
    assert again.predictions == logistic.report.predictions


def test_a_sweep_tries_versions_and_fails_before_work_where_one_is_missing(
    where: dict[str, Any], sercache: Callable[..., Outcome], own_settings: Path
) -> None:
    """Nothing of it is left then; what finishes it names what its points are trained on."""
    sweep = {**where, "dev": "next", "seeds": 1, "name": "s", "recipe": {"max_epochs": 1}}
    del sweep["states"]
    grid = {"states": ["all"], "augmented": ["none", "gain:0"]}
    for dry_run in (True, False):
        with pytest.raises(MissingFeaturesError, match="run: sercache extract") as fault:
            face.sweep("linear", grid, dry_run=dry_run, **sweep)
        assert not (own_settings / "runs").exists()
    with pytest.raises(SettingsError, match="'echo' is nothing that can be done"):
        face.sweep("linear", {"augmented": ["gain:0", "echo"]}, **sweep)
    for dry_run in (True, False):  # a fault that only the second point's own recordings show
        with pytest.raises(SettingsError, match="nosuch"):
            face.sweep("linear", {"augmented": ["none", "noise:nosuch:snr=3"]}, dry_run=dry_run, **sweep)
        assert not (own_settings / "runs").exists()
    command = shlex.split(str(fault.value).partition("run: ")[2])
    assert sercache(*command[1:]).code == 0
    swept = face.sweep("linear", grid, **sweep)
    assert {point["augmented"] for point, _ in swept.points} == {"none", "gain:0"}
    reports = [runs.load(place.parent) for place in (own_settings / "runs").glob("s/*/report.json")]
    found = {
        bool(each.experiment.inputs[0].beside): each.experiment.digest for each in reports if each.experiment
    }
    assert len(set(found.values())) == len(found) == 2
    of_all = SweepOptions("linear", ("lr=1",), "s", augmented=("gain:0",), finetune_from="conv")
    assert "--augmented gain:0 --finetune-from conv" in command_of(of_all, "sweep")
    asked = request_of(linear, of_all, {"lr": "1", "normalise": "none"})
    assert (asked.augmented, asked.finetune_from, asked.normalise) == (("gain:0",), "conv", "none")


def test_what_a_named_store_trained_is_trained_again_from_it(
    where: dict[str, Any], sercache: Callable[..., Outcome], own_settings: Path, tmp_path: Path
) -> None:
    """Of augmented recordings or outside the cache no search finds it; where it moved into the cache, that is said."""
    made = {key: where[key] for key in ("root", "device", "progress")}
    inside = face.extract("logmel", "manifest", augment="noise:snr=0", **made).path
    solved = {key: value for key, value in where.items() if key not in ("recipe", "encoder")}
    elsewhere = tmp_path / "elsewhere"
    inside.rename(elsewhere)
    with pytest.warns(UserWarning, match="features are of augmented recordings"):
        first = face.train("logistic", elsewhere, **solved, dev="none", name="first").report
    command = trained_alike(first, first, name="second")
    assert f"--store {elsewhere}" in command
    done = sercache(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    second = runs.load(own_settings / "runs" / "second")
    assert second.experiment == first.experiment
    assert second.predictions == first.predictions
    elsewhere.rename(tmp_path / "hidden")
    assert "--store FOLDER" in trained_alike(first, first)
    (tmp_path / "hidden").rename(inside)
    assert f"--store {inside}" in trained_alike(first, first)
    other = dataclasses.replace(first, corpus={**first.corpus, "name": "other"})
    assert "--store" not in trained_alike(first, other)
    plain = face.train("logistic", **{**solved, "encoder": "logmel"}, dev="none").report
    assert "--store" not in trained_alike(plain, plain)

"""The Python face: results, settings and errors, beside those of the command line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sercache
from sercache.datasets import Corpus
from sercache.errors import ContractError, RecipeError, SettingsError, StoreError, UnknownNameError
from sercache.experiment.grid import read_grid
from sercache.experiment.options import filled, names_of
from sercache.experiment.setup import TrainOptions
from sercache.experiment.sweep import SweepOptions
from sercache.stores import FeatureStore

FAST: dict[str, Any] = {"protocol": "kfold:3", "dev": "random20", "device": "cpu", "states": "all"}
QUICK = {"max_epochs": 2}
pytestmark = pytest.mark.usefixtures("few_draws")


@pytest.fixture
def loudness(cached: Path, recordings: Path) -> tuple[FeatureStore, Corpus]:
    corpus = sercache.read_corpus("manifest", recordings)
    [folder] = (cached.parent / "cache").glob("*/*")
    return sercache.open_store(folder), corpus


def test_nothing_heavy_is_loaded_to_open_a_store() -> None:
    code = "import sys, sercache; sercache.open_store; print({'torch', 'transformers'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    )


def test_every_name_on_offer_is_there() -> None:
    assert [name for name in sercache.__all__ if getattr(sercache, name) is None] == []
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        sercache.trian  # noqa: B018


def test_by_names_a_run_is_that_of_the_command(
    cached: Path, recordings: Path, request: pytest.FixtureRequest
) -> None:
    ours = sercache.train(
        "linear", encoder="logmel", dataset="manifest", root=recordings, seeds=[0, 1], recipe=QUICK, **FAST
    )
    line = request.getfixturevalue("sercache")(
        "train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--root", recordings,
        "--protocol", "kfold:3", "--dev", "random20", "--states", "all", "--device", "cpu", "--seeds", "2",
        "--set", "max-epochs=2", "--name", "line",
    )  # fmt: skip
    assert line.code == 0, line.err
    assert ours.folder is not None
    theirs = sercache.Result.load(cached / "line")
    assert ours.folder.parent == cached
    assert theirs.report.experiment is not None
    assert theirs.report.experiment == ours.report.experiment
    assert theirs.predictions == ours.predictions


def test_a_result_is_saved_loaded_and_looked_at(loudness: Any, tmp_path: Path) -> None:
    store, corpus = loudness
    found = sercache.train("linear", store, corpus, seeds=2, recipe=QUICK, normalise="global", **FAST)
    assert found.folder is None
    assert not list((tmp_path / "runs").glob("*"))
    saved = found.save(tmp_path / "kept")
    assert saved.folder == tmp_path / "kept"
    with pytest.raises(SettingsError, match="exists already"):
        found.save(tmp_path / "kept")
    again = sercache.Result.load(tmp_path / "kept")
    assert again.summary == found.summary
    assert set(again.weights) == set(found.weights)
    assert {seed for _, seed in again.weights} == {0, 1, None}
    for key, tensors in found.weights.items():
        assert all(np.array_equal(again.weights[key][name], each) for name, each in tensors.items())
    with pytest.raises(KeyError):
        again.weights["nowhere", 0]
    for each in (found, again):
        assert "\n" not in repr(each)
        assert f"UA {each.summary['ua'].seeds.mean:.4f}" in repr(each)
    assert "not saved" in repr(found)
    assert str(tmp_path / "kept") in repr(again)


def test_predictions_are_a_table_of_pandas(loudness: Any) -> None:
    store, corpus = loudness
    found = sercache.train("linear", store, corpus, seeds=2, recipe=QUICK, **FAST)
    frame = found.to_dataframe()
    assert list(frame) == [
        "fold", "seed", "id", "speaker", "true", "predicted", *(f"p:{name}" for name in found.report.classes)
    ]  # fmt: skip
    assert len(frame) == 2 * len(corpus.utterances)
    assert not frame.duplicated(["fold", "seed", "id"]).any()
    assert np.allclose(frame.filter(like="p:").sum(axis=1), 1)
    assert (frame.true == frame.predicted).mean() == pytest.approx(found.summary["wa"].seeds.mean)
    with pytest.raises(SettingsError, match="unknown corpus that these heads were tested on 'mesd'"):
        found.to_dataframe(on="mesd")


def test_names_are_no_markup(loudness: Any) -> None:
    store, corpus = loudness
    found = sercache.train("linear", store, corpus, seeds=1, recipe=QUICK, **FAST)
    odd = replace(found, report=replace(found.report, head="<script>alert(1)</script>"))
    page = odd._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert f"{found.summary['ua'].seeds.mean:.4f}" in page
    assert all(f"<td>{fold.name}</td>" in page for fold in found.report.folds)


def test_runs_of_before_are_results(tmp_path: Path) -> None:
    written = Path(__file__).parent / "fixtures" / "a1b0434"
    folders = [path.parent for path in written.rglob("report.json")]
    assert folders
    for folder in folders:
        found = sercache.Result.load(folder)
        assert len(found.to_dataframe()) == len(found.predictions)
        assert found._repr_html_()
        assert repr(found)
        assert all(found.weights[key] for key in found.weights)


def test_wrong_settings_are_our_errors(loudness: Any) -> None:
    store, corpus = loudness
    with pytest.raises(UnknownNameError, match="unknown setting of train 'protocl'; did you mean protocol"):
        sercache.train("linear", store, corpus, protocl="kfold:3")
    with pytest.raises(SettingsError, match=r"seeds of train is a whole number from 1 up or a list .* got 0"):
        sercache.train("linear", store, corpus, seeds=0)
    with pytest.raises(SettingsError, match="seeds of train"):
        sercache.train("linear", store, corpus, seeds=[0, 0])
    with pytest.raises(SettingsError, match="protocol of train is text or None, got 5"):
        sercache.train("linear", store, corpus, protocol=5)
    with pytest.raises(RecipeError, match="unknown recipe field 'lrr'"):
        sercache.train("linear", store, corpus, recipe={"lrr": 1})
    with pytest.raises(UnknownNameError, match="unknown head 'lineer'; did you mean linear"):
        sercache.train("lineer", store, corpus)
    with pytest.raises(SettingsError, match="test_on is names, or pairs"):
        sercache.train("linear", store, corpus, test_on=[("mesd", store)])
    with pytest.raises(UnknownNameError, match="unknown dtype of extract 'float8'"):
        sercache.extract("logmel", "manifest", dtype="float8")


def test_objects_of_other_kinds_are_our_errors(loudness: Any) -> None:
    store, corpus = loudness
    with pytest.raises(SettingsError, match=r"store is a FeatureStore, .* got 5"):
        sercache.train("linear", 5, corpus)
    with pytest.raises(SettingsError, match="dataset is a name or a Corpus, got 5"):
        sercache.train("linear", store, 5)
    for head in (5, dict):
        with pytest.raises(
            SettingsError, match=r"head is a name, a file or a class of torch\.nn\.Module, got"
        ):
            sercache.train(head, store, corpus)
    with pytest.raises(SettingsError, match="store is a FeatureStore"):
        sercache.train("linear", store, corpus, beside={"logmel": 5})
    with pytest.raises(SettingsError, match="encoder is a name or an Encoder, got None"):
        sercache.extract(None, corpus)
    with pytest.raises(SettingsError, match="run is the folder of a run or a Result, got 5"):
        sercache.predict(5, "a.wav")
    with pytest.raises(SettingsError, match="progress is True, False or"):
        sercache.train("linear", store, corpus, progress="yes")
    with pytest.raises(SettingsError, match="a row of a table is a Result or a Report"):
        sercache.table("runs/first")


def test_a_class_is_trained_saved_and_asked(loudness: Any, recordings: Path, tmp_path: Path) -> None:
    from sercache.heads.linear import Head as Linear

    class Mine(Linear):
        """A head that no file names."""

    store, corpus = loudness
    found = sercache.train(Mine, store, corpus, seeds=1, recipe=QUICK, **FAST)
    wave = recordings.with_name("0.wav")
    [said] = found.predict(wave)
    found.save(tmp_path / "mine")
    again = sercache.Result.load(tmp_path / "mine", head=Mine)
    assert again.predict(wave)[0].scores == said.scores
    with pytest.raises(
        UnknownNameError, match=r"unknown head 'mine'.*Result\.load\(folder, head=THE_CLASS\)"
    ):
        sercache.predict(tmp_path / "mine", wave)
    with pytest.raises(ContractError, match="is not the class that"):
        sercache.Result.load(tmp_path / "mine", head=Linear)


def test_mappings_and_lists_become_what_options_say() -> None:
    made = filled(
        TrainOptions,
        "train",
        {
            "head": "x",
            "recipe": {"lr": 1e-3, "patience": None},
            "options": {"gated": True},
            "states": ["1", "2"],
        },
    )
    assert made.settings == ("lr=0.001", "patience=none")
    assert made.head_options == ("gated=true",)
    assert made.states == "1+2"
    grid = filled(
        SweepOptions, "sweep", {"head": "x", "name": "n", "grid": {"lr": [1e-3], "states": ["1,2", "all"]}}
    )
    assert read_grid(grid.grid) == {"lr": ["0.001"], "states": ["1,2", "all"]}
    with pytest.raises(SettingsError, match="sweep needs grid and name; give grid="):
        filled(SweepOptions, "sweep", {"head": "x"})
    assert "recipe" in names_of(TrainOptions)
    assert "settings" not in names_of(TrainOptions)


def test_a_head_in_memory_is_tested_on_another_corpus(loudness: Any, tmp_path: Path) -> None:
    store, corpus = loudness
    found = sercache.train("linear", store, corpus, seeds=1, recipe=QUICK, **FAST)
    with pytest.raises(SettingsError, match="was trained on"):
        sercache.evaluate(found, corpus, store)
    with pytest.raises(SettingsError, match="a store goes with the Corpus"):
        sercache.evaluate(found, "mesd", store)
    other = replace(corpus, name="another", release="2")
    with pytest.raises(StoreError, match="give the store that was extracted from it"):
        sercache.train("linear", store, other)

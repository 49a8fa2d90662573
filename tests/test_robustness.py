"""A run's heads on their own test parts under noise: what is tested, what is written, what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sercache
from sercache import augment, stores
from sercache.errors import MissingFeaturesError, SettingsError
from sercache.experiment import robustness
from sercache.experiment.result import Result
from sercache.experiment.robustness import Robustness
from sercache.report import page, plots
from sercache.report.conditions import conditions_figure

SETUP: dict[str, Any] = {"states": "all", "dev": "none", "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def cache(loudness_cache: Path, few_draws: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module alone, with the settings that say so; runs have no plots, which take most of the time."""
    own = Path(shutil.copytree(loudness_cache, tmp_path_factory.mktemp("own") / "cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERCACHE_CONFIG", str(own / "config.toml"))
        patch.setattr(plots, "draw", lambda report, folder: [])
        patch.setattr(page, "write", lambda report, path, **options: path)
        patch.setattr(plots, "save", lambda figure, stem: [])
        patch.setattr(robustness, "conditions_figure", lambda found: None)
        yield own


@pytest.fixture(scope="module")
def run(recordings: Path, cache: Path) -> Path:
    """A head that tells loud from soft."""
    where = {"dataset": "manifest", "root": recordings, "cache": cache, "runs": cache.parent / "runs"}
    sercache.train("logistic", encoder="logmel", **where, **SETUP, name="run")
    return cache.parent / "runs" / "run"


@pytest.fixture(scope="module")
def found(run: Path, cache: Path) -> Robustness:
    asked = ["gain:0", "noise:snr=10,-20", "codec:gsm"]
    return sercache.robustness(run, asked, cache=cache, device="cpu", progress=False)


def test_what_changes_nothing_gives_the_predictions_of_the_run(run: Path, found: Robustness) -> None:
    report = Result.load(run).report
    first, same, *_ = found.conditions
    assert (first.name, same.name) == ("clean", "gain:0")
    assert first.report.predictions == report.predictions == same.report.predictions
    assert same.report.summary == report.summary
    assert same.pair is not None
    assert (same.pair.difference, same.pair.corrected) == (0, 1)


def test_each_head_is_tested_on_its_own_test_part_alone(run: Path, found: Robustness) -> None:
    own = {(p.fold, p.seed, p.id, p.true, p.speaker) for p in Result.load(run).report.predictions}
    for each in found.conditions:
        assert {(p.fold, p.seed, p.id, p.true, p.speaker) for p in each.report.predictions} == own


def test_noise_that_drowns_loudness_costs_what_the_table_says(run: Path, found: Robustness) -> None:
    names = [each.name for each in found.conditions]
    assert names == ["clean", "gain:0", "noise:white:snr=10", "noise:white:snr=-20", "codec:gsm"]
    scores = [each.report.summary["ua"].seeds.mean for each in found.conditions]
    assert [row[0] for row in found.table.rows] == names
    kept = json.loads((run / "robustness" / "robustness.json").read_text())
    assert [each["scores"]["ua"]["seeds"]["mean"] for each in kept["conditions"]] == scores
    assert [each["pair"] and each["pair"]["difference"] for each in kept["conditions"]][1:] == pytest.approx(
        np.subtract(scores[1:], scores[0])
    )
    assert {path.suffix for path in found.written} >= {".md", ".csv", ".tex", ".json"}
    assert all(path.is_file() for path in found.written)


def test_each_line_has_a_colour_and_a_name_of_its_own(found: Robustness) -> None:
    """Also of lines in different panels, which one legend names."""
    noise = [each for each in found.conditions if each.name.startswith(("clean", "noise"))]
    rooms = [
        dataclasses.replace(each, condition=augment.parse(f"reverb:rt60={k}"), name=f"reverb:rt60={k}")
        for k, each in enumerate(noise[1:], start=1)
    ]
    figure = conditions_figure([*noise, *rooms])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["clean", "chance", "noise:white", "reverb"]
    assert len({axes.containers[0].lines[0].get_color() for axes in figure.axes}) == 2


def test_features_that_the_cache_has_are_not_made_again(
    run: Path, found: Robustness, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [spec.sound for _, spec in stores.find(cache) if spec.augment]
    assert len(made) == len(set(made)) == 4
    monkeypatch.setattr("sercache.experiment.extract.run", None)
    again = sercache.robustness(Result.load(run), "noise:snr=10", cache=cache, device="cpu", progress=False)
    assert again.conditions[1].report.predictions == found.conditions[2].report.predictions


def test_training_takes_no_augmented_store_by_itself(
    found: Robustness, recordings: Path, cache: Path
) -> None:
    """Only where it is named, and then the report says so."""
    where = {"dataset": "manifest", "root": recordings, "cache": cache}
    result = sercache.train("logistic", encoder="logmel", **where, **SETUP)
    assert "augment" not in result.report.features["spec"]
    noisy = next(path for path, spec in stores.find(cache) if "snr=10" in spec.sound)
    with pytest.warns(UserWarning, match="augmented recordings: noise:white:snr=10"):
        named = sercache.train("logistic", noisy, **where, **SETUP)
    assert any("augmented recordings (noise:white:snr=10" in note for note in named.report.notes)
    assert named.report.experiment is not None
    assert result.report.experiment is not None
    assert named.report.experiment.digest != result.report.experiment.digest
    beside = sercache.robustness(named, "gain:0+noise:snr=10", cache=cache, device="cpu", progress=False)
    assert beside.conditions[0].name.startswith("as tested (noise:white:snr=10")


def test_what_cannot_be_tested_is_refused_before_anything_is_made(
    run: Path, tmp_path: Path, cache: Path
) -> None:
    result = Result.load(run)
    untested = dataclasses.replace(result, report=dataclasses.replace(result.report, predictions=()))
    with pytest.raises(SettingsError, match="not tested"):
        sercache.robustness(untested, "gain:0", cache=cache, progress=False)
    with pytest.raises(MissingFeaturesError, match="--cache"):
        sercache.robustness(run, "gain:0", cache=tmp_path, progress=False)
    with pytest.raises(SettingsError, match="noise needs snr"):
        sercache.robustness(run, ["gain:0", "noise"], cache=cache, progress=False)

"""`sercache predict`: recordings through the trained heads of a run."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import golden_line as golden
import numpy as np
import pytest
import soundfile
from conftest import Outcome

import sercache as face
from sercache.errors import SettingsError, StoreError, UnknownNameError
from sercache.experiment import arriving, incoming, predict
from sercache.experiment.ensemble import PredictOptions
from sercache.experiment.predict import Predicted, run
from sercache.report import runs

Sercache = Callable[..., Outcome]
WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> golden.World:
    return golden.World(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def at_world(own_settings: Path, world: golden.World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERCACHE_CACHE", str(world.folder / "cache"))


@pytest.fixture
def linear(world: golden.World) -> Path:
    """A run of two folds and two seeds."""
    world.digest("train")
    return world.folder / "runs" / "linear"


def records(**options: Any) -> dict[str, Predicted]:
    return {each.id: each for each in run(PredictOptions(**options)).records}


def assert_as_trained(folder: Path, table: Path, **options: Any) -> None:
    """Each member says of what it was tested on what the run says that it said."""
    report = runs.load(folder)
    assert report.predictions
    for member in report.runs:
        found = records(run=folder, manifest=table, folds=[member.fold], seeds=[member.seed], **options)
        for told in report.predictions:
            if (told.fold, told.seed) == (member.fold, member.seed):
                scores = list(found[told.id].scores.values())
                np.testing.assert_allclose(
                    scores, told.predicted if report.targets else told.probabilities, rtol=0, atol=CLOSE
                )
                assert found[told.id].trained_on_by in ((), None)
                if not report.targets:
                    assert found[told.id].predicted == report.classes[told.predicted]


def test_scores_are_those_of_the_training(linear: Path, world: golden.World) -> None:
    assert_as_trained(linear, world.folder / "here" / "list.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "name"),
    [
        *((f"head {name}", f"head-{name}") for name in golden.catalog.names("sercache.heads")),
        ("train, pieces", "pieces"),
        ("train, numbers", "numbers"),
        ("train --target", "valence"),
        ("train --start-from", "started"),
        ("train --finetune-from", "tuned"),
        ("train --duplicates", "apart"),
    ],
)
def test_scores_are_those_of_every_training(world: golden.World, case: str, name: str) -> None:
    """One head of each kind; over two inputs, numbers, pieces of recordings and trained encoders."""
    world.digest(case)
    folder = world.folder / "runs" / name
    scope = runs.load(folder).setup["normalise"]
    options = {"speaker_statistics": "column"} if scope == "speaker" else {}
    assert_as_trained(folder, world.folder / "here" / "list.csv", **options)


@pytest.mark.parametrize("name", ["linear", pytest.param("superb", marks=pytest.mark.slow)])
def test_runs_of_before_predict(name: str) -> None:
    assert_as_trained(WRITTEN / "runs" / name, WRITTEN / "corpus" / "list.csv")


def test_members_are_an_ensemble_with_spread_that_names_whom_it_was_trained_on(
    linear: Path, world: golden.World
) -> None:
    table = world.folder / "here" / "list.csv"
    report = runs.load(linear)
    each = [records(run=linear, manifest=table, folds=[m.fold], seeds=[m.seed]) for m in report.runs]
    tested = {told.id: told.fold for told in report.predictions}
    for id, found in records(run=linear, manifest=table).items():
        said = np.array([list(one[id].scores.values()) for one in each])
        np.testing.assert_allclose(list(found.scores.values()), said.mean(0), atol=1e-12)
        assert found.spread is not None
        np.testing.assert_allclose(list(found.spread.values()), said.std(0, ddof=1), atol=1e-12)
        assert found.agreement == np.mean([one[id].predicted == found.predicted for one in each])
        assert found.members == 4
        others = [m for m in report.runs if m.fold != tested[id]]
        assert found.trained_on_by == tuple(f"{m.fold}/{m.seed}" for m in others)
    assert each[0][id].spread is None
    # The audio tells, whatever the file is called.
    copy = shutil.copy(world.folder / "here" / "00.wav", world.folder / "renamed.wav")
    assert records(run=linear, paths=[copy])[str(copy)].trained_on_by == ("g1/0", "g1/1")
    strange = records(run=linear, paths=[world.folder / "there"])
    assert {found.trained_on_by for found in strange.values()} == {()}


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(
    sercache: Sercache, linear: Path, world: golden.World, tmp_path: Path
) -> None:
    good, empty, absent = world.folder / "there" / "00.wav", tmp_path / "empty.wav", tmp_path / "no.wav"
    empty.touch()
    code, out, err = sercache("predict", linear, empty, good, absent)
    assert code == 2
    assert "2 of 3 recordings could not be predicted; the rest is written" in err
    assert "is an empty file" in err
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["recording"] for each in found] == [str(empty), str(good), str(absent)]
    assert found[1]["error"] is None
    assert sum(found[1]["scores"].values()) == pytest.approx(1)
    assert found[2]["error"] == f"{absent}: there is no such file"
    err = sercache("predict", linear, absent).err
    assert "1 of 1 recordings could not be predicted" in err
    assert "the rest" not in err
    code, out, _ = sercache("predict", linear, empty, absent, "--format", "csv")
    assert code == 2
    assert [row["error"] for row in csv.DictReader(io.StringIO(out))] == [
        f"{empty}: is an empty file",
        f"{absent}: there is no such file",
    ]


def test_long_recordings_go_by_windows(sercache: Sercache, linear: Path, tmp_path: Path) -> None:
    wave = np.random.default_rng(0).integers(-3000, 3000, 16_000 + 800).astype(np.int16)
    soundfile.write(tmp_path / "long.wav", wave, 16_000, subtype="PCM_16")
    written = tmp_path / "scores.csv"
    command = ["predict", linear, tmp_path / "long.wav", "--format", "csv", "--out", written]
    code, out, err = sercache(*command, "--window", "0.4", "--step", "0.2")
    assert (code, out) == (0, ""), err
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    spans = [(float(row["start"]), float(row["end"])) for row in rows]
    assert spans == [(0.0, 0.4), (0.2, 0.6), (0.4, 0.8), (0.6, 1.0), (0.65, 1.05)]
    soundfile.write(tmp_path / "part.wav", wave[3200:9600], 16_000, subtype="PCM_16")
    [alone] = records(run=linear, paths=[tmp_path / "part.wav"]).values()
    for name, score in alone.scores.items():
        assert float(rows[1][f"p:{name}"]) == pytest.approx(score, abs=CLOSE)
    refused = sercache(*command, "--window", "1", "--step", "2")
    assert refused.code == 2
    assert "leave gaps" in refused.err
    assert written.stat().st_size, "a call that is refused leaves what was written"


@pytest.mark.parametrize("form", ["parquet", "audformat"])
def test_predictions_as_tables_of_other_tools(
    form: str, sercache: Sercache, linear: Path, world: golden.World, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    audformat = pytest.importorskip("audformat")
    good, empty = world.folder / "there" / "00.wav", tmp_path / "empty.wav"
    empty.touch()
    out = tmp_path / "scores"
    command = ["predict", linear, good, empty, "--seed", "0", "--format", form]
    done = sercache(*command, "--out", out)
    assert (done.code, done.out) == (2, "")
    assert f"written   {out}" in done.err
    [asked] = records(run=linear, paths=[good], seeds=[0]).values()
    if form == "parquet":
        rows = parquet.read_table(out).to_pylist()
    else:
        frame = audformat.Database.load(str(out))["predictions"].get()
        assert frame.index.tolist() == [str(good), str(empty)]
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    first, second = rows
    assert (first["id"], first["predicted"], first["members"]) == (str(good), asked.predicted, asked.members)
    assert {name: first[f"p:{name}"] for name in asked.scores} == asked.scores
    assert (second["predicted"], second["error"]) == (None, f"{empty}: is an empty file")
    assert "needs a place to write: name it with --out" in sercache(*command).err
    live = sercache("predict", linear, "--watch", tmp_path, "--format", form, "--out", tmp_path / "x")
    assert "is written at the end, and there is none" in live.err
    if form == "audformat":
        assert "exists already; choose another folder" in sercache(*command, "--out", out).err


def test_paths_come_from_standard_input(
    sercache: Sercache, linear: Path, world: golden.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [str(world.folder / "there" / f"0{k}.wav") for k in (3, 1)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(named).encode())))
    code, out, err = sercache("predict", linear, "-", "--seed", "0")
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["recording"] for each in found] == named
    assert {each["members"] for each in found} == {2}


def test_another_encoder_and_unknown_members_are_refused(linear: Path, world: golden.World) -> None:
    there = {"run": linear, "paths": [world.folder / "there"]}
    with pytest.raises(StoreError, match=r"logmel is not the encoder of this run: .*weights_sha256"):
        run(PredictOptions(**there, encoders=["logmel"]))
    with pytest.raises(SettingsError, match=r"'g2'; did you mean g[01]"):
        run(PredictOptions(**there, folds=["g2"]))
    with pytest.raises(SettingsError, match="'7'"):
        run(PredictOptions(**there, seeds=[7]))
    with pytest.raises(SettingsError, match="needs no speakers"):
        run(PredictOptions(**there, speaker_statistics="together"))
    with pytest.raises(SettingsError, match="no recordings are named"):
        run(PredictOptions(run=linear))
    with pytest.raises(UnknownNameError, match="window"):
        face.predict(linear, world.folder / "there", windows=3)


@pytest.mark.slow
def test_statistics_of_a_new_speaker_are_a_choice(world: golden.World) -> None:
    world.digest("train, by speaker")
    folder, table = world.folder / "runs" / "speakers", world.folder / "here" / "list.csv"
    with pytest.raises(SettingsError, match=r"normalised by speaker.*--speaker-statistics together"):
        run(PredictOptions(run=folder, paths=[table.parent]))
    with pytest.raises(SettingsError, match="reads the column speaker of a table"):
        run(PredictOptions(run=folder, paths=[table.parent], speaker_statistics="column"))
    with pytest.raises(SettingsError, match="all of the recordings at once"):
        run(PredictOptions(run=folder, watch=table.parent, speaker_statistics="together"))
    assert_as_trained(folder, table, speaker_statistics="column")
    by_column = records(run=folder, manifest=table, speaker_statistics="column")
    together = records(run=folder, manifest=table, speaker_statistics="together")
    assert by_column["u0"].scores != together["u0"].scores


def test_python_gives_the_records(linear: Path, world: golden.World) -> None:
    found = face.predict(linear, world.folder / "there" / "00.wav", folds=["g0"])
    assert [each.members for each in found] == [2]
    assert found[0].predicted in runs.load(linear).classes


def test_a_watched_folder_gives_what_is_complete(world: golden.World, tmp_path: Path) -> None:
    shutil.copy(world.folder / "there" / "00.wav", tmp_path / "before.wav")
    arrived = arriving.arriving(tmp_path, pause=0.02)
    data = (world.folder / "there" / "01.wav").read_bytes()
    half_done = threading.Event()

    def write() -> None:
        with (tmp_path / "new.wav").open("wb") as file:
            file.write(data[:2000])
            file.flush()
            time.sleep(0.3)
            half_done.set()
            file.write(data[2000:])

    writer = threading.Timer(0.1, write)
    writer.start()
    [found] = next(arrived)
    writer.join()
    assert half_done.is_set()
    assert found.utterance.path == tmp_path / "new.wav"
    with pytest.raises(SettingsError, match="is not a folder"):
        next(arriving.arriving(tmp_path / "nowhere"))


def test_watching_ends_cleanly(
    sercache: Sercache, linear: Path, world: golden.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = incoming.recordings([world.folder / "there" / "00.wav"])

    def arrived(folder: Path) -> Iterator[list[Any]]:
        yield [found]
        raise KeyboardInterrupt

    monkeypatch.setattr("sercache.experiment.predict.arriving", arrived)
    code, out, err = sercache("predict", linear, "--watch", tmp_path)
    assert code == 0, err
    assert json.loads(out)["recording"] == str(found.utterance.path)
    assert "is no longer watched; 1 predicted" in err


def test_an_interrupted_prediction_leaves_no_half_file(
    sercache: Sercache, linear: Path, world: golden.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict.run

    def interrupted(options: PredictOptions, **more: Any) -> predict.Answers:
        answers = whole(options, **more)

        def records() -> Iterator[predict.Predicted]:
            yield next(answers.records)
            raise KeyboardInterrupt

        return dataclasses.replace(answers, records=records())

    monkeypatch.setattr(predict, "run", interrupted)
    out = tmp_path / "answers.jsonl"
    code, _, err = sercache("predict", linear, world.folder / "there" / "00.wav", "--out", out)
    assert code == 130, err
    assert "nothing is written" in err
    assert "resume" not in err
    assert not out.exists()

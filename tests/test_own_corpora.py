"""The whole line of commands between corpora of one's own: two by tables, one by an audformat database."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Outcome

from sercache.report import runs as run_folders

pytest.importorskip("audformat")

Sercache = Callable[..., Outcome]
RECIPE = ("--seeds", 1, "--set", "max-epochs=2")
QUICK = ("--protocol", "leave-one-speaker-out", "--dev", "next", *RECIPE)
CLASSES = ("happy", "sad")
TEXTS = ("ja", "nein")


def waves(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    for k in range(8):
        wave = np.random.default_rng((seed, k)).normal(0, 0.03 if k % 2 else 0.3, 1600)
        soundfile.write(folder / f"{k}.wav", wave, 8000)


def by_table(folder: Path, seed: int) -> Path:
    waves(folder, seed)
    rows = [f"u{k},{k}.wav,{CLASSES[k % 2]},s{k // 2},{TEXTS[k // 4]}" for k in range(8)]
    (folder / "manifest.csv").write_text("\n".join(["id,path,label,speaker,transcript", *rows]) + "\n")
    return folder / "manifest.csv"


def by_database(folder: Path, seed: int, name: str) -> Path:
    """As a person makes one with the package: a scheme for each column, one table of files."""
    import audformat

    waves(folder, seed)
    database = audformat.Database(name, languages=["de"])
    database.schemes["emotion"] = audformat.Scheme(labels=list(CLASSES))
    database.schemes["speaker"] = audformat.Scheme("str")
    database.schemes["transcription"] = audformat.Scheme("str")
    database["files"] = audformat.Table(audformat.filewise_index([f"{k}.wav" for k in range(8)]))
    columns = {
        "emotion": [CLASSES[k % 2] for k in range(8)],
        "speaker": [f"s{k // 2}" for k in range(8)],
        "transcription": [TEXTS[k // 4] for k in range(8)],
    }
    for column, values in columns.items():
        database["files"][column] = audformat.Column(scheme_id=column)
        database["files"][column].set(values)
    database.save(str(folder))
    return folder


@pytest.fixture
def cities(sercache: Sercache, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a command that must go well, where rome and lyon (tables) and wien (a database) are extracted."""

    def good(*arguments: object) -> Outcome:
        done = sercache(*arguments)
        assert done.code == 0, (arguments, done.err)
        return done

    places = {
        "manifest:rome": by_table(tmp_path / "rome", 1),
        "manifest:lyon": by_table(tmp_path / "lyon", 2),
        "audformat": by_database(tmp_path / "wien", 3, "wien"),
    }
    for dataset, root in places.items():
        good("extract", "--encoder", "mfcc", "--dataset", dataset, "--root", root)
    return good


def test_a_database_trains_and_is_tested_on(cities: Sercache, tmp_path: Path) -> None:
    linear = ("train", "--head", "linear", "--encoder", "mfcc")
    cities(*linear, "--dataset", "wien", *QUICK, "--test-on", "rome:label", "--name", "wien")
    cities(
        *linear, "--dataset", "rome", "--task", "label", *QUICK, "--test-on", "wien:emotion", "--name", "rome"
    )
    wien, rome = (run_folders.load(tmp_path / "runs" / name) for name in ("wien", "rome"))
    assert (wien.corpus["name"], wien.corpus["reader"]) == ("wien", "audformat")
    assert [each.dataset for each in wien.elsewhere] == ["rome"]
    assert [(each.dataset, len(each.predictions)) for each in rome.elsewhere] == [("wien", 8 * 4)]
    table = " ".join(cities("report", tmp_path / "runs" / "wien", tmp_path / "runs" / "rome").out.split())
    assert "wien" in table
    assert "rome" in table


@pytest.mark.slow
@pytest.mark.draws
def test_every_command_between_tables_and_a_database(cities: Sercache, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    cities("doctor", "--dataset", "wien")
    linear = ("train", "--head", "linear", "--encoder", "mfcc", "--dataset", "wien", *QUICK)
    cities(*linear, "--name", "a")
    cities("evaluate", runs / "a", "--dataset", "lyon", "--task", "label")
    cities("evaluate", runs / "a", "--dataset", "manifest:rome", "--task", "label")
    cities("lexical", runs / "a")
    cities("lexical", runs / "a", "--on", "lyon")
    cities("lexical", runs / "a", "--on", "lyon:label")
    cities("probe", "--encoder", "mfcc", "--dataset", "wien")
    cities("sweep", "--head", "linear", "--encoder", "mfcc", "--dataset", "wien", *QUICK, "--grid", "lr=1e-2,1e-3",
           "--name", "s")  # fmt: skip
    cities("extract", "--encoder", "logmel", "--dataset", "audformat:wien")
    cities("extract", "--encoder", "logmel", "--dataset", "rome")
    cities("train", "--head", "layer-attention", "--encoder", "mfcc", "--dataset", "wien", *QUICK, "--states", "all",
           "--name", "m")  # fmt: skip
    cities("verify", "--root", tmp_path / "wien")
    shutil.move(tmp_path / "wien", tmp_path / "moved")
    cities(
        "train",
        "--head",
        "linear",
        "--encoder",
        "mfcc",
        "--dataset",
        "wien",
        "--root",
        tmp_path / "moved",
        *QUICK,
    )


def test_duplicates_of_a_sweep_and_a_probe(sercache: Sercache, tmp_path: Path) -> None:
    """As for train: what equals a judged recording trains nothing, and the record says so."""
    table = by_table(tmp_path / "rome", 1)
    shutil.copy(table.parent / "0.wav", table.parent / "2.wav")
    where = ("--encoder", "mfcc", "--dataset", "manifest:rome", "--root", table)
    assert sercache("extract", *where).code == 0
    done = sercache("probe", *where, "--duplicates", "apart")
    assert done.code == 0, done.err
    assert "no audio of a test part is in a training or dev part too (checked)" in " ".join(done.out.split())
    sweep = ("sweep", "--head", "linear", *where, *QUICK, "--grid", "lr=1e-2", "--name", "s")
    done = sercache(*sweep, "--duplicates", "apart")
    assert done.code == 0, done.err
    report = run_folders.load(next((tmp_path / "runs" / "s").glob("*/report.json")).parent)
    assert report.setup["duplicates"] == "apart"
    assert sum(fold.shared_audio.n_left_out for fold in report.folds if fold.shared_audio) > 0
    done = sercache(*sweep)
    assert (done.code, "sweep with other settings" in done.err) == (2, True)

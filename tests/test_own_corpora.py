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
    assert [each.dataset for each in wien.cross_corpus] == ["rome"]
    assert [(each.dataset, len(each.predictions)) for each in rome.cross_corpus] == [("wien", 8 * 4)]
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


def by_rows(folder: Path, seed: int, ids: str = "u") -> Path:
    """A table of more recordings, whose labels loudness tells; equal ids give tables of equal bytes."""
    folder.mkdir(parents=True)
    rows = []
    for k in range(24):
        wave = np.random.default_rng((seed, k)).normal(0, 0.03 if k % 2 else 0.3, 1600)
        soundfile.write(folder / f"{k}.wav", wave, 8000)
        rows.append(f"{ids}{k},{k}.wav,{CLASSES[k % 2]},s{k // 6},{TEXTS[k // 12]}")
    (folder / "manifest.csv").write_text("\n".join(["id,path,label,speaker,transcript", *rows]) + "\n")
    return folder / "manifest.csv"


@pytest.mark.slow
@pytest.mark.draws
def test_two_inputs_and_maps_between_corpora_that_are_hard_to_tell(
    sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of equal bytes and ids, names that differ by case, in other scripts, places with spaces and links."""
    from sercache.report import maps

    titles: list[str] = []
    drawn = maps.place_map
    monkeypatch.setattr(maps, "place_map", lambda panels, title: titles.append(title) or drawn(panels, title))

    def good(*arguments: object) -> str:
        done = sercache(*arguments)
        assert done.code == 0, (arguments, done.err)
        return " ".join(done.out.split())

    by_rows(tmp_path / "two words" / "Rome", 1)
    by_rows(tmp_path / "rome", 2)
    by_rows(tmp_path / "北京", 3)
    (tmp_path / "link").symlink_to(tmp_path / "北京")
    monkeypatch.chdir(tmp_path / "rome")
    places = {"Rome": "../two words/Rome", "rome": ".", "北京": tmp_path / "link"}
    for encoder in ("mfcc", "logmel"):
        for name, root in places.items():
            good("extract", "--encoder", encoder, "--dataset", f"manifest:{name}", "--root", root)
    monkeypatch.chdir(tmp_path)  # what was said from there holds from here
    here = ["--encoder", "mfcc", "--dataset", "Rome", *QUICK, "--states", "all", "--clip", "none"]
    runs = tmp_path / "runs"
    pair = good("train", "--head", "pair-rnn", "--beside", "logmel:all:frames", *here, "--name", "pair",
                "--task", "label", "--test-on", "rome,北京")  # fmt: skip
    assert "note: rome: none of its recordings was trained on (checked by audio)" in pair
    report = run_folders.load(runs / "pair")
    assert [each.dataset for each in report.cross_corpus] == ["rome", "北京"]
    # Equal ids and equal tables: what was read tells that each was itself.
    read = [each.features["digest"] for each in report.cross_corpus]
    assert len({*read, report.features["digest"]}) == 3
    again = good("evaluate", runs / "pair", "--dataset", "manifest:北京", "--task", "label")
    assert str(runs / "pair" / "on-北京") in again
    (there,) = run_folders.load(runs / "pair" / "on-北京").cross_corpus
    assert there.predictions == report.cross_corpus[1].predictions
    blocks = ["--head", "attention-blocks", "--option", "blocks=1", "--option", "heads=3"]
    good("train", *blocks, *here, "--task", "label", "--finetune-from", "none", "--normalise", "none",
         "--name", "blocks")  # fmt: skip
    for name in ("Rome", "rome", "北京"):
        good("map", runs / "blocks", "--dataset", name, "--by", "label", "--fold", "s0")
        stem = f"map-{name}-label"
        assert (runs / "blocks" / f"{stem}.png").is_file()
        assert len((runs / "blocks" / f"{stem}.csv").read_text().splitlines()) == 25
    assert [title.splitlines()[1].partition(",")[0] for title in titles] == [
        "Rome by label",
        "rome by label",
        "北京 by label",
    ]
    assert all("attention-blocks on mfcc, Rome (" in title for title in titles)
    table = good("report", runs / "pair", runs / "blocks")
    for name in places:
        assert f"Runs: {name} " in table
    good("verify")


def test_a_corpus_and_an_encoder_that_moved(sercache: Sercache, tmp_path: Path) -> None:
    by_rows(tmp_path / "rome", 1)
    extract = ("extract", "--encoder", "mfcc", "--pooled-only", "--dataset", "manifest:rome", "--root")
    assert sercache(*extract, tmp_path / "rome").code == 0
    shutil.move(tmp_path / "rome", tmp_path / "moved")
    train = ("train", "--head", "linear", "--encoder", "mfcc", "--dataset", "rome", *QUICK, "--states", "all")
    by_labels = sercache(*train)
    assert (by_labels.code, "24 utterances by the table of" in by_labels.out) == (0, True)
    lost = sercache(*extract[:-1], "--task", "all")
    assert lost.code == 2
    assert "which is not there now; where is manifest:rome? give --root FOLDER" in lost.err
    done = sercache(*extract, tmp_path / "moved")
    assert "nothing to do" in done.out
    done = sercache(*train)  # it was said where it lies now
    assert done.code == 0, done.err


def test_a_variable_that_two_names_share(
    sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("Rome", "rome")):
        table = by_rows(tmp_path / str(seed), seed)
        where = ("--dataset", f"manifest:{name}", "--root", table)
        assert sercache("extract", "--encoder", "mfcc", "--pooled-only", *where).code == 0
    monkeypatch.setenv("SERCACHE_ROOT_ROME", str(tmp_path / "0" / "manifest.csv"))
    train = ("train", "--head", "linear", "--encoder", "mfcc", *QUICK, "--states", "all", "--dataset")
    assert sercache(*train, "Rome").code == 0
    refused = sercache(*train, "rome")  # tables of equal bytes: nothing else would tell
    assert refused.code == 2
    assert "SERCACHE_ROOT_ROME says where Rome lies, which shares that variable with rome" in refused.err


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

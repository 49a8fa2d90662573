"""Corpora of one's own are called what a person calls them, and are never taken for one another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Outcome

from sercache import catalog, datasets, settings, stores
from sercache.datasets import manifest
from sercache.errors import CorpusError, SercacheError, UnknownNameError
from sercache.report import runs as run_folders

Sercache = Callable[..., Outcome]
WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
QUICK = ("--protocol", "leave-one-speaker-out", "--dev", "next", "--seeds", 1, "--set", "max-epochs=2")


def make(folder: Path, seed: int, *, n: int = 8, table: str = "manifest.csv", corpus: str = "") -> Path:
    """A corpus of four speakers and two classes; the table of two is the same, the sound is not."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id,path,label,speaker" + (",corpus" if corpus else "")]
    for k in range(n):
        wave = np.random.default_rng((seed, k)).normal(0, 0.3 if k % 2 else 0.03, 1600)
        soundfile.write(folder / f"{k}.wav", wave, 8000)
        row = f"u{k},{k}.wav,{'happy' if k % 2 else 'sad'},s{k // 2 % 4}"
        rows.append(row + (f',"{corpus}"' if corpus else ""))
    (folder / table).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / table


def extract(sercache: Sercache, dataset: str, root: Path | None, *more: object) -> Outcome:
    where = ["--root", root] if root else []
    done = sercache("extract", "--encoder", "mfcc", "--pooled-only", "--dataset", dataset, *where, *more)
    assert done.code == 0, done.err
    return done


def train(sercache: Sercache, dataset: str, *more: object) -> Outcome:
    done = sercache("train", "--head", "linear", "--encoder", "mfcc", "--dataset", dataset, *QUICK, *more)
    assert done.code == 0, done.err
    return done


@pytest.mark.parametrize(
    ("folder", "table", "column", "name"),
    [
        ("city", "manifest.csv", "", "city"),
        ("city", "List.csv", "", "city"),
        ("corpora", "berlin.csv", "", "berlin"),
        ("city", "manifest.csv", "Berlin/2020", "Berlin/2020"),
        ("city", "manifest.csv", " new   York ", "new York"),
        ("city", "manifest.csv", "a:b,c", "a-b-c"),
        ("Fro\u0308hlich", "manifest.csv", "", "Fr\u00f6hlich"),
        ("北京", "manifest.csv", "", "北京"),
        ("emodb", "manifest.csv", "", "emodb-manifest"),
        ("CMU_MOSEI", "manifest.csv", "", "CMU_MOSEI-manifest"),
        ("manifest", "manifest.csv", "", "manifest-manifest"),
    ],
)
def test_what_a_table_is_called(tmp_path: Path, folder: str, table: str, column: str, name: str) -> None:
    corpus = manifest.read(make(tmp_path / folder, 1, n=2, table=table, corpus=column))
    assert (corpus.name, corpus.reader, corpus.dataset) == (name, "manifest", f"manifest:{name}")
    assert manifest.read(tmp_path / folder / table, "mine").name == "mine"


def test_a_column_that_names_several_corpora_names_none(tmp_path: Path) -> None:
    table = make(tmp_path / "both", 1, n=2)
    table.write_text("path,label,corpus\n0.wav,sad,a\n1.wav,happy,b\n")
    corpus = manifest.read(table)
    assert corpus.name == "both"
    assert any("names 2 corpora (a, b)" in line for line in corpus.warnings)


@pytest.mark.parametrize("name", ["emodb", "EmoDB", "cmu_mosei", "manifest"])
def test_a_corpus_of_ones_own_is_not_called_as_one_that_is_read_by_itself(name: str) -> None:
    with pytest.raises(CorpusError, match="is a corpus that sercache reads by itself"):
        datasets.named(f"manifest:{name}")


@pytest.mark.parametrize(
    "text", ["manifest:", "manifest:a:b", "manifest:a,b", "manifest:-a", "manifest:a\x07b"]
)
def test_names_that_cannot_be_used(text: str) -> None:
    with pytest.raises(CorpusError, match="a corpus is called by"):
        datasets.named(text)


@pytest.mark.parametrize("text", ["emodb:mine", "folder:mine"])
def test_a_name_goes_with_a_reader_of_corpora_of_ones_own(text: str) -> None:
    with pytest.raises(UnknownNameError, match="manifest"):
        datasets.named(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("emodb", ("emodb", None)),
        ("emodb:4class", ("emodb", "4class")),
        ("city:label", ("city", "label")),
        ("manifest:city", ("manifest:city", None)),
        ("manifest:city:4class@x", ("manifest:city", "4class@x")),
        ("audformat:city:maps/a.toml", ("audformat:city", "maps/a.toml")),
    ],
)
def test_a_corpus_with_a_task(text: str, parts: tuple[str, str | None]) -> None:
    assert datasets.split_task(text) == parts


def test_names_become_names_of_files() -> None:
    names = ["emodb", "Berlin/2020", "北京", "😀", "../../x", "a" * 300, "北" * 300, "", "con:aux"]
    files = [catalog.file_name(name) for name in names]
    assert files[:5] == ["emodb", "Berlin-2020", "北京", "unnamed", "x"]
    assert all(len(name.encode()) <= 200 and not {"/", "\\", ":"} & set(name) for name in files)


def test_roots_go_by_the_name(sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make(tmp_path / "x", 1, table="rows.csv")
    for name in ("😀 \u007f"[:1], "北京", "rome"):
        assert sercache("config", f"roots.manifest:{name}={table}").code == 0
    assert set(settings.load().roots) == {"😀", "北京", "rome"}
    done = extract(sercache, "rome", None)
    assert "rome (manifest)" in done.err + done.out
    monkeypatch.setenv("SERCACHE_ROOT_BERLIN_2020", str(table))
    assert (
        "Berlin/2020 (manifest)" in (done := extract(sercache, "manifest:Berlin/2020", None)).err + done.out
    )
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["Berlin-2020", "rome"]


def test_two_tables_are_two_corpora(sercache: Sercache, tmp_path: Path) -> None:
    """Even where the tables say the same; apart in cache, runs, titles and reports, and found by name again."""
    for name, seed in (("rome", 1), ("paris", 2)):
        extract(sercache, "manifest", make(tmp_path / name, seed))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["paris", "rome"]
    done = sercache("train", "--head", "linear", "--encoder", "mfcc", "--dataset", "manifest", *QUICK)
    assert done.code == 2
    assert "can be any of 2 that were extracted: rome in" in done.err
    for name in ("rome", "paris"):
        train(sercache, name)
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == ["linear-mfcc-paris", "linear-mfcc-rome"]
    assert "linear on mfcc, paris (" in run_folders.load(folders[0]).title
    shown = sercache("report").out
    assert "rome" in shown
    assert "paris" in shown
    done = sercache("train", "--head", "linear", "--encoder", "mfcc", "--dataset", "Rome", *QUICK)
    assert done.code == 2
    assert "did you mean rome" in done.err


def test_cross_corpus_between_own_corpora(sercache: Sercache, tmp_path: Path) -> None:
    for name, seed in (("rome", 1), ("paris", 2)):
        extract(sercache, f"manifest:{name}", make(tmp_path / name, seed, table="rows.csv"))
    train(sercache, "rome", "--test-on", "manifest:paris:label", "--name", "r")
    report = run_folders.load(tmp_path / "runs" / "r")
    assert [there.dataset for there in report.cross_corpus] == ["paris"]
    assert report.setup["test_on"] == ["paris:label"]
    extract(sercache, "manifest:lyon", make(tmp_path / "lyon", 3))
    done = sercache("evaluate", tmp_path / "runs" / "r", "--dataset", "lyon")
    assert done.code == 0, done.err
    assert (tmp_path / "runs" / "r" / "on-lyon").is_dir()
    assert "lyon" in done.out
    done = sercache("evaluate", tmp_path / "runs" / "r", "--dataset", "rome")
    assert (done.code, "was trained on rome" in done.err) == (2, True)


def test_an_audformat_database_goes_by_its_header(sercache: Sercache, tmp_path: Path) -> None:
    pytest.importorskip("audformat")
    import corpus_trees

    root = corpus_trees.audformat(tmp_path / "db")
    corpus = datasets.read("audformat", root)
    assert (corpus.name, corpus.dataset) == ("toy", "audformat:toy")
    assert datasets.read("audformat:mine", root).name == "mine"
    assert corpus.goes_by("audformat", corpus.release)
    assert datasets.reader_at("toy", root) == "audformat"


def test_a_name_that_stands_for_two_tables_is_said(sercache: Sercache, tmp_path: Path) -> None:
    extract(sercache, "manifest:city", make(tmp_path / "a", 1))
    done = extract(sercache, "manifest:city", make(tmp_path / "b", 2, n=10))
    assert "was extracted as city too (release" in done.err
    found = {spec.release for _, spec in stores.find(tmp_path / "cache")}
    assert len(found) == 2
    done = sercache("train", "--head", "linear", "--encoder", "mfcc", "--dataset", "city", *QUICK)
    assert (done.code, "can be any of 2" in done.err) == (2, True)
    train(sercache, "city", "--root", tmp_path / "b" / "manifest.csv", "--name", "b")
    assert len(run_folders.load(tmp_path / "runs" / "b").predictions) == 10


def test_the_same_table_over_other_sound_is_said(sercache: Sercache, tmp_path: Path) -> None:
    extract(sercache, "manifest:city", make(tmp_path / "clean", 1))
    done = extract(sercache, "manifest:city", make(tmp_path / "noisy", 2))
    assert "its recordings are taken to be these" in done.err


def test_a_name_given_once_is_kept(sercache: Sercache, tmp_path: Path) -> None:
    table = make(tmp_path / "x", 1)
    extract(sercache, "manifest:rome", table)
    done = extract(sercache, "manifest", table)
    assert "nothing to do" in done.out + done.err
    train(sercache, "manifest")
    assert run_folders.load(tmp_path / "runs" / "linear-mfcc-rome").corpus["name"] == "rome"


@pytest.fixture
def written(own_settings: Path) -> Path:
    """Stores and runs of before corpora of one's own had names, that a test may change."""
    for name in ("cache", "runs", "corpus"):
        shutil.copytree(WRITTEN / name, own_settings / name)
    return own_settings


@pytest.mark.parametrize("dataset", ["manifest", "manifest:rome"])
def test_a_cache_of_before_there_were_names(sercache: Sercache, written: Path, dataset: str) -> None:
    table = written / "corpus" / "list.csv"
    done = extract(sercache, dataset, table)
    assert "nothing to do: all 16" in done.out + done.err
    train(sercache, dataset, "--root", table, "--name", "new")
    name = run_folders.load(written / "runs" / "new").corpus["name"]
    assert name == ("rome" if dataset.endswith("rome") else "corpus")
    assert sorted(path.name for path in (written / "cache").iterdir()) == ["manifest"]
    done = sercache("verify", "--root", table)
    assert done.code == 0, done.err


def test_a_damaged_store_of_before_is_repaired(sercache: Sercache, written: Path) -> None:
    folder = written / "cache" / "manifest" / "mfcc-41e67d4f2284421a"
    for name in ("claims", "writers"):  # git keeps no empty folders
        assert not (folder / "ledger" / name).exists() or not any((folder / "ledger" / name).iterdir())
        shutil.rmtree(folder / "ledger" / name, ignore_errors=True)
    file = next(path for path in sorted((folder / "pooled_mean").rglob("c.*")))
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    assert sercache("verify", folder).code == 2
    done = sercache("verify", folder, "--repair", "--root", written / "corpus" / "list.csv")
    assert done.code == 0, done.err


def test_a_run_of_before_is_not_tested_on_what_it_was_trained_on(sercache: Sercache, written: Path) -> None:
    table = written / "corpus" / "list.csv"
    done = sercache("evaluate", written / "runs" / "linear", "--dataset", "manifest", "--root", table)
    assert (done.code, "was trained on" in done.err) == (2, True)
    extract(sercache, "manifest", make(written / "lyon", 3))
    done = sercache("evaluate", written / "runs" / "linear", "--dataset", "lyon", "--task", "label")
    assert "is no test" not in done.err


def test_a_name_that_nobody_gave(sercache: Sercache, tmp_path: Path) -> None:
    table = make(tmp_path / "x", 1)
    done = sercache("extract", "--encoder", "mfcc", "--dataset", "rome", "--root", table)
    assert done.code == 2
    assert "unknown dataset 'rome'" in done.err
    assert "--dataset manifest:NAME" in done.err


def test_reading_by_name_in_python(tmp_path: Path) -> None:
    import sercache

    table = make(tmp_path / "x", 1, n=2)
    assert sercache.read_corpus("manifest:rome", table).name == "rome"
    assert sercache.read_corpus("rome", table).name == "rome"
    with pytest.raises(SercacheError):
        sercache.read_corpus("rome", tmp_path)


def copy_of(folder: Path, of: Path, seed: int, n_shared: int) -> Path:
    """A corpus under names of its own, whose first recordings are those of another one."""
    table = make(folder, seed)
    for k in range(n_shared):
        shutil.copy(of.parent / f"{k}.wav", folder / f"{k}.wav")
    table.write_text(table.read_text().replace("u", "v"))
    return table


def test_recordings_that_were_trained_on_are_no_test_under_another_name(
    sercache: Sercache, tmp_path: Path
) -> None:
    """By digest, right after training and for a finished run: refused, left out or counted, and said."""
    rome = make(tmp_path / "rome", 1)
    extract(sercache, "manifest:rome", rome)
    extract(sercache, "manifest:paris", copy_of(tmp_path / "paris", rome, 2, 3))
    extract(sercache, "manifest:copy", copy_of(tmp_path / "copy", rome, 2, 8))
    extract(sercache, "manifest:lyon", make(tmp_path / "lyon", 3))
    count = "3 of 8 utterances of paris have audio that is trained on, first: v0 = rome u0"
    call = ["train", "--head", "linear", "--encoder", "mfcc", "--dataset", "rome", *QUICK]
    done = sercache(*call, "--test-on", "paris")
    assert (done.code, count in done.err) == (2, True)
    assert "--duplicates apart leaves these out of the test, --duplicates keep counts them" in done.err
    done = sercache(*call, "--test-on", "copy", "--duplicates", "keep")
    assert (done.code, "8 of 8 utterances of copy" in done.err) == (2, True)
    train(sercache, "rome", "--test-on", "paris,lyon", "--duplicates", "apart", "--name", "r")
    report = run_folders.load(tmp_path / "runs" / "r")
    paris, lyon = report.cross_corpus
    assert {each.id for each in paris.predictions} == {"v3", "v4", "v5", "v6", "v7"}
    assert paris.corpus["left_out"]["v0"] == "its audio is trained on (rome u0)"
    assert f"{count}; they are left out of the test (duplicates apart)" in paris.notes
    assert "lyon: none of its recordings was trained on (checked by audio)" in lyon.notes
    assert report.recordings is not None
    assert {(each.corpus, each.id) for each in report.recordings} == {("rome", f"u{k}") for k in range(8)}
    train(sercache, "rome", "--name", "plain")
    evaluate = ["evaluate", tmp_path / "runs" / "plain", "--dataset", "paris"]
    done = sercache(*evaluate)
    assert (done.code, count in done.err) == (2, True)
    done = sercache(*evaluate, "--duplicates", "keep")
    assert done.code == 0, done.err
    assert f"{count}; they are counted (duplicates keep)" in " ".join(done.out.split())
    done = sercache(*evaluate, "--duplicates", "apart")
    assert done.code == 0, done.err
    assert (
        len(run_folders.load(tmp_path / "runs" / "plain" / "on-paris").cross_corpus[0].predictions) == 5 * 4
    )


def test_initial_weights_trained_on_what_is_tested(sercache: Sercache, tmp_path: Path) -> None:
    """A run on another corpus gives initial weights, and some of its recordings are tested here."""
    rome = make(tmp_path / "rome", 1)
    extract(sercache, "manifest:rome", rome)
    extract(sercache, "manifest:paris", copy_of(tmp_path / "paris", rome, 2, 3))
    sercache("train", "--head", "linear", "--encoder", "mfcc", "--dataset", "rome", "--protocol", "all",
             "--dev", "none", "--set", "select=last-epoch", "--set", "patience=none", "--set", "max-epochs=1",
             "--seeds", 1, "--name", "first")  # fmt: skip
    begun = ["--start-from", tmp_path / "runs" / "first"]
    call = ["train", "--head", "linear", "--encoder", "mfcc", "--dataset", "paris", *QUICK, *begun]
    line = "3 of 8 test utterances have audio that the initial weights were trained on, first: v0 = rome u0"
    done = sercache(*call)
    assert (done.code, line in done.err) == (2, True), done.err
    train(sercache, "paris", *begun, "--duplicates", "keep", "--name", "second")
    report = run_folders.load(tmp_path / "runs" / "second")
    assert any(line in note for note in report.notes)
    assert {each.corpus for each in report.recordings or ()} == {"rome", "paris"}


def test_a_run_of_before_does_not_know_what_it_was_trained_on(sercache: Sercache, written: Path) -> None:
    extract(sercache, "manifest:lyon", make(written / "lyon", 3))
    run = written / "runs" / "linear"
    done = sercache("evaluate", run, "--dataset", "lyon", "--task", "label")
    assert "of the classes" in done.err or "classes that are not trained here" in done.err
    table = written / "lyon" / "manifest.csv"
    table.write_text(table.read_text().replace("happy", "loud").replace("sad", "soft"))
    extract(sercache, "manifest:nice", table)
    done = sercache("evaluate", run, "--dataset", "nice", "--task", "label")
    assert done.code == 0, done.err
    assert "whether any of its recordings was trained on is not known" in " ".join(done.out.split())

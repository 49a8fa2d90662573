"""Other corpora, further inputs and words through the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome
from corpus_trees import TREES
from encoder_helpers import save, tiny_model
from fake_store import make_corpus
from make_report import make_report
from test_line import give_voices

from sercache.errors import StoreError, UnknownNameError
from sercache.experiment.cross_corpus import folder_on
from sercache.report import runs

Sercache = Callable[..., Outcome]
HEAD = ["--head", "superb", "--encoder", "logmel", "--seeds", "2", "--set", "max-epochs=3"]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: TREES[name](tmp_path_factory.mktemp(name)) for name in ("emodb", "aesdd", "mesd")}
    for root in found.values():
        give_voices(root)
    return found


@pytest.fixture
def extracted(sercache: Sercache, roots: dict[str, Path]) -> Sercache:
    for name, root in roots.items():
        made = sercache("extract", "--encoder", "logmel", "--dataset", name, "--root", root, "--pooled-only")
        assert made.code == 0, made.err
    return sercache


def test_each_task_of_another_corpus_has_a_folder_of_its_own(tmp_path: Path) -> None:
    corpus = make_corpus("ab", "xy", "st", "abroad")
    report = make_report(corpus={"name": "emodb", "task": "3class"})

    def name(task: str) -> str:
        folder = folder_on(tmp_path, report, corpus, task)
        assert folder.parent == tmp_path
        return folder.name

    assert name("4class") == "on-abroad", "its own task, as it has none that is called as the run's"
    assert name("4class@acted") == "on-abroad-4class@acted"
    maps = [name(f"/data/maps/two.toml#{digest}@acted") for digest in ("0123456789ab", "ba9876543210")]
    assert maps[0] == "on-abroad-two.toml%230123456789ab@acted"
    assert maps[1] != maps[0]


@pytest.mark.draws
@pytest.mark.slow
def test_cross_corpus_after_training_and_later_is_the_same(extracted: Sercache, tmp_path: Path) -> None:
    train = [
        "train",
        *HEAD,
        "--dataset",
        "emodb",
        "--task",
        "4class",
        "--protocol",
        "kfold:3",
        "--normalise",
        "global",
    ]
    done = extracted(*train, "--test-on", "aesdd,mesd", "--name", "at-once")
    assert done.code == 0, done.err
    assert "other corpora" in done.out
    assert "aesdd has no neutral" in done.out.replace("\n      ", " ")
    at_once = runs.load(tmp_path / "runs" / "at-once")
    assert [there.dataset for there in at_once.cross_corpus] == ["aesdd", "mesd"]
    assert extracted(*train, "--name", "plain").code == 0
    plain = tmp_path / "runs" / "plain"
    for k, name in enumerate(("aesdd", "mesd")):
        later = extracted("evaluate", plain, "--dataset", name)
        assert later.code == 0, later.err
        assert runs.load(plain / f"on-{name}").cross_corpus[0] == at_once.cross_corpus[k]
    assert extracted("report", plain / "on-mesd").code == 0
    assert (plain / "on-mesd" / "report.html").is_file()
    before = (plain / "on-mesd" / "predictions-on-mesd-4class.csv").read_bytes()
    part = extracted("evaluate", plain, "--dataset", "mesd", "--task", "4class@same-words")
    assert part.code == 0, part.err
    assert (plain / "on-mesd" / "predictions-on-mesd-4class.csv").read_bytes() == before
    [there] = runs.load(plain / "on-mesd-4class@same-words").cross_corpus
    assert 0 < len(there.predictions) < len(at_once.cross_corpus[1].predictions)

    words = extracted("lexical", plain, "--on", "mesd")
    assert words.code == 0, words.err
    assert "overall" in words.out
    assert (plain / "lexical-on-mesd.csv").is_file()
    some = extracted("lexical", plain, "--on", "mesd:4class@same-words")
    assert some.code == 0, some.err
    assert some.out != words.out
    assert (plain / "lexical-on-mesd-4class@same-words.csv").is_file()
    assert (
        extracted("lexical", tmp_path / "runs" / "at-once", "--on", "mesd").out.splitlines()[3:9]
        == words.out.splitlines()[3:9]
    )
    assert extracted("lexical", plain, "--unit", "word", "--weighted").code == 0
    for asked, line in (
        (("lexical", plain, "--on", "aesdd"), "aesdd has no transcripts"),
        (
            ("lexical", plain, "--on", "mesd:6class"),
            "(tested on: aesdd:4class, mesd:4class, mesd:4class@same",
        ),
        (("evaluate", plain, "--dataset", "emodb"), "trained on emodb"),
        (
            ("evaluate", plain, "--dataset", "aesdd", "--task", "5class"),
            "classes that are not trained here: disgust, fear",
        ),
        (("evaluate", tmp_path, "--dataset", "aesdd"), "is not a run folder"),
    ):
        refused = extracted(*asked)
        assert (refused.code, line in refused.err) == (2, True), refused.err


def test_everything_trains_for_other_corpora(extracted: Sercache, tmp_path: Path) -> None:
    train = [
        "train",
        *HEAD,
        "--dataset",
        "emodb",
        "--task",
        "4class",
        "--protocol",
        "all",
        "--dev",
        "random20",
    ]
    done = extracted(*train, "--test-on", "mesd", "--name", "all")
    assert done.code == 0, done.err
    assert "nothing of emodb is tested" in done.out
    report = runs.load(tmp_path / "runs" / "all")
    assert (report.predictions, len(report.cross_corpus)) == ((), 1)
    shown = extracted("report", "--format", "csv")
    assert shown.code == 0
    refused = extracted("lexical", tmp_path / "runs" / "all")
    assert "tested nothing at home" in refused.err


def test_inputs_are_counted(extracted: Sercache) -> None:
    refused = extracted("train", *HEAD, "--dataset", "emodb", "--beside", "logmel")
    assert refused.code == 2
    assert "superb reads 1 input and has 2" in refused.err


@pytest.mark.draws
@pytest.mark.slow
def test_numbers_through_the_command_line(sercache: Sercache, tmp_path: Path) -> None:
    root = TREES["iemocap"](tmp_path / "iemocap")
    give_voices(root)
    made = sercache(
        "extract",
        "--encoder",
        "logmel",
        "--dataset",
        "iemocap",
        "--root",
        root,
        "--task",
        "avd",
        "--pooled-only",
    )
    assert made.code == 0, made.err
    train = [
        "train",
        "--head",
        "linear",
        "--encoder",
        "logmel",
        "--dataset",
        "iemocap",
        "--states",
        "all",
        "--task",
        "avd",
    ]
    quick = ["--set", "max-epochs=2", "--seeds", "1"]
    refused = sercache(*train, *quick)
    assert refused.code == 2
    assert (
        "task avd gives numbers, which loss=cross-entropy does not train; set loss=mse or ccc" in refused.err
    )
    done = sercache(*train, *quick, "--set", "loss=ccc", "--set", "select=dev-ccc", "--name", "all")
    assert done.code == 0, done.err
    assert "rho valence" in done.out
    assert runs.load(tmp_path / "runs" / "all").targets == ("arousal", "valence", "dominance")
    assert (tmp_path / "runs" / "all" / "plots" / "scatter.png").is_file()
    one = sercache(
        *train, *quick, "--set", "loss=mse", "--set", "select=dev-rho", "--target", "valence", "--name", "one"
    )
    assert one.code == 0, one.err
    assert runs.load(tmp_path / "runs" / "one").targets == ("valence",)
    shown = sercache("report", "--format", "markdown")
    assert "rho 95 %" in shown.out
    assert "predicts numbers" in sercache("lexical", tmp_path / "runs" / "all").err


def test_two_stores_side_by_side(sercache: Sercache, roots: dict[str, Path], tmp_path: Path) -> None:
    for encoder in ("logmel", "spectrogram"):
        made = sercache("extract", "--encoder", encoder, "--dataset", "emodb", "--root", roots["emodb"])
        assert made.code == 0, made.err
    train = [
        "train",
        "--head",
        "egemaps-fusion",
        "--encoder",
        "logmel",
        "--dataset",
        "emodb",
        "--task",
        "4class",
    ]
    train += [
        "--states",
        "all",
        "--seeds",
        "1",
        "--set",
        "max-epochs=1",
        "--protocol",
        "kfold:3",
        "--normalise",
        "global",
    ]
    done = sercache(*train, "--beside", "spectrogram:all:frames", "--name", "two")
    assert done.code == 0, done.err
    report = runs.load(tmp_path / "runs" / "two")
    assert report.setup["beside"] == ["spectrogram:all:frames"]
    assert report.features["beside"][0]["spec"]["encoder"] == "spectrogram"
    assert sercache("report", tmp_path / "runs" / "two").code == 0
    missing = sercache(*train, "--beside", "egemaps:all:frames")
    assert "egemaps x emodb" in missing.err
    odd = sercache(*train, "--beside", "spectrogram:all:both")
    assert "a further input is written ENCODER[:STATES[:pooled|frames]]" in odd.err


def test_the_same_in_python(sercache: Sercache, roots: dict[str, Path], tmp_path: Path) -> None:
    from sercache import api

    encoder = api.load_encoder("logmel", device="cpu")
    stores = {}
    for name in ("emodb", "mesd"):
        corpus = api.read_corpus(name, roots[name])
        stores[name] = corpus, api.extract(encoder, corpus, tmp_path / "cache", progress=False)
    emodb, store = stores["emodb"]
    report = api.train(
        "superb", store, emodb, test_on=[stores["mesd"]], recipe={"max_epochs": 1}, task="4class",
        protocol="kfold:3", seeds=1, device="cpu",
    )  # fmt: skip
    assert [there.dataset for there in report.report.cross_corpus] == ["mesd"]
    assert "other corpora" in api.table(report)
    fused = api.train(
        "egemaps-fusion", store, emodb, beside={"logmel:all:frames": store}, recipe={"max_epochs": 1},
        states="all", task="4class", protocol="kfold:3", normalise="none", seeds=1, device="cpu",
    )  # fmt: skip
    assert len(fused.report.features["beside"]) == 1
    with pytest.raises(StoreError, match=r"holds emodb .* got the corpus mesd"):
        api.train("superb", store, stores["mesd"][0])
    with pytest.raises(UnknownNameError, match="unknown normalise of train 'speakers'; did you mean speaker"):
        api.train("superb", store, emodb, normalise="speakers")
    with pytest.raises(StoreError, match="has other weights or settings than those that made logmel"):
        api.train("attention-blocks", store, emodb, encoder="mfcc", states="all", finetune_from="mel")


@pytest.mark.slow
def test_a_trained_encoder_is_tested_on_another_corpus_too(
    sercache: Sercache, roots: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = save(tiny_model("wavlm-base"), tmp_path / "wavlm-tiny")
    for name in ("emodb", "mesd"):
        where = ["--encoder", checkpoint, "--dataset", name, "--root", roots[name], "--task", "4class"]
        made = sercache("extract", *where, "--states", "1")
        assert made.code == 0, made.err
    train = ["train", "--head", "superb", "--encoder", checkpoint, "--dataset", "emodb", "--task", "4class"]
    train += [
        "--states",
        "3",
        "--finetune-from",
        "1",
        "--protocol",
        "kfold:3",
        "--seeds",
        "1",
        "--set",
        "max-epochs=1",
    ]
    done = sercache(*train, "--test-on", "mesd", "--name", "tuned")
    assert done.code == 0, done.err
    run = tmp_path / "runs" / "tuned"
    # The store remembers where the checkpoint lay; one that was moved is named.
    for more in ([], ["--encoder", tmp_path / "moved" / checkpoint.name]):
        if more:
            (tmp_path / "moved").mkdir()
            shutil.move(checkpoint, tmp_path / "moved" / checkpoint.name)
        later = sercache("evaluate", run, "--dataset", "mesd", *more)
        assert later.code == 0, later.err
    assert runs.load(run / "on-mesd").cross_corpus == runs.load(run).cross_corpus

"""The whole line through the command line: extract, train, report, verify, reproduce."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import Outcome
from corpus_trees import TREES
from encoder_helpers import save, tiny_model

from sercache import extraction, stores
from sercache.extraction import Piece, Plan
from sercache.report import runs as run_folders

Sercache = Callable[..., Outcome]
QUICK = ["--set", "max-epochs=2", "--seeds", "1"]


def give_voices(root: Path) -> None:
    """Put sound of its own into every recording: equal ones would be computed once and copied."""
    for path in root.rglob("*.wav"):
        if not path.name.startswith("."):
            chance = np.random.default_rng(zlib.crc32(path.name.encode()))
            soundfile.write(path, chance.normal(0, 0.1, int(16000 * chance.uniform(0.2, 0.5))), 16000)


@pytest.fixture(scope="session")
def iemocap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = TREES["iemocap"](tmp_path_factory.mktemp("iemocap"))
    give_voices(root)
    return root


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local hub cache as huggingface_hub lays it out, with tiny checkpoints under the real ids."""
    home = tmp_path_factory.mktemp("hub")
    ids = {
        "microsoft/wavlm-large": "wavlm-large",
        "facebook/hubert-base-ls960": "hubert-base",
        "facebook/hubert-large-ll60k": "hubert-large",
    }
    for number, (hub_id, kind) in enumerate(ids.items()):
        commit = f"{number + 1:040x}"
        folder = home / "hub" / f"models--{hub_id.replace('/', '--')}"
        save(tiny_model(kind, seed=number), folder / "snapshots" / commit)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
    return home


@pytest.fixture
def in_hub(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(hub))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def only_store(cache: Path) -> stores.FeatureStore:
    [(folder, _)] = stores.find(cache)
    return stores.open(folder)


@pytest.mark.draws
def test_extract_train_report(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    code, out, err = sercache("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest)
    assert code == 0, err
    for part in ("plan      24 entries", "on disk", "done: 24 entries encoded", "x real time"):
        assert part in out
    code, out, err = sercache("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest)
    assert code == 0
    assert "nothing to do: all 24" in out
    # The corpus' folder is remembered; the head's published states mean log-mel's own.
    train = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--set", "lr=0.05"]
    code, out, err = sercache(*train, "--seeds", 2, "--set", "max-epochs=30", "--name", "first")
    assert code == 0, err
    assert "as last extracted" in out
    report = run_folders.load(tmp_path / "runs" / "first")
    assert report.summary["ua"].seeds.mean > 0.9, "loudness tells these classes apart"
    assert len(report.runs) == 4 * 2
    assert all(fold.speakers_disjoint for fold in report.folds)
    with (tmp_path / "runs" / "first" / "predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24 * 2
    pictures = {path.name for path in (tmp_path / "runs" / "first" / "plots").iterdir()}
    assert {"confusion.png", "confusion.svg", "learning-curves.png"} <= pictures
    assert "<svg" in (tmp_path / "runs" / "first" / "report.html").read_text()
    code, out, _ = sercache("info")
    assert "corpus" in out
    assert "logmel" in out
    code, out, _ = sercache("verify")
    assert (code, "whole:" in out) == (0, True)


@pytest.mark.usefixtures("cached")
def test_a_run_never_overwrites_another(sercache: Sercache, tmp_path: Path) -> None:
    for _ in range(2):
        done = sercache("train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", *QUICK)
        assert done.code == 0, done.err
    first, second = sorted((tmp_path / "runs").iterdir())
    assert len(run_folders.load(first).predictions) == 24
    assert second.name == f"{first.name}-2"
    code, out, _ = sercache("report", "--format", "markdown")
    assert code == 0
    assert out.count("| ") > 3


@pytest.mark.slow
def test_the_same_numbers_again(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    sercache("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest)
    train = ["train", "--head", "mlp", "--encoder", "logmel", "--dataset", "manifest", *QUICK]
    for name in ("a", "b"):
        code, _, err = sercache(*train, "--name", name, "--runs", tmp_path / f"of-{name}")
        assert code == 0, err
    a, b = (run_folders.load(tmp_path / f"of-{name}" / name) for name in ("a", "b"))
    assert a.predictions == b.predictions
    assert [run.weights_sha256 for run in a.runs] == [run.weights_sha256 for run in b.runs]


@pytest.mark.usefixtures("in_hub")
@pytest.mark.slow
def test_a_published_head_finds_its_cache(sercache: Sercache, iemocap: Path, tmp_path: Path) -> None:
    code, _, err = sercache("train", "--head", "layer-attention", "--root", iemocap)
    assert code == 2
    assert "run: sercache extract --encoder wavlm-large --dataset iemocap --root " in err
    assert err.rstrip().endswith("--for layer-attention")
    extract = ["extract", "--encoder", "wavlm-large", "--dataset", "iemocap", "--root", iemocap]
    code, out, err = sercache(*extract)
    assert code == 0, err
    assert "as published: " in out
    said = next(line for line in err.splitlines() if "layer-attention was published with other" in line)
    its_line = shlex.split(said.partition("run: sercache ")[2])
    spec = only_store(tmp_path / "cache").spec
    assert spec.identity["revision"] == f"{1:040x}"
    assert spec.states[-1] == "final"
    code, out, err = sercache("train", "--head", "layer-attention", *QUICK)
    assert code == 0, err
    assert "clip rule none, not split:5" in err
    assert "0.7376" in out, "the printed number stands beside ours"
    assert "no verdict: clip" in out, "with what differs in the place of a verdict"
    assert "(leave-one-session-out; clip none instead of split:5)" in out
    code, out, err = sercache("train", "--head", "layer-attention", "--clip", "split:5", *QUICK)
    assert code == 2, "a clip rule that was asked for is not replaced"
    code, out, err = sercache(*its_line)
    assert code == 0, err
    assert "layer-attention" in next(line for line in out.splitlines() if "as published: " in line)
    assert len(stores.find(tmp_path / "cache")) == 2
    code, _, err = sercache("train", "--head", "layer-attention", "--name", "exact", *QUICK)
    assert code == 0, err
    report = run_folders.load(tmp_path / "runs" / "exact")
    assert [fold.name for fold in report.folds] == [f"Ses0{k}" for k in range(1, 6)]
    assert not [line for line in report.deviations if "clip" in line]
    [cut] = [folder for folder, spec in stores.find(tmp_path / "cache") if spec.clip != "none"]
    (stores.notes_folder(cut) / "unfinished").touch()  # as a killed extraction leaves it
    code, _, err = sercache("train", "--head", "layer-attention", *QUICK)
    assert code == 2
    assert "was cut off and must be finished first; run: sercache extract" in err
    assert sercache(*extract, "--for", "layer-attention")[0] == 0
    assert sercache("train", "--head", "layer-attention", *QUICK)[0] == 0


def test_a_head_has_a_setup_for_each_corpus_of_its_paper(tmp_path: Path) -> None:
    from sercache.datasets import ravdess
    from sercache.experiment.setup import TrainOptions, chosen_setup
    from sercache.heads import weighted_dense
    from sercache.protocols import make_folds

    corpus = ravdess.read(TREES["ravdess"](tmp_path))
    request = TrainOptions(head="weighted-dense", dataset="ravdess", seeds=5)
    setup, published = chosen_setup(weighted_dense, request, corpus)
    assert (setup.protocol, setup.task, setup.max_frames) == ("fixed:pepino", "7class", 250)
    assert setup == published
    [fold] = make_folds(corpus, corpus.labels(setup.task), setup.protocol, dev=setup.dev)
    assert fold.dev, "early stopping needs the split's own dev actors"
    assert fold.speakers_disjoint


def test_a_protocol_without_parts_has_a_dev_rule_that_fits(tmp_path: Path) -> None:
    from sercache.datasets import iemocap as reader
    from sercache.experiment.setup import TrainOptions, chosen_setup
    from sercache.heads import layer_attention, weighted_lstm

    corpus = reader.read(TREES["iemocap"](tmp_path))
    for module, dev, expected in (
        (weighted_lstm, None, "random20"),
        (weighted_lstm, "none", "none"),
        (layer_attention, None, "none"),
    ):
        request = TrainOptions(head="x", protocol="all", dev=dev)
        assert chosen_setup(module, request, corpus)[0].dev == expected


@pytest.mark.usefixtures("in_hub")
def test_revision_takes_a_commit(sercache: Sercache, iemocap: Path) -> None:
    call = ["extract", "--encoder", "wavlm-large", "--dataset", "iemocap", "--root", iemocap, "--dry-run"]
    code, out, err = sercache(*call, "--revision", f"{1:040x}")
    assert code == 0, err
    assert "@ 000000000000" in out
    code, _, err = sercache(*call, "--revision", "f" * 40)
    assert code == 2
    assert "Traceback" not in err


def test_bad_recordings_are_listed_and_left_out(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "3.wav").write_bytes(b"not sound")
    soundfile.write(manifest.parent / "4.wav", np.zeros(4000), 16000)
    call = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest]
    for _ in range(2):
        code, _, err = sercache(*call)
        assert code == 2, "a script must notice"
        assert "skipped u3" in err
        assert "skipped u4" in err
        assert "2 of 24 recordings could not be encoded; the rest is stored" in err
    assert len(only_store(tmp_path / "cache").ids()) == 22
    code, _, err = sercache(
        "train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", *QUICK, "--name", "r"
    )
    assert code == 0, err
    report = run_folders.load(tmp_path / "runs" / "r")
    assert len(report.predictions) == 22
    assert {"u3", "u4"} <= set(report.corpus["left_out"])


def test_missing_utterances_are_named(sercache: Sercache, manifest: Path) -> None:
    call = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest]
    assert sercache(*call, "--limit", 10)[0] == 0
    code, _, err = sercache(
        "train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", *QUICK
    )
    assert code == 2
    assert "14 of 24 utterances have no features, first: " in err
    assert "sercache extract" in err


def test_a_cache_from_other_weights(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    folder = save(tiny_model("wavlm-base", seed=1), tmp_path / "mine")
    call = ["--encoder", folder, "--dataset", "manifest"]
    code, _, err = sercache("extract", *call, "--root", manifest)
    assert code == 0, err
    assert sercache("train", "--head", "linear", *call, *QUICK)[0] == 0
    shutil.rmtree(folder)
    save(tiny_model("wavlm-base", seed=2), folder)
    code, _, err = sercache("train", "--head", "linear", *call, *QUICK)
    assert code == 2
    assert "sercache extract" in err
    assert sercache("extract", *call)[0] == 0
    assert len(stores.find(tmp_path / "cache")) == 2, "other weights, another store"


def test_damage_is_found_and_repaired(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    call = [
        "extract",
        "--encoder",
        "demo-wavlm",
        "--dataset",
        "manifest",
        "--root",
        manifest,
        "--seal-every",
        0,
    ]
    assert sercache(*call)[0] == 0
    store = only_store(tmp_path / "cache")
    before = {id: store.read(id) for id in store.ids()}
    shard = max((store.path / "frames").glob("c.*"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[1000] ^= 255
    shard.write_bytes(content)
    code, out, err = sercache("verify")
    assert code == 2
    assert "damaged: " in out
    assert "note: u" in err
    # The last call may have asked for less than the store holds: all that is damaged comes back.
    stores.write_note(store.path, "origin.json", {**stores.read_note(store.path, "origin.json"), "limit": 1})
    code, out, err = sercache("verify", "--repair")
    assert code == 0, err
    assert sercache("verify")[0] == 0
    after = only_store(tmp_path / "cache")
    assert sorted(after.ids()) == sorted(before)
    for id, frames in before.items():
        np.testing.assert_array_equal(after.read(id), frames)


@pytest.mark.parametrize(
    ("dataset", "root", "message"),
    [("iemocap", "list.csv", "iemocap"), ("ravdess", ".", "ravdess"), ("emodb", "nowhere", "nowhere")],
)
def test_a_root_that_is_not_the_corpus(
    sercache: Sercache, manifest: Path, tmp_path: Path, dataset: str, root: str, message: str
) -> None:
    call = ["extract", "--encoder", "logmel", "--dataset", dataset, "--root", manifest.parent / root]
    code, _, err = sercache(*call)
    assert code == 2
    assert err.count("error:") == 1
    assert message in err
    assert not (tmp_path / "cache").exists()


def test_a_corrupt_checkpoint(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    folder = save(tiny_model("hubert-base"), tmp_path / "mine")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    code, _, err = sercache("extract", "--encoder", folder, "--dataset", "manifest", "--root", manifest)
    assert code == 2
    assert "model.safetensors" in err
    assert not stores.find(tmp_path / "cache")


def test_ctrl_c_keeps_what_is_done(
    sercache: Sercache, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.experiment import extract_work

    bar, left = extract_work.entries_bar, 5

    def interrupted(plan: Plan) -> tuple[Any, Callable[[Piece], None]]:
        hours, advance = bar(plan)

        def stop(piece: Piece) -> None:
            nonlocal left
            advance(piece)
            left -= 1
            if not left:
                raise KeyboardInterrupt

        return hours, stop

    make_plan = extraction.make_plan  # with a batch for each recording
    monkeypatch.setattr(extraction, "make_plan", lambda *a, **o: make_plan(*a, **{**o, "pack_frames": 1}))
    call = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest]
    with monkeypatch.context() as patch:
        patch.setattr(extract_work, "entries_bar", interrupted)
        code, out, err = sercache(*call)
    assert code == 130, (out, err)
    n_kept = len(only_store(tmp_path / "cache").ids())
    assert 5 <= n_kept < 24
    assert f"{n_kept} of 24 entries are safe" in err
    assert "run the same command to resume" in err
    code, out, err = sercache(*call)
    assert code == 0, err
    assert f"{n_kept} there already" in out
    assert len(only_store(tmp_path / "cache").ids()) == 24


@pytest.mark.slow
def test_interrupting_keeps_what_is_done(manifest: Path, own_settings: Path) -> None:
    arguments = [
        "--encoder",
        "demo-wavlm",
        "--dataset",
        "manifest",
        "--root",
        str(manifest),
        "--seal-every",
        "0",
    ]
    # Minutes of sound, one recording a batch, so that there is something left to interrupt.
    chance = np.random.default_rng(0)
    rows = manifest.read_text().splitlines()
    for k in range(24, 48):
        soundfile.write(manifest.parent / f"{k}.wav", chance.normal(0, 0.1, 16000 * 40), 16000)
        rows.append(f"u{k},{k}.wav,soft,s{k % 4}")
    manifest.write_text("\n".join(rows) + "\n")
    running = subprocess.Popen(
        [sys.executable, "-m", "sercache.cli", "extract", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(
        stores.open(f).ids() for f, _ in stores.find(own_settings / "cache")
    ):
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert "run the same command to resume" in err
    kept = only_store(own_settings / "cache").ids()
    assert f"{len(kept)} of 48 entries are safe" in err
    assert 0 < len(kept) < 48


def test_every_run_says_what_it_rests_on(sercache: Sercache, manifest: Path, tmp_path: Path) -> None:
    sercache("extract", "--encoder", "demo-wavlm", "--dataset", "manifest", "--root", manifest)
    call = ["train", "--head", "weighted-dense", "--encoder", "demo-wavlm", "--dataset", "manifest", *QUICK]
    code, out, err = sercache(*call, "--name", "r", "--normalise", "speaker")
    assert code == 0, err
    record = json.loads((tmp_path / "runs" / "r" / "report.json").read_text())
    assert record["features"]["spec"]["identity"]["weights_sha256"]
    assert "random weights" in json.dumps(record["features"])
    assert "test part included" in record["normalisation"]
    assert record["environment"]["packages"]["torch"]
    assert "protocol leave-one-speaker-out instead of leave-one-session-out" in record["deviations"]
    assert "weighted-dense on demo-wavlm (random weights)" in out
    assert (
        "demo-wavlm (random weights)"
        in sercache("report", tmp_path / "runs" / "r", "--format", "markdown").out
    )
    assert "demo-wavlm (random weights)" in sercache("info").out
    assert "within" not in out, "no printed number belongs to this corpus"


@pytest.mark.draws
def test_a_run_that_tests_nothing_says_so(sercache: Sercache, cached: Path) -> None:
    """Its notes spoke of a test part, its table was a heading alone, its page did not say what it rests on."""
    call = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--protocol", "all"]
    last = ["--set", "max-epochs=2", "--set", "select=last-epoch", "--set", "patience=none"]
    code, out, err = sercache(*call, "--dev", "none", *last, "--name", "r")
    assert code == 0, err
    shown = sercache("report", cached / "r").out
    for text in (out, shown, (cached / "r/report.html").read_text()):
        assert "epoch: the last of 2 epochs" in text
        assert "over the training part alone" in text
        assert "nothing of recordings0 is tested: all of it trains" in text
        assert "test part" not in text.replace("whether the test part has none", "")
    assert "estimand" not in shown


def test_other_recordings_under_the_ids_of_a_store_are_told(
    sercache: Sercache, own_settings: Path, tmp_path: Path
) -> None:
    table = "id,path,label,speaker\n" + "".join(f"u{k},{k}.wav,a,s{k}\n" for k in range(4))
    for name, seconds in (("one", 0.3), ("other", 0.9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "list.csv").write_text(table)
        for k in range(4):
            n_samples = int(16_000 * (seconds if k else 0.3))
            soundfile.write(
                tmp_path / name / f"{k}.wav", np.random.default_rng(k).normal(0, 0.1, n_samples), 16_000
            )

    def said(name: str) -> str:
        root = tmp_path / name / "list.csv"
        done = sercache("extract", "--encoder", "logmel", "--dataset", "manifest:lengths", "--root", root)
        assert done.code == 0, done.err
        return done.err

    assert "of another length" not in said("one") + said("one")
    assert "of 4 entries" in (told := said("other"))
    assert "4 were looked at, and 3 are of recordings" in told
    assert "are of recordings of another length, first: u" in told

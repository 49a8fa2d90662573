"""Maps of a run's vectors through the command line: `sercache map`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Outcome
from encoder_helpers import save, tiny_model

from sercache import stores
from sercache.report import runs as run_folders

Sercache = Callable[..., Outcome]
N = 24
"""More than t-SNE's perplexity."""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Recordings of four speakers; two classes that pitch tells apart."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = ["id,path,label,speaker"]
    for k in range(N):
        seconds = np.arange(int(16000 * (0.15 + 0.005 * k))) / 16000
        wave = 0.3 * np.sin(2 * np.pi * (900 if k % 2 else 200) * seconds)
        wave += np.random.default_rng(k).normal(0, 0.02, len(wave))
        soundfile.write(folder / f"{k}.wav", wave, 16000)
        rows.append(f"u{k},{k}.wav,{'high' if k % 2 else 'low'},s{k // 2 % 4}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


@pytest.mark.slow
def test_draws_the_vectors_of_a_trained_encoder_and_head(
    sercache: Sercache, corpus: Path, tmp_path: Path
) -> None:
    checkpoint = save(tiny_model("wav2vec2-base"), tmp_path / "tiny")
    where = ["--encoder", checkpoint, "--dataset", "manifest"]
    for clip in ("none", "repeat:1"):
        code, _, err = sercache("extract", *where, "--root", corpus, "--states", "conv", "--clip", clip)
        assert code == 0, err
    train = ["train", *where, "--head", "attention-blocks", "--option", "blocks=1", "--clip", "none"]
    train += ["--states", "3", "--protocol", "leave-one-speaker-out", "--set", "max-epochs=1"]
    code, _, err = sercache(*train, "--set", "lr=1e-3", "--name", "emotions")
    assert code == 0, err
    folder = tmp_path / "runs" / "emotions"
    call = ["map", folder, "--dataset", "manifest"]
    code, _, err = sercache(*call)
    assert code == 2
    assert "name it with --fold and --seed" in err
    call += ["--fold", "s1"]
    code, out, err = sercache(*call, "--by", "label")
    assert code == 0, err
    assert "mean silhouette of the vectors by label" in out
    rows = read(folder / "map-corpus-label.csv")
    assert [row["id"] for row in rows] == sorted(f"u{k}" for k in range(N))
    assert {row["speaker"] for row in rows} == {"s0", "s1", "s2", "s3"}
    for row in rows:
        assert row["label"] == ("high" if int(row["id"][1:]) % 2 else "low")
    report = run_folders.load(folder)
    said = {each.id: report.classes[each.predicted] for each in report.predictions if each.fold == "s1"}
    assert said == {row["id"]: row["predicted"] for row in rows if row["speaker"] == "s1"}
    assert (folder / "map-corpus-label.png").stat().st_size > 1000
    # A store names the corpus.
    store = next(path for path, spec in stores.find(tmp_path / "cache") if spec.clip == "none")
    code, _, err = sercache("map", folder, "--store", store, "--fold", "s1", "--by", "label")
    assert code == 0, err
    assert read(folder / "map-corpus-label.csv") == rows
    # The same vectors lie in the same places, whatever colours them; others elsewhere.
    assert sercache(*call).code == 0
    assert places(read(folder / "map-corpus-speaker.csv")) == places(rows)
    code, _, err = sercache(*call, "--clip", "repeat:1")
    assert code == 0, err
    assert places(read(folder / "map-corpus-speaker.csv")) != places(rows)
    code, _, err = sercache(*call, "--clip", "repeat:2")
    assert code == 2
    assert "asked for release" in err


def test_heads_without_vectors_are_refused(sercache: Sercache, corpus: Path, tmp_path: Path) -> None:
    where = ["--encoder", "logmel", "--dataset", "manifest"]
    assert sercache("extract", *where, "--root", corpus).code == 0
    train = ["train", *where, "--head", "linear", "--states", "all", "--set", "max-epochs=1", "--seeds", "1"]
    code, _, err = sercache(*train, "--protocol", "kfold:2", "--dev", "random20", "--name", "plain")
    assert code == 0, err
    code, _, err = sercache("map", tmp_path / "runs" / "plain", "--dataset", "manifest", "--fold", "1")
    assert code == 2
    assert "linear has no vectors of its own to show; heads that have: attention-blocks, speaker-id" in err


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def places(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(row["x"], row["y"]) for row in rows]

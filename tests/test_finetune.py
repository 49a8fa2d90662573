"""Training an encoder's blocks with a head from a cached state, through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import Outcome
from encoder_helpers import noise, save, tiny_model
from safetensors.torch import load_file

from heads import mlp, superb
from sercache import encoders
from sercache.encoders.hf_speech._tail import Tail
from sercache.report import runs as run_folders
from sercache.training import build, predict
from sercache.training.finetune import finetuned

Sercache = Callable[..., Outcome]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen recordings of four speakers; two classes that pitch tells apart."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["id,path,label,speaker"]
    for k in range(16):
        chance = np.random.default_rng(k)
        seconds = np.arange(int(16000 * chance.uniform(0.15, 0.3))) / 16000
        wave = 0.3 * np.sin(2 * np.pi * (900 if k % 2 else 200) * seconds)
        soundfile.write(folder / f"{k}.wav", wave + chance.normal(0, 0.02, len(wave)), 16000)
        rows.append(f"u{k},{k}.wav,{'high' if k % 2 else 'low'},s{k // 2 % 4}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny_model("wavlm-base"), tmp_path_factory.mktemp("wavlm-tiny"))


@pytest.mark.parametrize(("boundary", "head"), [("conv", "superb"), ("1", "mlp")])
def test_trains_the_blocks_with_the_head(
    sercache: Sercache, corpus: Path, checkpoint: Path, tmp_path: Path, boundary: str, head: str
) -> None:
    where = ["--encoder", checkpoint, "--dataset", "manifest"]
    code, _, err = sercache("extract", *where, "--root", corpus, "--states", boundary)
    assert code == 0, err
    train = ["train", "--head", head, *where, "--states", "3", "--finetune-from", boundary, "--seeds", "1"]
    train += ["--protocol", "leave-one-speaker-out", "--normalise", "none"]
    code, _, err = sercache(*train, "--set", "max-epochs=3", "--set", "lr=1e-3", "--name", "tuned")
    assert code == 0, err
    report = run_folders.load(tmp_path / "runs" / "tuned")
    module = {"superb": superb, "mlp": mlp}[head]
    tail = encoders.load_tail(str(checkpoint), boundary, ["3"])
    own = sum(p.numel() for p in module.Head(1, 32, 2).parameters())
    assert report.n_parameters == own + sum(p.numel() for p in tail.parameters())
    assert any("parameters of the encoder are trained" in line for line in report.deviations)
    losses = [epoch["train_loss"] for epoch in report.runs[0].history]
    assert losses[-1] < losses[0]
    # What was trained becomes an encoder like any other; what lies below the boundary is the same.
    export = ["export", tmp_path / "runs" / "tuned", "--out", tmp_path / "trained", "--encoder", checkpoint]
    code, _, err = sercache(*export)
    assert code == 2
    assert "name it with --fold and --seed" in err
    code, _, err = sercache(*export, "--fold", report.runs[0].fold)
    assert code == 0, err
    before, after = encoders.load(str(checkpoint)), encoders.load(str(tmp_path / "trained"))
    states = ["conv", "1", "3"]
    olds, news = (dict(e.encode([noise(4000)], states)) for e in (before, after))
    assert torch.equal(olds["conv"], news["conv"])
    assert torch.equal(olds["1"], news["1"]) == (boundary == "1")
    assert not torch.allclose(olds["3"], news["3"])


def test_starts_from_an_earlier_run(
    sercache: Sercache, corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    where = ["--encoder", checkpoint, "--dataset", "manifest"]
    assert sercache("extract", *where, "--root", corpus, "--states", "3").code == 0
    train = ["train", *where, "--states", "3", "--finetune-from", "none", "--set", "max-epochs=1"]
    train += ["--protocol", "leave-one-speaker-out", "--clip", "none"]
    first = ["--head", "attention-blocks", "--option", "blocks=2", "--set", "lr=1e-30", "--name", "emotions"]
    code, _, err = sercache(*train, *first)
    assert code == 0, err
    joint = ["--head", "speaker-specific", "--beside", f"{checkpoint}:3:frames", "--option", "blocks=2"]
    joint += ["--option", "second_input=frames", "--option", "configuration=arcface-fine-tuned"]
    joint += ["--option", "speakers=2", "--set", "second-weight=0.5", "--set", "lr=1e-30", "--name", "joint"]
    start = ["--start-from", f"emotion={tmp_path / 'runs' / 'emotions'}"]
    code, _, err = sercache(*train, *joint, *start)
    assert code == 0, err
    report = run_folders.load(tmp_path / "runs" / "joint")
    assert any("initial weights of emotion from emotions" in line for line in report.deviations)
    for run in report.runs:
        one, two = (
            load_file(run_folders.weights_path(tmp_path / "runs" / name, run.fold, run.seed))
            for name in ("emotions", "joint")
        )
        assert torch.allclose(one["fusion"], two["fusion"][1:], atol=1e-12)
        assert all(torch.allclose(one[name], two[name]) for name in one if name != "fusion")
    # What was trained on other folds has seen what is tested now.
    code, _, err = sercache(
        *train, *joint[:-1], "leak", *start, "--protocol", "kfold:4", "--option", "speakers=4"
    )
    assert code == 2
    assert "none of them is that of fold" in err or "may have trained on them" in err


def test_refuses_other_weights_and_normalisation(
    sercache: Sercache, corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    where = ["--encoder", checkpoint, "--dataset", "manifest"]
    assert sercache("extract", *where, "--root", corpus, "--states", "conv").code == 0
    tuned = ["train", "--head", "superb", "--dataset", "manifest", "--states", "3", "--finetune-from", "conv"]
    code, _, err = sercache(*tuned, "--encoder", checkpoint, "--normalise", "global")
    assert code == 2
    assert "normalise" in err
    code, _, err = sercache(*tuned[:-2], "--finetune-from", "nothing", "--encoder", checkpoint)
    assert code == 2
    assert "nothing" in err


def test_outputs_from_the_cache_are_those_from_audio() -> None:
    model = tiny_model("wav2vec2-base")
    waves = [noise(n) for n in (5000, 3000, 7000)]

    class Conv:
        """A view of the cached ``conv`` states."""

        n_layers, dim, labels = 1, 24, np.array([0, 1, 0])

        def __init__(self) -> None:
            with torch.no_grad():
                normal = [torch.from_numpy((w - w.mean()) / np.sqrt(w.var() + 1e-7)) for w in waves]
                self.parts = [model.feature_extractor(w[None])[0].T for w in normal]
            self.n_frames = np.array([len(part) for part in self.parts])

        def __len__(self) -> int:
            return 3

        def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
            x = torch.zeros(len(rows), 1, int(self.n_frames[rows].max()), 24)
            mask = torch.zeros(len(rows), x.shape[2], dtype=torch.bool)
            for k, row in enumerate(rows):
                n = self.n_frames[row]
                x[k, 0, :n], mask[k, :n] = self.parts[row], True
            return x, mask

    view = Conv()
    head_class = finetuned(superb.Head, Tail(model, "conv", ["2", "3"]), frames=True)
    head = build(head_class, view, 4, seed=0).eval()
    from_cache = predict(head, view)
    for k, wave in enumerate(waves):
        normal = torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None]
        with torch.no_grad():
            states = model(normal, output_hidden_states=True).hidden_states
            x = torch.stack([states[2], states[3]], 1)
            alone = head.head(x, torch.ones(1, x.shape[2], dtype=torch.bool))
        np.testing.assert_allclose(from_cache[k], alone[0].numpy(), rtol=1e-4, atol=1e-5)

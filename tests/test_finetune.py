"""Training an encoder's blocks with a head from a cached state, through the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from array_view import ArrayView, SideBySide
from conftest import Outcome
from encoder_helpers import noise, save, tiny_model, tiny_whisper
from safetensors.torch import load_file

from sercache import encoders, stores
from sercache.encoders.hf_speech._tail import SpeechTail
from sercache.errors import RecipeError
from sercache.heads import attention_blocks, mlp, speaker_id, speaker_specific, superb
from sercache.recipe import Setup, inputs
from sercache.report import runs as run_folders
from sercache.training import build, predict
from sercache.training.finetune import finetuned
from sercache.training.residing import of_batch
from sercache.training.starting import start, start_centres
from sercache.views import open_view

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
    # Where it lay is known to the cache that the features are in; without that it has to be named.
    fold = ["--fold", report.runs[0].fold]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERCACHE_CACHE", str(tmp_path / "other"))
        code, _, err = sercache(*export[:-2], *fold)
        assert code == 2
        assert "give the checkpoint's folder with --encoder" in err
    code, _, err = sercache(*export[:-2], *fold)
    assert code == 0, err
    before, after = encoders.load(str(checkpoint)), encoders.load(str(tmp_path / "trained"))
    states = ["conv", "1", "3"]
    olds, news = (dict(e.encode([noise(4000)], states)) for e in (before, after))
    assert torch.equal(olds["conv"], news["conv"])
    assert torch.equal(olds["1"], news["1"]) == (boundary == "1")
    assert not torch.allclose(olds["3"], news["3"])


@pytest.mark.slow
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


def test_whisper_is_trained_from_whole_windows(sercache: Sercache, corpus: Path, tmp_path: Path) -> None:
    whisper = tiny_whisper(tmp_path / "whisper")
    where = ["--encoder", whisper, "--dataset", "manifest"]
    extract = ["extract", *where, "--root", corpus, "--states", "1,2"]
    train = ["train", "--head", "superb", *where, "--states", "2", "--protocol", "kfold:3", "--seeds", "1"]
    train += ["--set", "max-epochs=1", "--set", "lr=1e-3"]
    tuned = [*train, "--finetune-from", "1", "--normalise", "none"]
    assert sercache(*extract).code == 0
    code, _, err = sercache(*tuned)
    assert code == 2
    assert "attend to the silence that fills its window" in err
    assert "extract with --clip whole, and train with it" in err
    code, _, err = sercache(*extract, "--clip", "split:3+whole")
    assert code == 2
    assert "pads to 2 s and takes no more at once, clip rule split:3+whole" in err
    assert "--clip split:2+whole" in err
    assert sercache(*extract, "--clip", "whole").code == 0
    code, _, err = sercache(*tuned, "--clip", "whole", "--name", "tuned")
    assert code == 0, err
    # Heads of a frozen encoder read the recording's frames alone, as from a cache without padding.
    for clip in ("none", "whole"):
        code, _, err = sercache(*train, "--frames", "--clip", clip, "--normalise", "none", "--name", clip)
        assert code == 0, err
    folder = tmp_path / "runs"
    reports = [run_folders.load(folder / name) for name in ("tuned", "none", "whole")]
    losses = [report.runs[0].history[-1]["train_loss"] for report in reports]
    assert losses[2] == pytest.approx(losses[1], rel=1e-5)
    for means in (["--pooled", "--normalise", "none"], ["--frames", "--normalise", "global"]):
        code, _, err = sercache(*train, "--clip", "whole", *means)
        assert code == 2
        assert "means of a cache of clip rule whole are over the encoder's padding" in err
    # On a card frames lie side by side as they are stored, and come back with their padding too.
    found = [stores.open(path.parents[1]) for path in (tmp_path / "cache").rglob("spec.json")]
    store = next(each for each in found if each.spec.clip == "whole")
    view = open_view(store, {"u3": 0, "u8": 0}, states="2", frames=True, max_frames=5)
    frames, rows = view.source.stored([0, 1]), np.arange(2)
    ended = torch.cat([frames, frames.new_zeros(1, 1, 24)], 1)
    for x, mask in (view.batch(rows), of_batch(view, rows, ended, None).batch(rows)):
        assert x.shape == (2, 1, 100, 24)
        assert bool(x[:, :, 99].any())
        assert mask.sum(1).tolist() == [5, 5]
        assert torch.equal(x, view.batch(rows)[0])
    # A recording that is predicted goes through whole windows as well.
    one = reports[0].runs[0]
    tested = next(each for each in reports[0].predictions if each.fold == one.fold)
    wave = corpus.parent / f"{tested.id.removeprefix('u')}.wav"
    predict = ["predict", folder / "tuned", wave, "--encoder", whisper, "--fold", one.fold, "--seed", "0"]
    code, said, err = sercache(*predict)
    assert code == 0, err
    own = dict(zip(reports[0].classes, tested.probabilities, strict=True))
    assert json.loads(said)["scores"] == pytest.approx(own, rel=1e-4)
    out = tmp_path / "trained"
    code, _, err = sercache(
        "export", folder / "tuned", "--out", out, "--encoder", whisper, "--fold", one.fold
    )
    assert code == 0, err
    before, after = (encoders.load(str(each)) for each in (whisper, out))
    olds, news = (dict(e.encode([noise(4000)], ["1", "2"])) for e in (before, after))
    assert torch.equal(olds["1"], news["1"])
    assert not torch.allclose(olds["2"], news["2"])


def test_lora_is_kept_small_continued_predicted_with_and_merged(
    sercache: Sercache, corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    where = ["--encoder", checkpoint, "--dataset", "manifest"]
    assert sercache("extract", *where, "--root", corpus, "--states", "1,3").code == 0
    train = ["train", "--head", "superb", *where, "--states", "3", "--protocol", "kfold:3", "--seeds", "1"]
    train += ["--set", "max-epochs=1", "--set", "lr=1e-2", "--set", "lora-rank=3", "--set", "lora-alpha=6"]
    train += ["--set", "layer-drop=0.5"]
    code, _, err = sercache(*train)
    assert code == 2
    assert "lora_rank and layer_drop are for an encoder that is trained" in err
    assert sercache(*train[:-6], "--finetune-from", "1", "--name", "whole").code == 0
    train += ["--finetune-from", "1"]
    code, _, err = sercache(*train, "--name", "once")
    assert code == 0, err
    assert sercache(*train, "--name", "parts", "--folds", "1").code == 0
    code, said, err = sercache(*train, "--name", "parts")
    assert code == 0, err
    whole, once, parts = (run_folders.load(tmp_path / "runs" / name) for name in ("whole", "once", "parts"))
    assert once.predictions == parts.predictions
    assert once.experiment.digest == parts.experiment.digest != whole.experiment.digest
    assert not {"lora_rank", "layer_drop"} & whole.experiment.recipe.keys()
    one = once.runs[0]
    path = run_folders.weights_path(tmp_path / "runs" / "once", one.fold, one.seed)
    weights = load_file(path)
    of_encoder = {name for name in weights if name.startswith("tail.")}
    assert of_encoder
    assert all(name.endswith((".down.weight", ".up.weight")) for name in of_encoder)
    assert once.n_parameters == sum(value.numel() for value in weights.values()) < whole.n_parameters / 2
    tested = next(each for each in once.predictions if each.fold == one.fold)
    wave = corpus.parent / f"{tested.id.removeprefix('u')}.wav"
    predict = ["predict", tmp_path / "runs" / "once", wave, "--encoder", checkpoint, "--fold", one.fold]
    code, said, err = sercache(*predict)
    assert code == 0, err
    own = dict(zip(once.classes, tested.probabilities, strict=True))
    assert json.loads(said)["scores"] == pytest.approx(own, rel=1e-4)
    # What was learned is merged: the exported folder is a checkpoint as any other, and gives what was tested.
    export = ["export", tmp_path / "runs" / "once", "--out", tmp_path / "merged", "--encoder", checkpoint]
    code, _, err = sercache(*export, "--fold", one.fold)
    assert code == 0, err
    before, after = encoders.load(str(checkpoint)), encoders.load(str(tmp_path / "merged"))
    olds, news = (dict(e.encode([noise(4000)], ["1", "3"])) for e in (before, after))
    assert torch.equal(olds["1"], news["1"])
    assert not torch.allclose(olds["3"], news["3"])


@pytest.mark.slow
def test_a_sweep_tries_ranks_and_how_far_down_to_train(
    sercache: Sercache, corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    where = ["--encoder", checkpoint, "--dataset", "manifest"]
    assert sercache("extract", *where, "--root", corpus, "--states", "1,2,3").code == 0
    sweep = ["sweep", "--head", "superb", *where, "--protocol", "leave-one-speaker-out", "--dev", "next"]
    sweep += ["--seeds", "1", "--set", "max-epochs=1", "--set", "lr=1e-2", "--grid", "states=3"]
    code, _, err = sercache(*sweep, "--finetune-from", "9", "--name", "none")
    assert code == 2
    assert "choose with --finetune-from, for example --finetune-from conv" in err
    ranks = [*sweep, "--finetune-from", "1", "--grid", "lora-rank=2,3", "--name", "ranks"]
    code, said, err = sercache(*ranks)
    assert code == 0, err
    assert "selected  states=3, lora_rank=" in said
    reports = [run_folders.load(path.parent) for path in (tmp_path / "runs" / "ranks").glob("*/report.json")]
    assert sorted(each.recipe["lora_rank"] for each in reports) == [2, 3]
    assert {each.setup["finetune_from"] for each in reports} == {"1"}
    assert {each.setup["normalise"] for each in reports} == {"none"}
    code, _, err = sercache(*sweep, "--grid", "finetune-from=none;2;1", "--name", "depth")
    assert code == 0, err
    reports = [run_folders.load(path.parent) for path in (tmp_path / "runs" / "depth").glob("*/report.json")]
    assert {each.setup["finetune_from"] for each in reports} == {None, "2", "1"}
    assert len({each.experiment.digest for each in reports}) == 3
    weights = {each.setup["finetune_from"]: each.n_parameters for each in reports}
    assert weights[None] < weights["2"] < weights["1"]


@pytest.mark.slow
def test_trains_the_encoder_of_every_input(
    sercache: Sercache, corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    other = save(tiny_model("wav2vec2-base"), tmp_path / "wav2vec2-tiny")
    for encoder in (checkpoint, other):
        where = ["--encoder", encoder, "--dataset", "manifest", "--root", corpus]
        assert sercache("extract", *where, "--states", "conv").code == 0
    train = ["train", "--head", "speaker-specific", "--encoder", checkpoint, "--dataset", "manifest"]
    train += ["--states", "3", "--beside", f"{other}:3:frames", "--protocol", "leave-one-speaker-out"]
    train += ["--option", "blocks=2", "--option", "second_input=frames", "--option", "speakers=2"]
    train += ["--clip", "none", "--set", "max-epochs=2", "--set", "second-weight=0.5", "--set", "lr=1e-3"]
    code, _, err = sercache(
        *train, "--finetune-from", "conv,conv", "--option", "configuration=arcface-fine-tuned"
    )
    assert code == 2
    assert "set configuration=all-fine-tuned" in err
    train += ["--option", "configuration=all-fine-tuned", "--name", "joint"]
    for text in ("conv,conv,conv", "conv,"):
        code, _, err = sercache(*train, "--finetune-from", text)
        assert code == 2
        assert "for each of 2 inputs" in err
    code, _, err = sercache(*train, "--finetune-from", "conv,conv")
    assert code == 0, err
    folder = tmp_path / "runs" / "joint"
    report = run_folders.load(folder)
    tails = [encoders.load_tail(str(encoder), "conv", ["3"]) for encoder in (checkpoint, other)]
    for k, tail in enumerate(tails, 1):
        n = sum(p.numel() for p in tail.parameters())
        assert f"{n:,} parameters of the encoder of input {k} are trained with the head" in report.deviations
    assert not any("stays frozen" in line for line in report.deviations)
    one = report.runs[0]
    weights = load_file(run_folders.weights_path(folder, one.fold, one.seed))
    for name, tail in zip(("tail.", "tail2."), tails, strict=True):
        was = {f"{name}{key}": value for key, value in tail.state_dict().items()}
        assert was.keys() == {key for key in weights if key.startswith(name)}
        moved = {key for key, value in was.items() if not torch.equal(weights[key], value)}
        assert any("feed_forward" in key for key in moved)
        assert any("attention" in key for key in moved)
    # Either encoder can be had of the run.
    for number, encoder in enumerate((checkpoint, other), 1):
        out = tmp_path / f"trained{number}"
        export = ["export", folder, "--out", out, "--fold", one.fold, "--input", str(number)]
        code, _, err = sercache(*export, "--encoder", encoder)
        assert code == 0, err
        before, after = encoders.load(str(encoder)), encoders.load(str(out))
        olds, news = (dict(e.encode([noise(4000)], ["conv", "3"])) for e in (before, after))
        assert torch.equal(olds["conv"], news["conv"])
        assert not torch.allclose(olds["3"], news["3"])
    code, _, err = sercache("export", folder, "--out", tmp_path / "none", "--fold", one.fold, "--input", "3")
    assert code == 2
    assert "has 2 inputs" in err


WAVES = [noise(n) for n in (5000, 3000, 7000)]


def stock_input(wave: np.ndarray) -> torch.Tensor:
    """(1, N), as the checkpoints want it."""
    return torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None]


@torch.no_grad()
def conv_view(model: Any, waves: list[np.ndarray]) -> ArrayView:
    """What a cache of the ``conv`` states holds."""
    items = [model.feature_extractor(stock_input(wave)).mT.numpy() for wave in waves]
    return ArrayView(items, np.arange(len(waves)) % 2)


@torch.no_grad()
def stock_states(model: Any, wave: np.ndarray, blocks: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, L, T, D) of the stock module over the audio alone, and its mask."""
    states = model(stock_input(wave), output_hidden_states=True).hidden_states
    x = torch.stack([states[k] for k in blocks], 1)
    return x, torch.ones(1, x.shape[2], dtype=torch.bool)


def test_outputs_from_the_cache_are_those_from_audio() -> None:
    model = tiny_model("wav2vec2-base")
    view = conv_view(model, WAVES)
    head_class = finetuned(superb.Head, [SpeechTail(model, "conv", ["2", "3"])], [True])
    head = build(head_class, view, 4, seed=0).eval()
    from_cache = predict(head, view)
    for k, wave in enumerate(WAVES):
        with torch.no_grad():
            alone = head.head(*stock_states(model, wave, (2, 3)))
        np.testing.assert_allclose(from_cache[k], alone[0].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trained", [(True, True), (True, False), (False, True)])
def test_outputs_of_two_encoders_from_the_cache_are_those_from_audio(trained: tuple[bool, bool]) -> None:
    models = tiny_model("wav2vec2-base"), tiny_model("hubert-base")
    views, tails = [], []
    for model, is_trained in zip(models, trained, strict=True):
        frozen = [stock_states(model, wave, (3,))[0][0].numpy() for wave in WAVES]
        views.append(conv_view(model, WAVES) if is_trained else ArrayView(frozen, np.array([0, 1, 0])))
        tails.append(SpeechTail(model, "conv", ["3"]) if is_trained else None)
    view = SideBySide(tuple(views))
    options = {"second_input": "frames", "configuration": "all-fine-tuned", "speakers": 2}
    head = build(finetuned(speaker_specific.Head, tails, [True, True]), view, 4, seed=0, **options).eval()
    assert any("stays frozen" in note for note in head.notes) == (not trained[1])
    start_centres(head, view, np.array([1, 0, 1]))
    from_cache = predict(head, view)
    with torch.no_grad():
        alone = [[stock_states(model, wave, (3,)) for model in models] for wave in WAVES]
        for k, ((x, mask), (speech, speech_mask)) in enumerate(alone):
            outputs = head.head((x, speech), (mask, speech_mask))
            np.testing.assert_allclose(from_cache[k], outputs[0].numpy(), rtol=1e-4, atol=1e-5)
        vectors = torch.cat([head.head.embed_speaker(*parts[1]) for parts in alone])
    expected = torch.stack([vectors[1], (vectors[0] + vectors[2]) / 2])
    torch.testing.assert_close(head.head.centres.centres, expected, rtol=1e-4, atol=1e-5)
    if trained == (True, True):
        x, mask = view.batch(np.arange(3))
        outputs, speakers = head.train()(x, mask)
        (outputs.square().sum() + speakers.square().sum()).backward()
        silent = [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()]
        assert [name for name in silent if "masked_spec_embed" not in name] == []


def test_each_input_starts_from_the_blocks_of_its_own_part() -> None:
    models = tiny_model("wav2vec2-base"), tiny_model("hubert-base")
    view = SideBySide(tuple(conv_view(model, WAVES) for model in models))
    tails = [SpeechTail(model, "conv", ["3"]) for model in models]
    options = {"second_input": "frames", "configuration": "all-fine-tuned", "blocks": 2, "speakers": 2}
    head = build(finetuned(speaker_specific.Head, tails, [True, True]), view, 4, seed=0, **options)
    parts = (attention_blocks.Head, {"blocks": 2}), (speaker_id.Head, {})
    earlier = []
    for k, (kind, own) in enumerate(parts):
        before = build(finetuned(kind, tails[k : k + 1], [True]), view.inputs[k], 4, seed=k + 1, **own)
        with torch.no_grad():
            for parameter in before.parameters():
                parameter.add_(0.1)
        earlier.append(before.state_dict())
    start(head, {"speaker": earlier[1], "emotion": earlier[0]})
    for tail, weights in zip((head.tail_of(0), head.tail_of(1)), earlier, strict=True):
        assert all(torch.equal(value, weights[f"tail.{name}"]) for name, value in tail.state_dict().items())
    assert torch.equal(head.head.speaker.mix.weight, earlier[1]["head.attend.mix.weight"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, (None, None)),
        ("conv", ("conv", None)),
        ("conv,conv", ("conv", "conv")),
        ("-, 6", (None, "6")),
        ("-", (None, None)),
    ],
)
def test_each_input_is_trained_from_the_state_named_for_it(
    given: str | None, expected: tuple[str | None, ...]
) -> None:
    setup = Setup("one", "talk", "all", "final", False, beside=("two:3",), finetune_from=given)
    assert setup.boundaries == expected
    read = [(own.encoder, own.cached_states, own.cached_frames) for own in inputs(setup)]
    assert read == [
        (name, boundary or states, boundary is not None)
        for name, states, boundary in zip(("one", "two"), ("final", "3"), expected, strict=True)
    ]
    if any(expected):
        with pytest.raises(RecipeError, match="set normalise=none"):
            dataclasses.replace(setup, normalise="global")
    else:
        assert dataclasses.replace(setup, normalise="global").normalise == "global"

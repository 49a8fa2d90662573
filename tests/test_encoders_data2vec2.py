"""data2vec 2.0 of audio, emotion2vec: every state against a plain reference, the owners' layouts, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data2vec2_helpers as d2v
import encoder_helpers as tiny
import pytest
import torch

from sercache import encoders
from sercache.encoders import data2vec2
from sercache.errors import EncoderError

BOUND = 2e-5


@pytest.mark.parametrize("variant", d2v.VARIANTS)
def test_every_state_is_the_reference_s_whatever_shares_the_batch(variant: str, tmp_path: Path) -> None:
    encoder = encoders.load(str(d2v.funasr(tmp_path / "m", variant)))
    waves = [tiny.noise(n, seed) for seed, n in enumerate((encoder.min_samples, 16_000, 5_321))]
    got = tiny.encode(encoder, waves)
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    assert n_frames[0] == 1
    conf = d2v.settings(variant)
    w = d2v.weights(conf)
    for k, wave in enumerate(waves):
        plain = d2v.states(conf, w, wave)
        assert tuple(plain) == encoder.states == tuple(got)
        for name, state in plain.items():
            assert tiny.error(got[name].split(n_frames)[k], state) < BOUND, (name, k)


def test_a_long_recording_is_looked_at_a_block_of_queries_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sercache.encoders.data2vec2._packed._BIAS_BYTES", 1)
    monkeypatch.setattr("sercache.encoders.data2vec2._packed._SMALLEST_BLOCK", 7)
    encoder = encoders.load(str(d2v.funasr(tmp_path / "m")))
    wave, conf = tiny.noise(16_000), d2v.settings("emotion2vec")
    plain = d2v.states(conf, d2v.weights(conf), wave)
    assert tiny.error(tiny.encode(encoder, [wave])["4"], plain["4"]) < BOUND


@pytest.mark.slow
def test_the_published_shape_is_the_reference_s(tmp_path: Path) -> None:
    conf = d2v.published(768, 12)
    encoder = encoders.load(str(d2v.funasr(tmp_path / "m", conf=conf)))
    wave, w = tiny.noise(8_000), d2v.weights(conf)
    assert tiny.error(tiny.encode(encoder, [wave], ["12"])["12"], d2v.states(conf, w, wave)["12"]) < BOUND


@pytest.mark.parametrize(("name", "dim", "heads"), [("base", 768, 12), ("large", 1024, 16)])
def test_sizes_are_those_of_the_published_tensors(name: str, dim: int, heads: int) -> None:
    about = encoders.card(f"emotion2vec-plus-{name}")
    n = sum(torch.Size(shape).numel() for _, shape in d2v.shapes(d2v.published(dim, heads)))
    assert (about.n_blocks, about.dim, about.n_parameters) == (12, dim, n)


def test_a_published_large_has_the_size_of_its_file() -> None:
    """model.pt of emotion2vec_plus_large, 1,945,790,254 bytes, holds weights, classifier and two moments of Adam."""
    n = (encoders.card("emotion2vec-plus-large").n_parameters or 0) + 9 * 1025
    assert 0 < 1_945_790_254 - 3 * 4 * n < 300_000


def test_emotion2vec_and_its_fine_tuned_kin_give_one_encoder(tmp_path: Path) -> None:
    """With decoder and teacher beside it, or with a prefix and a classifier: what gives the states is the same."""
    wave = tiny.noise(6_000)
    base, plus = (encoders.load(str(d2v.funasr(tmp_path / str(p), plus=p))) for p in (False, True))
    for name, state in tiny.encode(base, [wave]).items():
        assert torch.equal(tiny.encode(plus, [wave])[name], state)
    assert base.identity["weights_sha256"] != plus.identity["weights_sha256"]
    assert base.identity["config_sha256"] == plus.identity["config_sha256"]


@pytest.mark.parametrize("tuned", [False, True])
def test_a_file_of_fairseq_holds_its_configuration(tuned: bool, tmp_path: Path) -> None:
    encoder = encoders.load(str(d2v.fairseq(tmp_path / "m", tuned=tuned)))
    wave, conf = tiny.noise(6_000), d2v.settings("data2vec2")
    halved = {name: tensor.half().float() for name, tensor in d2v.weights(conf).items()}
    plain = d2v.states(conf, halved, wave)
    assert encoder.states == ("conv", "projection", "input", "1", "2", "3")
    assert tiny.error(tiny.encode(encoder, [wave])["3"], plain["3"]) < BOUND
    assert encoder.identity["preprocessing"] == {
        "sample_rate": 16_000,
        "do_normalize": True,
        "epsilon": 1e-5,
    }


def test_the_waveform_is_normalised_where_the_checkpoint_asks(tmp_path: Path) -> None:
    folder, conf = d2v.funasr(tmp_path / "m"), d2v.settings("emotion2vec")
    d2v.write_config(folder, conf, normalize=False)
    wave = tiny.noise(6_000)
    plain = d2v.states(conf, d2v.weights(conf), wave, normalize=False)
    assert tiny.error(tiny.encode(encoders.load(str(folder)), [wave])["4"], plain["4"]) < BOUND


def test_scales_of_before_they_could_differ_by_layer_are_read(tmp_path: Path) -> None:
    folder = d2v.funasr(tmp_path / "m")
    held = torch.load(folder / "model.pt", weights_only=True)
    name = f"d2v_model.{d2v.A}alibi_scale"
    held["model"][name] = held["model"][name][0]
    other = d2v.funasr(tmp_path / "older")
    torch.save(held, other / "model.pt", _use_new_zipfile_serialization=False)  # of PyTorch before 1.6
    wave = tiny.noise(6_000)
    newer, older = (tiny.encode(encoders.load(str(each)), [wave])["4"] for each in (folder, other))
    assert torch.equal(newer, older)


def test_the_weights_are_no_longer_those_of_the_file(tmp_path: Path) -> None:
    """What is written over a checkpoint while it is in use changes no feature."""
    folder = d2v.funasr(tmp_path / "m")
    encoder, wave = encoders.load(str(folder)), tiny.noise(6_000)
    before = tiny.encode(encoder, [wave])["4"]
    (folder / "model.pt").write_bytes(bytes((folder / "model.pt").stat().st_size))
    assert torch.equal(tiny.encode(encoder, [wave])["4"], before)


def edited(**changes: Any) -> Callable[[Path], None]:
    """Another config.yaml; names of both sections."""

    def write(folder: Path) -> None:
        conf = d2v.settings("emotion2vec")
        audio = conf["modalities"]["audio"]
        for name, value in changes.items():
            (audio if name in audio else conf)[name] = value
        d2v.write_config(folder, conf)

    return write


def resaved(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Other weights."""

    def write(folder: Path) -> None:
        held = torch.load(folder / "model.pt", weights_only=True)
        torch.save(change(held) or held, folder / "model.pt")

    return write


def paraformer(folder: Path) -> None:
    d2v.write_config(folder, {"encoder": "SANMEncoder"}, model="Paraformer")


class Code:
    """What a pickle would run."""

    def __reduce__(self) -> Any:
        return print, ("this ran",)


BLOCK = "d2v_model.blocks.1.attn.proj.weight"
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.yaml").unlink(), "or other file that says of what model model.pt is"),
    "no weights": (lambda f: (f / "model.pt").unlink(), "model.pt is missing; get model.pt of the same checkpoint"),
    "no weights named": (
        lambda f: [(f / name).unlink() for name in ("model.pt", "configuration.json")],
        "holds no weights, expected model.pt",
    ),
    "two files": (
        lambda f: [(f / "configuration.json").unlink(), (f / "other.pt").write_bytes(b"x")],
        "2 files that end in .pt",
    ),
    "half a file": (
        lambda f: (f / "model.pt").write_bytes((f / "model.pt").read_bytes()[:20_000]),
        "model.pt is cut short",
    ),
    "text": (lambda f: (f / "model.pt").write_text("not weights\n"), "no file that torch.save wrote"),
    "empty": (lambda f: (f / "model.pt").write_bytes(b""), "model.pt cannot be loaded"),
    "git-lfs": (
        lambda f: (f / "model.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        "git-LFS pointer",
    ),
    "a list": (resaved(lambda held: [1, 2]), "holds list, expected a checkpoint"),
    "code": (lambda f: torch.save({"model": Code()}, f / "model.pt"), "could run code, and is not loaded"),
    "another of FunASR's models": (paraformer, "is of FunASR's model 'Paraformer', expected Emotion2vec"),
    "weights of another model": (
        resaved(lambda held: {"model": {"encoder.x": torch.ones(1)}}),
        "it is no data2vec 2.0 of audio",
    ),
    "a tensor missing": (resaved(lambda held: held["model"].__delitem__(BLOCK)), "lacks .* 1 tensors, first blocks.1"),
    "too shallow a config": (edited(depth=1), "holds beside .* 12 tensors, first blocks.1"),
    "another shape": (edited(mlp_ratio=3.0), "its configuration says"),
    "not finite": (
        resaved(lambda held: held["model"].update({BLOCK: torch.full((24, 24), float("nan"))})),
        "not finite, first in blocks.1.attn.proj.weight",
    ),
    "whole numbers": (
        resaved(lambda held: held["model"].update({BLOCK: torch.ones(24, 24, dtype=torch.int8)})),
        "as torch.int8, expected floating-point",
    ),
    "pre-norm": (edited(layer_norm_first=True), "layer_norm_first True is not supported"),
    "learned bias": (edited(learned_alibi=True), "learned_alibi True is not supported"),
    "code as a spec": (edited(feature_encoder_spec="__import__('os')"), "expected lists of"),
    "a spec of a billion layers": (edited(feature_encoder_spec="[(1, 1, 1)] * 1000000000"), "expected lists of"),
    "text for a number": (edited(depth="many"), "depth must be int, got 'many'"),
    "no heads": (edited(num_heads=0), "num_heads is 0"),
    "heads that do not divide": (edited(num_heads=7), "no multiple of num_heads 7"),
    "no positions": (edited(conv_pos_depth=0), "conv_pos_depth is 0"),
    "no audio": (edited(modalities={"image": {}}), "no model of audio"),
    "no word on normalising": (
        lambda f: d2v.write_config(f, d2v.settings("emotion2vec"), normalize=None),
        "normalize is None, expected true or false",
    ),
    "no YAML": (lambda f: (f / "config.yaml").write_text("model: [\n"), "cannot be read as YAML"),
    "a name in config.yaml": (lambda f: (f / "config.yaml").write_text("hello\n"), "names no model"),
    "weights elsewhere": (
        lambda f: (f / "configuration.json").write_text(json.dumps({"file_path_metas": {"init_param": "../x.pt"}})),
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [name for name, (_, said) in REFUSED.items() if said])
def test_what_is_no_checkpoint_is_refused_in_a_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = d2v.funasr(tmp_path / "m")
    spoil, said = REFUSED[case]
    spoil(folder)
    with pytest.raises(EncoderError, match=said) as caught:
        encoders.load(str(folder))
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_weight_file_elsewhere_is_not_followed(tmp_path: Path) -> None:
    folder = d2v.funasr(tmp_path / "m")
    REFUSED["weights elsewhere"][0](folder)
    encoders.load(str(folder))  # the file in the folder is taken
    (folder / "model.pt").rename(tmp_path / "x.pt")
    with pytest.raises(EncoderError, match="no weights"):
        encoders.load(str(folder))
    (folder / "model.pt").symlink_to(tmp_path / "x.pt")
    with pytest.raises(EncoderError, match="link out of the checkpoint's folder"):
        encoders.load(str(folder))


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"model": {"_name": "data2vec_audio"}}, "'data2vec_audio', expected data2vec_multi"),
        ({"model": {"_name": "data2vec_multi"}}, "no modalities.audio"),
        ({}, "expected data2vec_multi"),
    ],
)
def test_another_model_of_fairseq_is_refused(cfg: dict[str, Any], said: str, tmp_path: Path) -> None:
    torch.save({"cfg": cfg, "model": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(EncoderError, match=said):
        encoders.load(str(tmp_path))


def test_a_revision_of_a_folder_and_a_name_on_no_hub_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="has no --revision"):
        encoders.load(str(d2v.funasr(tmp_path / "m")), revision="main")
    with pytest.raises(EncoderError, match="put its file into a folder called data2vec2-audio-base"):
        encoders.load("data2vec2-audio-base")


def test_a_hub_id_and_its_short_name_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repositories of emotion2vec hold no config.json; what is in the cache is loaded without a network."""
    commit = "6c303ba987b86b93193de93e34bb2b077a6bedc4"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--emotion2vec--emotion2vec_plus_large"
    d2v.funasr(home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    named = [encoders.load(n) for n in ("emotion2vec/emotion2vec_plus_large", "emotion2vec-plus-large")]
    for each in (*named, encoders.load("emotion2vec_plus_large", revision=commit)):
        assert each.identity["source"] == "emotion2vec/emotion2vec_plus_large"
        assert each.identity["revision"] == commit
    assert [each.name for each in named] == ["emotion2vec/emotion2vec_plus_large", "emotion2vec-plus-large"]
    with pytest.raises(EncoderError, match="emotion2vec/emotion2vec_base is not on this machine"):
        encoders.load("emotion2vec-base")


def test_folders_of_other_families_stay_theirs(tmp_path: Path) -> None:
    for name in ("config.json", "train.yaml"):
        folder = d2v.funasr(tmp_path / name)
        (folder / name).write_text("{}")
        assert not data2vec2.owns(folder)
    folder = tmp_path / "none"
    folder.mkdir()
    assert not data2vec2.owns(folder)
    (folder / "config.yaml").write_text("pipeline:\n  name: another tool's\nmodel:\n  _target_: x.Y\n")
    assert not data2vec2.owns(folder)
    for text in (
        "model: Paraformer\n",
        "# network\n'model': \"Paraformer\"  # ours\n",
        '{"model": "Emotion2vec", "x": {}}',
    ):
        (folder / "config.yaml").write_text(text)
        assert data2vec2.owns(folder)  # and says which it is

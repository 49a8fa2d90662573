"""WeNet checkpoints: both layouts of train.yaml, every state against a plain reference, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import pytest
import torch
import wenet_helpers as wenet
import yaml
from test_encoders_features import kaldi_fbank

from sercache import encoders
from sercache.encoders.wenet import _config
from sercache.encoders.wenet._conformer import Conformer
from sercache.errors import EncoderError

BOUND = 2e-5


def expected(model: wenet.Reference, wave: Any) -> dict[str, torch.Tensor]:
    mean, istd, _ = wenet.statistics()
    fbank = torch.tensor(kaldi_fbank(wave), dtype=torch.float32)
    return model(fbank, mean, istd)


@pytest.mark.parametrize("variant", wenet.VARIANTS)
def test_every_state_is_the_reference_s_whatever_shares_the_batch(variant: str, tmp_path: Path) -> None:
    folder, model = wenet.write(tmp_path / "m", variant)
    encoder = encoders.load(str(folder))
    waves = [tiny.noise(n, seed) for seed, n in enumerate((encoder.min_samples, 16_000, 9_000))]
    got = tiny.encode(encoder, waves)
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    assert n_frames[0] == 1
    for k, wave in enumerate(waves):
        plain = expected(model, wave)
        assert tuple(plain) == encoder.states == tuple(got)
        for name, state in plain.items():
            # Filterbanks of two implementations differ by rounding, which large random weights amplify.
            assert tiny.error(got[name].split(n_frames)[k], state) < 2e-3, (name, k)


@pytest.mark.parametrize("variant", wenet.VARIANTS)
def test_the_forward_pass_is_the_reference_s_to_rounding(variant: str, tmp_path: Path) -> None:
    folder, model = wenet.write(tmp_path / "m", variant)
    encoder: Any = encoders.load(str(folder))
    mean, istd, _ = wenet.statistics()
    fbanks = [12 + 3 * torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in (40, 157)]
    with torch.no_grad():
        got = {name: x.clone() for name, x in encoder._model(fbanks)}
    plain = [model(fbank, mean, istd) for fbank in fbanks]
    for name in encoder.states:
        assert tiny.error(got[name], torch.cat([states[name] for states in plain])) < BOUND, name


@pytest.mark.parametrize("style", ["newer", "older"])
@pytest.mark.parametrize("cmvn", ["in checkpoint", "json", "kaldi"])
def test_layouts_and_places_of_the_statistics_give_one_encoder(style: str, cmvn: str, tmp_path: Path) -> None:
    plain = encoders.load(str(wenet.write(tmp_path / "plain")[0]))
    other = encoders.load(str(wenet.write(tmp_path / "other", style=style, cmvn=cmvn)[0]))
    wave = tiny.noise(12_000)
    for name, state in tiny.encode(plain, [wave]).items():
        assert tiny.error(tiny.encode(other, [wave])[name], state) < BOUND, name
    assert other.identity["source"] == "local: other"
    assert other.identity["family"] == "wenet"


def test_a_model_without_statistics_gets_none(tmp_path: Path) -> None:
    folder, model = wenet.write(tmp_path / "m", cmvn="json")
    change(folder, cmvn=None)
    wave = tiny.noise(8_000)
    fbank = torch.tensor(kaldi_fbank(wave), dtype=torch.float32)
    plain = model(fbank, torch.zeros(80), torch.ones(80))
    assert tiny.error(tiny.encode(encoders.load(str(folder)), [wave])["1"], plain["1"]) < 2e-3


def test_long_audio_passes_the_subsampling_in_stretches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.encoders.wenet import _conformer

    for variant in ("paper-era", "conv2d6", "conv2d8"):
        folder, _ = wenet.write(tmp_path / variant, variant)
        encoder = encoders.load(str(folder))
        wave = tiny.noise(40_000)
        monkeypatch.setattr(_conformer, "_CHUNK", 10_000)
        whole = tiny.encode(encoder, [wave], ["input"])["input"]
        monkeypatch.setattr(_conformer, "_CHUNK", 7)
        assert tiny.error(tiny.encode(encoder, [wave], ["input"])["input"], whole) < BOUND


PUBLISHED = {
    "gigaspeech conformer_bidecoder": ({}, 83_231_744),
    "gigaspeech conformer": ({"input_layer": "conv2d6"}, 85_591_040),
    "gigaspeech u2++": (
        {"input_layer": "conv2d6", "cnn_module_kernel": 8, "causal": True, "use_dynamic_chunk": True},
        85_449_728,
    ),
    "librispeech conformer": (
        {"output_size": 256, "attention_heads": 4, "cnn_module_kernel": 15, "cnn_module_norm": "batch_norm"},
        33_464_832,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_their_number_of_parameters(name: str, tmp_path: Path) -> None:
    changes, n_parameters = PUBLISHED[name]
    large = {"output_size": 512, "attention_heads": 8, "linear_units": 2048, "num_blocks": 12}
    conf = wenet.SMALL | large | {"cnn_module_kernel": 31} | changes
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({"encoder": "conformer", "encoder_conf": conf}))
    config = _config.read(tmp_path / "train.yaml").conformer
    with torch.device("meta"):
        model = Conformer(config, has_cmvn=True)
    assert sum(p.numel() for p in model.parameters()) == n_parameters
    assert config.n_frames(498) == (82 if conf["input_layer"] == "conv2d6" else 123)


def change(folder: Path, **settings: Any) -> None:
    """Change train.yaml: ``encoder_conf`` where it has the name, the root otherwise."""
    root = yaml.safe_load((folder / "train.yaml").read_text())
    for name, value in settings.items():
        (root if name in root else root["encoder_conf"])[name] = value
    (folder / "train.yaml").write_text(yaml.safe_dump(root))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"encoder": "squeezeformer"}, "encoder 'squeezeformer' is not supported, expected conformer"),
        ({"selfattention_layer_type": "selfattn"}, "selfattention_layer_type 'selfattn' is not supported"),
        ({"pos_enc_layer_type": "abs_pos"}, "expected 'rel_pos'"),
        ({"input_layer": "linear"}, "unknown input_layer 'linear'"),
        ({"cnn_module_norm": "rms_norm"}, "unknown cnn_module_norm"),
        ({"activation_type": "snake"}, "unknown activation_type"),
        ({"outptu_size": 3}, "did you mean output_size"),
        ({"cnn_module_kernel": 8}, "must be odd"),
        ({"attention_heads": 3}, "no multiple of attention_heads"),
        ({"num_blocks": "many"}, "num_blocks must be int, got 'many'"),
        ({"causal": 1}, "causal must be bool"),
        ({"num_blocks": 4}, "lacks the encoder of train.yaml"),
        ({"num_blocks": 2}, "holds beside the encoder of train.yaml"),
        ({"linear_units": 25}, "has shape"),
        ({"dataset_conf": {"fbank_conf": {"frame_shift": 20}}}, "frame_shift 20 is not supported"),
        ({"dataset_conf": {"resample_conf": {"resample_rate": 8000}}}, "at 8000 Hz"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_in_one_line(
    settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    folder, _ = wenet.write(tmp_path / "m")
    change(folder, **settings)
    with pytest.raises(EncoderError, match=says) as caught:
        encoders.load(str(folder))
    assert "\n" not in str(caught.value)


def test_broken_files_are_refused_in_one_line(tmp_path: Path) -> None:
    folder, _ = wenet.write(tmp_path / "m", cmvn="json")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, content, says in (
        ("train.yaml", b"encoder: [", "cannot be read as YAML"),
        ("train.yaml", b"- 1\n", "no encoder_conf"),
        ("train.yaml", b"\xff\xfe", "cannot be read as YAML"),
        ("train.yaml", b"encoder_conf: !!python/object/apply:os.getcwd []\n", "cannot be read as YAML"),
        ("final.pt", whole["final.pt"][:1000], "cannot be loaded"),
        ("final.pt", b"version https://git-lfs.github.com/spec/v1\n", "cannot be loaded"),
        ("final.pt", None, "is missing"),
        ("global_cmvn", b"{}", "no statistics as JSON"),
        ("global_cmvn", None, "is missing"),
    ):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(EncoderError, match=says) as caught:
            encoders.load(str(folder))
        assert "\n" not in str(caught.value)
        (folder / name).write_bytes(whole[name])
    encoders.load(str(folder))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder, _ = wenet.write(tmp_path / "m")
    tensors = torch.load(folder / "final.pt", weights_only=True)
    tensors["encoder.after_norm.weight"][3] = float("nan")
    torch.save(tensors, folder / "final.pt")
    with pytest.raises(EncoderError, match=r"first in after_norm\.weight"):
        encoders.load(str(folder))


def test_the_identity_is_of_weights_settings_and_statistics(tmp_path: Path) -> None:
    folder, _ = wenet.write(tmp_path / "m", cmvn="json")
    before = encoders.identify(str(folder))
    change(folder, norm_eps=1e-12)
    assert encoders.load(str(folder)).identity["config_sha256"] != before["config_sha256"]
    (folder / "global_cmvn").write_text((folder / "global_cmvn").read_text() + " ")
    assert encoders.identify(str(folder))["cmvn_sha256"] != before["cmvn_sha256"]
    with pytest.raises(EncoderError, match="no --revision"):
        encoders.load(str(folder), revision="main")


def test_half_precision_stays_near(tmp_path: Path) -> None:
    folder, _ = wenet.write(tmp_path / "m")
    wave = tiny.noise(16_000)
    exact = tiny.encode(encoders.load(str(folder)), [wave])["1"]
    encoder = encoders.load(str(folder), precision="bfloat16")
    assert encoder.identity["precision"] == "bfloat16"
    assert tiny.error(tiny.encode(encoder, [wave])["1"].float(), exact) < 0.3


def test_names_of_the_papers_checkpoints_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        EncoderError, match=r"20210811_conformer_bidecoder .*on no hub: unpack it into a folder"
    ):
        encoders.load("wenet-gigaspeech")
    wenet.write(tmp_path / "wenet-gigaspeech")
    assert encoders.load("wenet-gigaspeech").identity["source"] == "local: wenet-gigaspeech"
    assert encoders.load(str(tmp_path / "wenet-gigaspeech")).name == "wenet-gigaspeech"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_blocks": 10**8}, "num_blocks is 100000000, expected a whole number from 1 to 1000"),
        ({"num_blocks": -1}, "num_blocks is -1"),
        ({"attention_heads": 0}, "attention_heads is 0"),
        ({"output_size": 0}, "output_size is 0"),
        ({"norm_eps": float("nan")}, "norm_eps is nan"),
        ({"cnn_module_kernel": 10**9}, "cnn_module_kernel is 1000000000"),
    ],
    ids=str,
)
def test_numbers_that_no_conformer_has(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"encoder_conf": changes}), encoding="utf-8")
    with pytest.raises(EncoderError) as caught:
        _config.read(path)
    assert says in str(caught.value)
    path.write_text(yaml.safe_dump({"input_dim": "x", "encoder_conf": {"num_blocks": 2}}), encoding="utf-8")
    with pytest.raises(EncoderError, match="input_dim must be int"):
        _config.read(path)

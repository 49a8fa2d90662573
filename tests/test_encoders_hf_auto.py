"""Checkpoints that no family knows: exact where they fit, refused in one line where they do not."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import auto_helpers as auto
import encoder_helpers as tiny
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sercache import encoders
from sercache.encoders import hf_auto
from sercache.encoders.hf_auto import _probe
from sercache.encoders.hf_auto._probe import FrameCount
from sercache.errors import EncoderError

BOUND = 2e-5
LENGTHS = (2_600, 16_000, 5_321, 30_000, 16_000)


# What LASR's feature extractor says of its own defaults.
pytestmark = pytest.mark.filterwarnings(
    "ignore:At least one mel filter:UserWarning", "ignore:Using padding=:UserWarning"
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: auto.save(name, tmp_path_factory.mktemp(name)) for name in auto.CONFIGS}


@pytest.mark.parametrize("name", auto.CONFIGS)
def test_blocks_are_those_of_the_stock_module_alone(name: str, folders: dict[str, Path]) -> None:
    encoder = encoders.load(str(folders[name]))
    assert encoder.min_samples < 2_400
    assert encoder.identity["family"] == "hf-auto"
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folders[name])
    module = auto.model(name)
    waves = [tiny.noise(n, n + k) for k, n in enumerate(LENGTHS)]
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    got = {state: x.split(n_frames) for state, x in tiny.encode(encoder, waves).items()}
    for k, wave in enumerate(waves):
        for number, expected in enumerate(auto.stock_blocks(module, extractor, wave)):
            state = str(number) if number else "input"
            assert tiny.error(got[state][k], expected[: n_frames[k]]) <= BOUND, (state, len(wave))


def test_waves_of_one_length_share_a_batch(folders: dict[str, Path]) -> None:
    encoder = encoders.load(str(folders["sew"]))
    assert encoder.together
    sizes: list[int] = []
    encoder._layers[0].register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    tiny.encode(encoder, [tiny.noise(n, k) for k, n in enumerate((8_000, 5_000, 8_000, 6_000, 8_000))])
    assert sizes == [3, 1, 1]


def test_waves_run_singly_where_company_counts(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = transformers.SEWModel
    forward = kind.forward

    def leaking(self: Any, input_values: torch.Tensor, **named: Any) -> Any:
        return forward(self, input_values + input_values.mean(0), **named)

    monkeypatch.setattr(kind, "forward", leaking)
    encoder = encoders.load(str(folders["sew"]))
    assert not encoder.together
    waves = [tiny.noise(8_000, seed) for seed in range(3)]
    (packed,) = tiny.encode(encoder, waves, ["2"]).values()
    for part, wave in zip(packed.split(encoder.n_frames(8_000)), waves, strict=True):
        assert torch.equal(part, tiny.encode(encoder, [wave], ["2"])["2"])


def test_a_sew_block_has_a_frame_for_two_of_its_convolutions(folders: dict[str, Path]) -> None:
    encoder = encoders.load(str(folders["sew"]))
    assert encoder.hop == 320
    assert encoder.states == ("input", "1", "2", "3")  # what it gives in the end has twice as many frames


@pytest.mark.parametrize("name", ["seamless", "seamless-v2"])
def test_of_a_translator_the_speech_encoder_alone_is_read(
    name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = transformers.AutoModel.from_pretrained(folders[name], output_loading_info=True)
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", None)
    alone: Any = encoders.load(str(folders[name]))
    expected = whole.speech_encoder.state_dict()
    assert alone._model.state_dict().keys() == expected.keys()
    assert all(torch.equal(x, expected[key]) for key, x in alone._model.state_dict().items())


@pytest.mark.slow
def test_mimi_gives_the_blocks_before_its_codes(tmp_path: Path) -> None:
    model = tiny.shake(transformers.MimiModel(transformers.MimiConfig(**auto._MIMI)))
    model.save_pretrained(tmp_path)
    transformers.EncodecFeatureExtractor(sampling_rate=24_000).save_pretrained(tmp_path)
    encoder = encoders.load(str(tmp_path))
    assert (encoder.sample_rate, encoder.hop, encoder.states) == (24_000, 960, ("input", "1", "2"))
    wave = tiny.noise(30_000)
    with torch.no_grad():
        x = model.encoder.encoder_seanet(torch.tensor(wave)[None, None]).transpose(1, 2)
        last = model.encoder.encoder_transformer(x)[0][0]
    got = tiny.encode(encoder, [tiny.noise(9_000), wave])
    assert tiny.error(got["input"][-len(last) :], x[0]) <= BOUND
    assert tiny.error(got["2"][-len(last) :], last) <= BOUND


@pytest.mark.parametrize(
    ("rate_of", "first", "hop"), [("floor", 400, 320), ("ceil", 1, 160), ("pairs", 560, 320)]
)
def test_frame_counts_are_found(rate_of: str, first: int, hop: int) -> None:
    count = {
        "floor": lambda n: (n - 400) // 320 + 1,
        "ceil": lambda n: -(-n // 160),
        "pairs": lambda n: ((n - 400) // 160 + 1) // 2,
    }[rate_of]
    found = FrameCount(count, 16_000, "it")
    assert (found.first, found.hop) == (first, hop)
    assert [found(n) for n in (0, first - 1, first, first + hop)] == [0, 0, 1, 2]
    assert found.shortest(lambda n: n >= 1000) == first + -(-(1000 - first) // hop) * hop


@pytest.mark.parametrize(
    ("count", "says"),
    [(lambda n: 1500, "one length"), (lambda n: n // 320 + n // 20_000, "not constant")],
)
def test_frame_counts_that_do_not_follow_the_recording_are_refused(count: Any, says: str) -> None:
    with pytest.raises(EncoderError, match=says):
        FrameCount(count, 16_000, "it")


def test_nothing_short_enough_is_said() -> None:
    with pytest.raises(EncoderError, match="cannot be run"):
        FrameCount(lambda n: n // 320, 16_000, "it").shortest(lambda n: False)


# What does not fit


def refused(folder: Path) -> str:
    with pytest.raises(EncoderError) as caught:
        encoders.load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def checkpoint(folder: Path, config: Any, extractor: Any) -> Path:
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def test_a_model_of_fixed_windows_is_refused(tmp_path: Path) -> None:
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_length=64
    )
    with warnings.catch_warnings():  # of the stock extractor about its own settings
        warnings.simplefilter("ignore")
        folder = checkpoint(tmp_path, config, transformers.ASTFeatureExtractor(max_length=64))
    with pytest.raises(EncoderError, match="pads or cuts recordings to one length"):
        hf_auto.load(str(folder), revision=None, device="cpu", precision="float32")


def test_a_model_without_blocks_is_refused(tmp_path: Path) -> None:
    config = transformers.EncodecConfig(
        num_filters=4, hidden_size=8, codebook_dim=8, upsampling_ratios=[8, 4]
    )
    message = refused(checkpoint(tmp_path, config, transformers.EncodecFeatureExtractor()))
    assert "EncodecModel" in message


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=5)
    message = refused(checkpoint(tmp_path, config, transformers.Wav2Vec2FeatureExtractor()))
    assert "GPT2Model cannot be run on a waveform" in message


def test_a_model_type_without_a_feature_extractor_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=5)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    assert "model_type 'gpt2', expected one of" in refused(tmp_path)
    shutil.copytree(folders["sew"], tmp_path / "bare")
    (tmp_path / "bare" / "preprocessor_config.json").unlink()
    assert "has no preprocessor_config.json" in refused(tmp_path / "bare")


def test_code_that_comes_with_a_checkpoint_is_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["sew"], tmp_path / "own"))
    (folder / "modeling_own.py").write_text("raise SystemExit('run')")
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "own"}
    config["auto_map"] = {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    assert "'own', which this release of transformers does not know" in refused(folder)


def test_a_feature_extractor_that_does_not_exist_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["sew"], tmp_path / "sew"))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"feature_extractor_type": "NoSuchExtractor"})
    )
    assert "cannot be made" in refused(folder)


def test_other_numbers_each_time_are_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = transformers.SEWModel
    forward = kind.forward

    def drifting(self: Any, input_values: torch.Tensor, **named: Any) -> Any:
        return forward(self, input_values + 1e-3 * torch.randn(input_values.shape), **named)

    monkeypatch.setattr(kind, "forward", drifting)
    assert "other numbers each time" in refused(folders["sew"])


def test_values_that_are_not_finite_are_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = transformers.SEWModel
    forward = kind.forward
    monkeypatch.setattr(
        kind, "forward", lambda self, input_values, **named: forward(self, input_values / 0, **named)
    )
    assert "cannot be run on recordings" in refused(folders["sew"])


@pytest.mark.parametrize("name", ["sew", "seamless"])
def test_a_missing_tensor_is_never_made_up(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copytree(folders[name], tmp_path / name)) / "model.safetensors"
    tensors = load_file(path)
    gone = next(
        key for key in sorted(tensors) if "layers.1" in key and "encoder" in key and "norm.weight" in key
    )
    if name == "seamless":
        gone = next(key for key in sorted(tensors) if key.startswith("speech_encoder.encoder.layers.1.ffn"))
    save_file({k: v for k, v in tensors.items() if k != gone}, path, metadata={"format": "pt"})
    assert "lacks 1 tensors" in refused(path.parent)


def test_a_wave_that_the_model_does_not_take_is_named(folders: dict[str, Path]) -> None:
    encoder = encoders.load(str(folders["sew"]))

    def short(*_: Any) -> None:
        raise IndexError("index out of range in self")

    encoder._layers[1].register_forward_hook(short)
    with pytest.raises(EncoderError, match=r"does not take a wave of 9000 samples .*--clip split"):
        tiny.encode(encoder, [tiny.noise(9_000)])


def test_differences_are_relative_to_the_size_of_a_state() -> None:
    expected = torch.full((3, 4), 100.0)
    assert _probe.distance(expected + 1, expected) == pytest.approx(0.01)
    assert _probe.distance(expected[:2], expected) == float("inf")
    assert _probe.distance(expected * float("nan"), expected) == float("inf")
    assert np.array_equal(_probe.noise(9), _probe.noise(9))

"""Whisper: whole windows, the frames that an utterance reaches into, the encoder's weights alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sercache import encoders
from sercache.errors import EncoderError

BOUND = 2e-5


@pytest.mark.parametrize("kind", ["WhisperForConditionalGeneration", "WhisperModel"])
def test_every_state_is_that_of_the_stock_encoder(tmp_path: Path, kind: str) -> None:
    folder = tiny.tiny_whisper(tmp_path, kind=kind)
    stock = getattr(transformers, kind).from_pretrained(folder).eval().get_encoder()
    encoder = encoders.load(str(folder))
    assert (encoder.hop, encoder.max_samples, encoder.min_samples) == (320, 32_000, 1)
    waves = [tiny.noise(n, n) for n in (1, 320, 321, 15_000, 32_000)]
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    assert n_frames == [1, 1, 2, 47, 100]
    got = tiny.encode(encoder, waves)
    assert list(got) == ["input", "1", "2", "3", "final"]
    for k, wave in enumerate(waves):
        for name, expected in tiny.stock_whisper_states(stock, folder, wave).items():
            assert tiny.error(got[name].split(n_frames)[k], expected[: n_frames[k]]) <= BOUND, name


def test_what_lies_above_the_last_state_is_not_computed(tmp_path: Path) -> None:
    encoder: Any = encoders.load(str(tiny.tiny_whisper(tmp_path)))
    calls: list[int] = []
    for number, block in enumerate(encoder._model.layers, start=1):
        block.register_forward_hook(lambda *_, number=number: calls.append(number))
    tiny.encode(encoder, [tiny.noise(4_000)], ["1"])
    assert calls == [1]


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    folder = tiny.tiny_whisper(tmp_path)
    path = folder / "model.safetensors"
    halved = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(halved, path, metadata={"format": "pt"})
    encoder = encoders.load(str(folder))
    got = tiny.encode(encoder, [tiny.noise(9_000)])
    assert got["final"].dtype == torch.float32
    stock = transformers.WhisperModel.from_pretrained(folder, dtype=torch.float32).eval().get_encoder()
    expected = tiny.stock_whisper_states(stock, folder, tiny.noise(9_000))["3"][:29]
    assert tiny.error(got["3"], expected) <= BOUND


def test_a_missing_tensor_of_the_encoder_is_refused_and_one_of_the_decoder_is_not(tmp_path: Path) -> None:
    folder = tiny.tiny_whisper(tmp_path)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    encoder_only = {name: tensor for name, tensor in tensors.items() if ".encoder." in name}
    assert len(encoder_only) < len(tensors)
    save_file(encoder_only, path, metadata={"format": "pt"})
    encoders.load(str(folder))
    del encoder_only["model.encoder.layers.1.fc1.weight"]
    save_file(encoder_only, path, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lacks 1 tensors of whisper: layers\.1\.fc1\.weight"):
        encoders.load(str(folder))


def test_an_old_torch_file_loads(tmp_path: Path) -> None:
    folder = tiny.tiny_whisper(tmp_path)
    wave = [tiny.noise(5_000)]
    expected = tiny.encode(encoders.load(str(folder)), wave)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    for name, packed in tiny.encode(encoders.load(str(folder)), wave).items():
        assert torch.equal(packed, expected[name])


def test_a_checkpoint_without_preprocessor_takes_the_usual_settings(tmp_path: Path) -> None:
    folder = tiny.tiny_whisper(tmp_path)
    expected = tiny.encode(encoders.load(str(folder)), [tiny.noise(5_000)])
    (folder / "preprocessor_config.json").unlink()
    encoder = encoders.load(str(folder))
    assert "default" in encoder.identity["preprocessing"]["from"]
    assert torch.equal(tiny.encode(encoder, [tiny.noise(5_000)])["final"], expected["final"])


def test_a_preprocessor_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = tiny.tiny_whisper(tmp_path)
    transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    with pytest.raises(EncoderError, match=r"makes 80 mel bins, config\.json takes 12"):
        encoders.load(str(folder))


@pytest.fixture(scope="module")
def tiny_en() -> Any:
    root = os.environ.get("SERCACHE_REAL_DATA")
    if not root:
        pytest.skip("SERCACHE_REAL_DATA names no folder with whisper-tiny-en and emodb")
    return encoders.load(str(Path(root) / "whisper-tiny-en"))


@pytest.mark.real_data
def test_the_real_encoder_has_its_shape_and_finite_states(tiny_en: Any) -> None:
    assert tiny_en.states == ("input", "1", "2", "3", "4", "final")
    assert set(tiny_en.dims.values()) == {384}
    assert (tiny_en.sample_rate, tiny_en.hop, tiny_en.max_samples) == (16_000, 320, 480_000)
    for packed in tiny.encode(tiny_en, [tiny.noise(16_001)]).values():
        assert packed.shape == (51, 384)
        assert packed.dtype == torch.float32
        assert bool(packed.isfinite().all())


@pytest.mark.real_data
def test_a_silent_tail_adds_frames_and_leaves_those_of_the_speech(tiny_en: Any) -> None:
    """The window is padded with zeros anyway: frames are cut to what was given, and agree where both speak."""
    speech = tiny.noise(24_000)
    padded = np.concatenate([speech, np.zeros(8_000, np.float32)])
    alone, longer = (tiny.encode(tiny_en, [wave]) for wave in (speech, padded))
    for name in tiny_en.states:
        assert (len(alone[name]), len(longer[name])) == (75, 100)
        assert tiny.error(longer[name][:75], alone[name]) <= BOUND, name

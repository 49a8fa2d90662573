"""Checkpoints in the layout in which the hub has them: heads of their own around a known encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Model, Wav2Vec2PreTrainedModel

from sercache import encoders

BOUND = 2e-5
LENGTHS = (400, 5_321, 16_000)


class Dimensions(Wav2Vec2PreTrainedModel):
    """Arousal, dominance, valence: the class on the model card of audEERING's dimensional model."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.wav2vec2 = Wav2Vec2Model(config)
        self.classifier = nn.Module()
        self.classifier.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier.out_proj = nn.Linear(config.hidden_size, 3)
        self.post_init()


def check(folder: Path, model: Any, names: tuple[str, ...]) -> Any:
    """The encoder of a folder, with the states of the stock ``model``."""
    encoder = encoders.load(str(folder))
    assert encoder.identity["family"] == "hf-speech"
    assert encoder.states == names
    waves = [tiny.noise(n, n) for n in LENGTHS]
    n_frames = [encoder.n_frames(n) for n in LENGTHS]
    got = tiny.encode(encoder, waves)
    for k, wave in enumerate(waves):
        for state, expected in tiny.stock_states(model, wave).items():
            assert tiny.error(got[state].split(n_frames)[k], expected) <= BOUND, (state, k)
    return encoder


def test_the_dimensional_model_gives_its_twelve_blocks(tmp_path: Path) -> None:
    """audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim: a large model pruned to 12 blocks."""
    _, large = tiny.CONFIGS["wav2vec2-large"]
    config = transformers.Wav2Vec2Config(**(tiny._SMALL | large | {"num_hidden_layers": 12}))
    model = tiny.shake(Dimensions(config))
    folder = tiny.save(model, tmp_path)
    tops = {key.split(".")[0] for key in load_file(folder / "model.safetensors")}
    assert tops == {"wav2vec2", "classifier"}
    check(folder, model.wav2vec2, ("conv", "projection", "input", *map(str, range(1, 13)), "final"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("HubertForSequenceClassification", "hubert-base"),
        ("HubertForSequenceClassification", "hubert-large"),
        ("Wav2Vec2ForSequenceClassification", "wav2vec2-base"),
        ("Wav2Vec2ForSequenceClassification", "wav2vec2-large"),
        ("UniSpeechSatForXVector", "unispeech-sat-base"),
    ],
)
def test_a_classifier_over_weighted_layers_gives_its_encoder(tmp_path: Path, kind: str, name: str) -> None:
    """superb/*-superb-er: layer weights, a projector and a classifier beside the encoder."""
    config = tiny.tiny_config(name)
    config.use_weighted_layer_sum = True
    model = tiny.shake(getattr(transformers, kind)(config), seed=3)
    folder = tiny.save(model, tmp_path)
    assert "layer_weights" in load_file(folder / "model.safetensors")
    closing = ("final",) if name.endswith("large") else ()
    check(folder, model.base_model, ("conv", "projection", "input", "1", "2", "3", *closing))


def test_an_mms_checkpoint_keeps_the_adapters_of_its_blocks(tmp_path: Path) -> None:
    """facebook/mms-1b-all: a small layer in every block, of the language in model.safetensors."""
    _, large = tiny.CONFIGS["wav2vec2-large"]
    config = transformers.Wav2Vec2Config(**(tiny._SMALL | large | {"adapter_attn_dim": 6}))
    model = tiny.shake(transformers.Wav2Vec2ForCTC(config))
    folder = tiny.save(model, tmp_path)
    check(folder, model.wav2vec2, ("conv", "projection", "input", "1", "2", "3", "final"))
    path = folder / "model.safetensors"
    tensors = {
        key: torch.zeros_like(x) if "adapter_layer" in key else x for key, x in load_file(path).items()
    }
    save_file(tensors, path, metadata={"format": "pt"})
    wave = [tiny.noise(5_000)]
    plain = tiny.encode(encoders.load(str(folder)), wave, ["1"])["1"]
    with torch.no_grad():
        expected = tiny.stock_states(model.wav2vec2, wave[0])["1"]
    assert tiny.error(plain, expected) > 1e-2


def test_distilhubert_is_a_hubert_of_two_blocks(tmp_path: Path) -> None:
    """ntu-spml/distilhubert: no LayerNorm before the projection."""
    model = tiny.tiny_model("distilhubert")
    folder = tiny.save(model, tmp_path)
    encoder = check(folder, model, ("conv", "projection", "input", "1", "2"))
    assert encoder.why_stock is None

"""Audio Spectrogram Transformers: the stock module's patches as frames, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ast_helpers as asts
import encoder_helpers as tiny
import pytest
import torch

from sercache import encoders
from sercache.errors import AudioError, EncoderError

BOUND = 2e-5


@pytest.mark.parametrize("kind", ["ASTForAudioClassification", "ASTModel"])
def test_every_state_is_that_of_the_stock_module(tmp_path: Path, kind: str) -> None:
    encoder = encoders.load(str(asts.save(tmp_path, kind)))
    if kind == "ASTModel":
        assert encoder.states[-2:] == ("final", "summary")
        return
    assert (encoder.hop, encoder.min_samples, encoder.max_samples) == (800, 400, 32_399)
    lengths = (400, 1_199, 1_200, 9_001, 31_000, 32_399)
    waves = [tiny.noise(n, n) for n in lengths]
    n_frames = [encoder.n_frames(n) for n in lengths]
    assert n_frames == [1, 1, 2, 11, 39, 39]
    got = tiny.encode(encoder, waves)
    for k, wave in enumerate(waves):
        expected = asts.stock_states(wave)
        assert set(expected) == set(encoder.states)
        for state, x in expected.items():
            assert tiny.error(got[state].split(n_frames)[k], x[: n_frames[k]]) <= BOUND, (state, len(wave))


def test_spectra_are_those_of_the_stock_extractor(tmp_path: Path) -> None:
    encoder: Any = encoders.load(str(asts.save(tmp_path)))
    wave = tiny.noise(20_000)
    values = asts.extractor()(wave, sampling_rate=16_000, return_tensors="pt")["input_values"][0]
    assert torch.allclose(encoder._spectra(wave), values, atol=1e-4)


def test_a_published_checkpoint_has_a_window_of_ten_seconds() -> None:
    card = encoders.card("ast-audioset")
    assert (card.n_blocks, card.dim) == (12, 768)
    assert card.n_parameters == pytest.approx(86.2e6, rel=0.01)


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("preprocessor_config.json", {"max_length": 300}, "has max_length 300, config.json 200"),
        ("preprocessor_config.json", {"sampling_rate": 8_000}, "reads 8000 Hz, expected 16000"),
        ("preprocessor_config.json", {"std": 0}, "has std 0, expected a number"),
        ("preprocessor_config.json", {"mean": "low"}, "has mean 'low', expected a number"),
        ("config.json", {"num_mel_bins": 64}, "has num_mel_bins 32, config.json 64"),
        ("config.json", {"hidden_size": 32}, "tensors of other shapes than config.json describes"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    tmp_path: Path, file: str, changes: dict[str, Any], says: str
) -> None:
    path = asts.save(tmp_path) / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(EncoderError) as caught:
        encoders.load(str(tmp_path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recording_longer_than_the_window_is_told_how_to_be_cut(tmp_path: Path) -> None:
    encoder = encoders.load(str(asts.save(tmp_path)))
    with pytest.raises(AudioError, match=r"takes 2\.02494 s; cut it with --clip split:2\.02494"):
        encoder.encode([tiny.noise(32_400)])

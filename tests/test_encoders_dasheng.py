"""Dasheng: the states of an encoder that was built another way, chunks, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dasheng_helpers as dasheng
import encoder_helpers as tiny
import pytest
import torch
from safetensors.torch import load_file, save_file

from sercache import encoders
from sercache.errors import EncoderError

BOUND = 2e-5


def test_every_state_is_that_of_an_encoder_built_another_way(tmp_path: Path) -> None:
    encoder = encoders.load(str(dasheng.save(tmp_path)))
    assert encoder.states == ("input", "1", "2", "3", "final")
    assert (encoder.hop, encoder.min_samples) == (640, 480)
    # A frame; less than a chunk; a chunk and a rest of no frame; one that is full; two and a rest.
    lengths = (480, 5_000, 39 * 160, 42 * 160, 79 * 160, 100 * 160 + 5)
    waves = [tiny.noise(n, n) for n in lengths]
    n_frames = [encoder.n_frames(n) for n in lengths]
    assert n_frames == [1, 8, 10, 10, 20, 25]
    got = tiny.encode(encoder, waves)
    model = dasheng.plain()
    for k, wave in enumerate(waves):
        with torch.no_grad():
            expected = model.states(wave)
        for state, x in expected.items():
            assert tiny.error(got[state].split(n_frames)[k], x) <= BOUND, (state, len(wave))


@pytest.mark.parametrize(("name", "millions"), [("base", 85.4), ("0.6b", 630), ("1.2b", 1134)])
def test_the_published_sizes_are_those_of_the_shapes(name: str, millions: float) -> None:
    card = encoders.card(f"dasheng-{name}")
    assert card.n_parameters == pytest.approx(1e6 * millions, rel=0.002)
    assert card.licence == "apache-2.0"


def refused(folder: Path) -> str:
    with pytest.raises(EncoderError) as caught:
        encoders.load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"patch_size": [16, 16]}, "patch_size is [16, 16], expected [64, 4]"),
        ({"init_values": 1e-5}, "init_values is 1e-05, expected None"),
        ({"embed_dim": 0}, "embed_dim is 0, expected a whole number from 1 to 100000"),
        ({"num_heads": 5}, "expected multiples of num_heads 5"),
        ({"depth": 4}, "lacks 12 tensors of dasheng: blocks.3."),
        ({"depth": 2}, "12 tensors that the published checkpoints of Dasheng do not have: blocks.2."),
        ({"target_length": 80}, "holds tensors of other shapes than config.json describes"),
    ],
)
def test_another_shape_is_refused_in_one_line(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    assert says in refused(dasheng.save(tmp_path, **settings))


def test_other_spectra_and_broken_files_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = dasheng.save(tmp_path)
    front = folder / "preprocessor_config.json"
    front.write_text(json.dumps({**dasheng.SPECTRA, "feature_size": 80}))
    assert "preprocessor_config.json has feature_size 80, expected 64" in refused(folder)
    front.unlink()
    encoders.load(str(folder))  # their defaults
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    save_file({**tensors, "encoder.norm.bias": torch.full((dasheng.DIM,), torch.nan)}, weights)
    assert "not finite, first in norm.bias" in refused(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "encoder_kwargs": [1]}))
    assert "encoder_kwargs is no JSON object" in refused(folder)


def test_a_depth_that_no_model_has_is_refused_before_it_is_built(tmp_path: Path) -> None:
    folder = dasheng.save(tmp_path / "m", depth=99_999)
    with pytest.raises(EncoderError, match="depth is 99999, expected a whole number from 1 to 1000"):
        encoders.load(str(folder))

"""Audio towers of language models: each as its owner runs it, of a checkpoint whose language model is not there."""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import encoder_helpers as tiny
import huggingface_hub
import pytest
import torch
import tower_helpers as towers
from safetensors.torch import load_file, save_file

from sercache import encoders
from sercache.errors import EncoderError

BOUND = 2e-5


@pytest.mark.parametrize("name", towers.CONFIGS)
def test_every_state_is_what_the_owner_makes_of_it(name: str, tmp_path: Path) -> None:
    encoder = encoders.load(str(towers.save(name, tmp_path)))
    assert encoder.identity["family"] == "audio-towers"
    chunked = name == "qwen2.5-omni"
    assert encoder.max_samples == (None if chunked else 32_000)
    assert encoder.states == ("input", "1", "2", "3") + ("final",) * (name == "voxtral")
    waves = [tiny.noise(n, n) for n in (1, 321, 6_399, 15_000, 32_000, 44_000 if chunked else 31_999)]
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    assert n_frames[:5] == [1, 2, 20, 47, 100]
    got = tiny.encode(encoder, waves)
    for k, wave in enumerate(waves):
        expected = towers.stock_states(name, wave, 4 if chunked else 2)
        assert set(expected) == set(encoder.states)
        for state, x in expected.items():
            assert tiny.error(got[state].split(n_frames)[k], x) <= BOUND, (state, len(wave))


def test_the_language_model_is_neither_needed_nor_part_of_the_identity(tmp_path: Path) -> None:
    without = encoders.identify(str(towers.save("qwen2-audio", tmp_path / "tower")))
    whole = towers.save("qwen2-audio", tmp_path / "whole", whole=True)
    assert encoders.identify(str(whole))["weights_sha256"] == without["weights_sha256"]
    encoders.load(str(whole))  # its quantised language model is not looked at


def test_of_a_hub_only_the_files_of_the_tower_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = towers.save("voxtral", tmp_path / "whole", whole=True)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()

    def fetch(hub_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        for path in whole.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, snapshot)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    encoders.load("mistralai/Voxtral-of-some-size")
    assert {path.name for path in snapshot.iterdir()} == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
    }


def test_a_card_counts_the_tower_alone(tmp_path: Path) -> None:
    tower = sum(each.numel() for each in towers.tower("qwen2.5-omni").parameters())
    folder = towers.save("qwen2.5-omni", tmp_path)
    card = encoders.card(str(folder))
    assert (card.n_blocks, card.dim, card.n_parameters) == (3, 24, tower)
    assert encoders.card("voxtral-mini-3b").n_parameters == pytest.approx(637e6, rel=1e-3)


def test_a_tower_saved_alone_is_loaded(tmp_path: Path) -> None:
    wave = [tiny.noise(7_000)]
    expected = tiny.encode(encoders.load(str(towers.save("qwen2-audio", tmp_path / "whole"))), wave)
    model = towers.tower("qwen2-audio")
    model.save_pretrained(tmp_path / "alone")
    found = tiny.encode(encoders.load(str(tmp_path / "alone")), wave)
    for state, x in expected.items():
        assert torch.equal(found[state], x), state


def refused(folder: Path) -> str:
    with pytest.raises(EncoderError) as caught:
        encoders.load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path) -> None:
    folder = towers.save("voxtral", tmp_path / "voxtral")
    shard = folder / "model-00001-of-00002.safetensors"
    tensors = load_file(shard)
    lacking = {name: x for name, x in tensors.items() if not name.endswith("layers.1.fc1.weight")}
    save_file(lacking, shard, metadata={"format": "pt"})
    assert "lacks 1 tensors of voxtral: layers.1.fc1.weight" in refused(folder)
    shard.unlink()
    assert f"{shard} is missing" in refused(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"language_model.norm.weight": shard.name}}))
    assert "no tensor of the part that is used here" in refused(folder)
    config = json.loads((folder / "config.json").read_text())
    config["audio_config"]["num_mel_bins"] = 80
    (folder / "config.json").write_text(json.dumps(config))
    assert "makes 12 mel bins, config.json takes 80" in refused(folder)

"""Encoders of transcripts: the stock module's states, alone or in company, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import pytest
import text_helpers as texts
import torch
from safetensors.torch import load_file, save_file

from sercache import encoders, states
from sercache.encoders import text
from sercache.errors import AudioError, EncoderError, UnknownNameError

BOUND = 2e-5
LINES = [
    "Kids are talking by the door.",
    "dogs",
    "Dogs are sitting by the door",
    "kids are talking by the door door",
    "Marmalade.",
]

_loaded: dict[str, Any] = {}


@pytest.fixture(params=texts.CONFIGS)
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param not in _loaded:
        folder = texts.save(request.param, tmp_path_factory.mktemp(request.param))
        _loaded[request.param] = encoders.load(str(folder))
    return str(request.param)


def test_states_are_the_stock_module_s_whatever_shares_the_batch(name: str) -> None:
    encoder, model = _loaded[name], texts.model(name)
    pieces = [encoder.tokens(line) for line in LINES]
    together = tiny.encode(encoder, pieces)
    lengths = [encoder.n_frames(len(ids)) for ids in pieces]
    assert tuple(together) == encoder.states == tuple(encoder.dims)
    assert encoder.states[:2] == ("input", "1")
    assert encoder.states[-1] == ("final" if name == "modernbert" else "3")
    for k, (ids, line) in enumerate(zip(pieces, LINES, strict=True)):
        alone, stock = tiny.encode(encoder, [ids]), texts.stock_states(model, line)
        assert len(alone["1"]) == len(ids)
        for state in encoder.states:
            company = together[state].split(lengths)[k]
            # The closing norm of modernbert also makes its hidden_states[-1].
            plain = stock["last"] if state in ("final",) else stock[state]
            assert tiny.error(company, alone[state]) < BOUND, (state, line)
            if not (name == "modernbert" and state == "3"):
                assert tiny.error(company, plain) < BOUND, (state, line)


def test_a_choice_of_states_keeps_values_and_order(name: str) -> None:
    encoder = _loaded[name]
    pieces = [encoder.tokens(line) for line in LINES]
    whole, some = tiny.encode(encoder, pieces), tiny.encode(encoder, pieces, ["2", "input"])
    assert list(some) == ["input", "2"]
    assert all(bool((some[state] == whole[state]).all()) for state in some)
    assert tiny.encode(encoder, [], ["2"]) == {}
    assert tiny.encode(encoder, pieces, []) == {}


def test_texts_of_any_length_up_to_the_positions_are_taken_and_no_longer_ones(name: str) -> None:
    encoder, longest = _loaded[name], texts.CONFIGS[name][2]
    assert encoder.max_samples == longest
    for n_pieces in (1, 2, longest):
        states = tiny.encode(encoder, [np.full(n_pieces, 5)])
        assert all(len(x) == n_pieces and bool(x.isfinite().all()) for x in states.values())
    with pytest.raises(AudioError, match=f"has {longest + 1} word pieces, .* takes 1 to {longest}"):
        encoder.encode([np.full(longest + 1, 5)])


def test_what_is_no_text_is_refused_at_once(name: str) -> None:
    encoder = _loaded[name]
    for wrong in (np.zeros(5, np.float32), np.zeros((1, 5), np.int64)):
        with pytest.raises(AudioError, match="takes word pieces"):
            encoder.encode([wrong])
    with pytest.raises(AudioError, match="has 0 word pieces"):
        encoder.encode([np.zeros(0, np.int64)])
    with pytest.raises(UnknownNameError, match="unknown state 'nosuch'"):
        encoder.encode([np.full(3, 5)], ["nosuch"])


def test_the_identity_is_plain_json_of_weights_and_tokenizer(tmp_path: Path) -> None:
    folder = texts.save("bert", tmp_path / "m")
    encoder: Any = encoders.load(str(folder))
    assert encoders.modality(encoder) == "text" == encoder.identity["modality"]
    assert json.loads(json.dumps(encoder.identity)) == encoder.identity == encoders.identify(str(folder))
    record = json.loads((folder / "tokenizer.json").read_text())
    record["normalizer"] = None
    (folder / "tokenizer.json").write_text(json.dumps(record))
    changed = encoders.identify(str(folder))
    assert changed["preprocessing"] != encoder.identity["preprocessing"]
    assert changed["weights_sha256"] == encoder.identity["weights_sha256"]


def test_tokens_are_the_tokenizer_s_without_its_specials(tmp_path: Path) -> None:
    encoder: Any = encoders.load(str(texts.save("bert", tmp_path / "m")))
    ids = encoder.tokens("Kids are TALKING")
    assert [texts.WORDS[k] for k in ids] == ["kids", "are", "talk", "##ing"]
    assert ids.dtype == np.int64
    assert encoder.tokens("  ").shape == (0,)


def test_a_checkpoint_without_a_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = texts.save("bert", tmp_path / "m")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(EncoderError, match="tokenizer") as caught:
        encoders.load(str(folder))
    assert "\n" not in str(caught.value)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    folder = texts.save("bert", tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    without = {key: value for key, value in tensors.items() if "layer.1.output.dense" not in key}
    shutil.copy(folder / "model.safetensors", tmp_path / "kept")
    save_file(without, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="lacks 2 tensors of bert"):
        encoders.load(str(folder))
    pooler_less = {key: value for key, value in tensors.items() if "pooler" not in key}
    save_file(pooler_less, folder / "model.safetensors", metadata={"format": "pt"})
    encoders.load(str(folder))


@pytest.mark.parametrize("name", ["bert-large-uncased", "roberta-large", "xlm-roberta-base"])
def test_short_names_are_of_the_text_family(name: str) -> None:
    assert encoders.short_names()[name][0] == "text"


# Sentences


@pytest.mark.parametrize(
    ("pooling", "dense", "normalize"), [("mean", 0, True), ("cls", 16, True), ("max", 8, False)]
)
def test_a_sentence_is_the_vector_of_the_whole_text_in_every_frame(
    tmp_path: Path, pooling: str, dense: int, normalize: bool
) -> None:
    folder = texts.save_sentences(tmp_path / "m", pooling, dense=dense, normalize=normalize)
    encoder: Any = encoders.load(str(folder))
    assert encoder.states == ("input", "1", "2", "3", "sentence")
    assert encoder.dims["sentence"] == (dense or 16)
    assert states.select(encoder.states, "final") == ("3",), "tokens, as of any other encoder of text"
    pieces = [encoder.tokens(line) for line in LINES]
    lengths = [len(ids) for ids in pieces]
    found = tiny.encode(encoder, pieces, ["sentence"])["sentence"].split(lengths)
    for frames, line in zip(found, LINES, strict=True):
        expected = texts.sentence(line, pooling, dense=dense, normalize=normalize)
        assert tiny.error(frames, expected.expand_as(frames)) < BOUND
    assert encoder.identity == encoders.identify(str(folder))


def test_how_sentences_are_made_is_part_of_the_identity(tmp_path: Path) -> None:
    plain = encoders.identify(str(texts.save("bert", tmp_path / "plain")))
    mean = encoders.identify(str(texts.save_sentences(tmp_path / "mean")))
    cls = encoders.identify(str(texts.save_sentences(tmp_path / "cls", "cls", dense=16)))
    assert mean["preprocessing"]["sentence"] == {
        "pooling": "mean",
        "dense_sha256": [],
        "activations": [],
        "normalize": True,
    }
    assert len(cls["preprocessing"]["sentence"]["dense_sha256"]) == 1
    assert "sentence" not in plain["preprocessing"]


def test_of_all_states_those_of_the_blocks_size_are_kept(tmp_path: Path) -> None:
    encoder = encoders.load(str(texts.save_sentences(tmp_path / "m", dense=8)))
    assert states.same_dim(encoder.states, encoder.dims, "all") == ("input", "1", "2", "3")


def test_what_e5_puts_before_a_text_is_heard_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = texts.save_sentences(tmp_path / "m")
    monkeypatch.setattr(text, "_PREFIXES", {"local: m": "the door: "})
    encoder: Any = encoders.load(str(folder))
    assert encoder.identity["preprocessing"]["prefix"] == "the door: "
    assert encoder.max_samples == 18 - 3
    ids = encoder.tokens("dogs sit")
    got = tiny.encode(encoder, [ids])
    assert {len(x) for x in got.values()} == {2}
    expected = texts.sentence("the door: dogs sit", "mean", dense=0, normalize=True)
    assert tiny.error(got["sentence"][0], expected) < BOUND


def test_sentences_of_another_making_are_not_offered_and_broken_files_are_refused(tmp_path: Path) -> None:
    folder = texts.save_sentences(tmp_path / "m", dense=16)
    modules = folder / "modules.json"
    listed = json.loads(modules.read_text())
    listed[1]["type"] = "sentence_transformers.models.WeightedLayerPooling"
    whole = modules.read_text()
    modules.write_text(json.dumps(listed))
    assert encoders.load(str(folder)).states[-1] == "3"
    modules.write_text("[1]")
    with pytest.raises(EncoderError, match="lists no modules with type and path"):
        encoders.load(str(folder))
    modules.write_text(whole)
    config = folder / "2_Dense" / "config.json"
    kept = config.read_text()
    config.write_text(json.dumps({"activation_function": "torch.nn.ReLU"}))
    with pytest.raises(EncoderError, match="activation_function is 'ReLU', expected Tanh or Identity"):
        encoders.load(str(folder))
    config.write_text(kept)
    save_file({"linear.weight": torch.zeros(16, 5)}, folder / "2_Dense" / "model.safetensors")
    with pytest.raises(EncoderError, match="holds no layer for 16 features"):
        encoders.load(str(folder))


def test_a_bias_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = texts.save_sentences(tmp_path / "m", dense=8)
    weights = folder / "2_Dense" / "model.safetensors"
    held = load_file(weights)
    save_file({**held, "linear.bias": held["linear.bias"][:-1].contiguous()}, weights)
    with pytest.raises(EncoderError, match=r"holds a bias \(7,\) for 8 features"):
        encoders.load(str(folder))

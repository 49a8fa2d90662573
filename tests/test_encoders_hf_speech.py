"""The packed path gives what the stock modules give, faster, and gives way where it does not know a part."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import hypothesis
import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
import torch
import transformers
from hypothesis import strategies as st

from sercache import encoders
from sercache.encoders._placed import Placed
from sercache.encoders.hf_speech import _attention, _convolutions, _dense, _encoder, _groups
from sercache.encoders.hf_speech._encoder import SpeechEncoder

BOUND = 2e-5
LENGTHS = (400, 719, 16_000, 5_321, 30_000)


def speech_encoder(
    model: Any,
    do_normalize: bool = True,
    dtype: torch.dtype = torch.float32,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a constant
) -> SpeechEncoder:
    return SpeechEncoder(
        copy.deepcopy(model),
        {"sample_rate": 16_000, "do_normalize": do_normalize},
        Placed("tiny", {}, device, dtype),
    )


def compare(encoder: Any, model: Any, waves: list[np.ndarray], do_normalize: bool = True) -> dict[str, float]:
    """Largest error over the waves of each state, against the stock module run on one wave at a time."""
    got = tiny.encode(encoder, waves)
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    worst = dict.fromkeys(got, 0.0)
    for k, wave in enumerate(waves):
        for name, expected in tiny.stock_states(model, wave, do_normalize).items():
            worst[name] = max(worst[name], tiny.error(got[name].split(n_frames)[k], expected))
    return worst


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_every_state_is_that_of_the_stock_module_alone(name: str, tmp_path: Path) -> None:
    model = tiny.tiny_model(name)
    encoder = encoders.load(str(tiny.save(model, tmp_path)))
    assert encoder.why_stock is None
    worst = compare(encoder, model, [tiny.noise(n, n) for n in LENGTHS])
    assert set(worst) == set(encoder.states)
    assert max(worst.values()) <= BOUND, worst


def test_a_padded_batch_through_the_stock_module_breaks_the_bound() -> None:
    """What the contract guards against: as peers batch, wav2vec2-base features move by their own size."""
    model = tiny.tiny_model("wav2vec2-base")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    waves = [tiny.noise(n, n) for n in (30_000, 5_321)]
    padded = extractor(waves, sampling_rate=16_000, return_tensors="pt", padding=True)["input_values"]
    with torch.no_grad():
        leaked = model(padded).last_hidden_state[1]
    alone = tiny.stock_states(model, waves[1])["3"]
    assert tiny.error(leaked[: len(alone)], alone) > 1000 * BOUND


@pytest.mark.parametrize("do_normalize", [True, False, None])
def test_waves_are_normalised_as_the_checkpoint_says(tmp_path: Path, do_normalize: bool | None) -> None:
    model = tiny.tiny_model("wav2vec2-large")
    encoder = encoders.load(str(tiny.save(model, tmp_path, do_normalize)))
    said = encoder.identity["preprocessing"]
    assert said["do_normalize"] is (do_normalize is not False)
    assert ("default" in said["from"]) is (do_normalize is None)
    wave = 3 * tiny.noise(8_000) + 1
    worst = compare(encoder, model, [wave], do_normalize is not False)
    assert max(worst.values()) <= BOUND, worst
    other = tiny.stock_states(model, wave, do_normalize is False)["1"]
    assert tiny.error(tiny.encode(encoder, [wave], ["1"])["1"], other) > 1e-2


@pytest.mark.parametrize("n_samples", [1, 2, 7, 400, 12_345])
def test_normalising_in_fewer_passes_keeps_every_bit(n_samples: int) -> None:
    for scale in (1e-4, 1.0, 3e3):
        wave = scale * tiny.noise(n_samples)
        expected = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        np.testing.assert_array_equal(_encoder._normalised(wave, np.empty_like(wave)), expected)
        np.testing.assert_array_equal(_encoder._normalised(wave, wave), expected)


@pytest.mark.parametrize("name", ["wavlm-large", "wav2vec2-base", "data2vec-audio"])
def test_cutting_the_work_into_pieces_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_convolutions, "_CHUNK", 7)
    monkeypatch.setattr(_attention, "_BIAS_BYTES", 1)
    monkeypatch.setattr(_attention, "_SMALLEST_BLOCK", 11)
    monkeypatch.setattr(_dense, "_ROWS", 13)
    model = tiny.tiny_model(name)
    worst = compare(speech_encoder(model), model, [tiny.noise(n, n) for n in LENGTHS])
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize(
    ("name", "bias_bytes"),
    # How large a bias of positions may be is asked by WavLM alone.
    [
        *((each, 2**30) for each in tiny.CONFIGS),
        *((n, 1) for n, (k, _) in tiny.CONFIGS.items() if "WavLM" in k),
    ],
)
def test_utterances_side_by_side_as_on_cuda_are_those_alone(
    name: str, bias_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_groups, "side_by_side", lambda x: True)
    monkeypatch.setattr(_attention, "_BIAS_BYTES", bias_bytes)
    monkeypatch.setattr(_attention, "_SMALLEST_BLOCK", 5)
    monkeypatch.setattr(_convolutions, "_MOMENT_ROWS", 999)
    monkeypatch.setattr(_convolutions, "_CHUNK", 17)
    model = tiny.tiny_model(name)
    encoder = speech_encoder(model)
    assert encoder.why_stock is None
    worst = compare(encoder, model, [tiny.noise(n, n) for n in (*LENGTHS, 15_000, 5_000, 6_000, 29_000)])
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("name", ["wav2vec2-base", "hubert-large"])
def test_the_kernel_of_variable_lengths_is_called_rightly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on CUDA in half precision only; what it is given can be seen anywhere."""
    varlen = pytest.importorskip("torch.nn.attention.varlen")

    def stand_in(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *bounds: Any) -> torch.Tensor:
        starts, same, longest, _ = bounds
        assert starts is same
        assert starts.dtype == torch.int32
        assert int(starts.diff().max()) == longest
        out = []
        for start, stop in pairwise(starts.tolist()):
            q, k, v = (part[start:stop].transpose(0, 1) for part in (query, key, value))
            out.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1))
        return torch.cat(out)

    monkeypatch.setattr(varlen, "varlen_attn", stand_in)
    model = tiny.tiny_model(name)
    monkeypatch.setattr(_attention, "_takes_varlen", lambda like: True)
    monkeypatch.setattr(_attention, "Plain", None)
    encoder = speech_encoder(model)
    worst = compare(encoder, model, [tiny.noise(n, n) for n in LENGTHS])
    assert max(worst.values()) <= BOUND, worst


@hypothesis.given(st.lists(st.integers(1, 300), min_size=1, max_size=12))
def test_padded_groups_hold_each_frame_once(lengths: list[int]) -> None:
    n_all = sum(lengths)
    groups = _groups.padded(lengths, torch.device("cpu"), torch.float32)
    x = torch.arange(float(n_all))[:, None]
    back = torch.full((n_all + 1, 1), -1.0)
    for group in groups:
        is_frame = group.mask[:, 0, 0] == 0
        assert bool((is_frame.sum(1) >= 1).all())
        taken = group.take(x)
        assert torch.equal(group.take(x, turned=True), taken.flip(1))
        assert torch.equal(group.rows[is_frame], taken[is_frame][:, 0].long())
        group.put(back, 0, taken[:, :3])
        group.put(back, 3, taken[:, 3:])
    assert torch.equal(back[:n_all], x)
    frames = sum(group.rows.numel() for group in groups)
    # At most 15 % or 16 frames of padding, and 7 to align.
    assert frames <= sum(max(length / 0.85, length + 16) + 7 for length in lengths)


def test_positions_far_beyond_the_largest_bucket_are_right() -> None:
    model = tiny.tiny_model("other-front-layer")  # 72 times as many frames a second
    encoder = speech_encoder(model)
    assert encoder.n_frames(20_000) > 4 * model.config.max_bucket_distance
    worst = compare(encoder, model, [tiny.noise(20_000), tiny.noise(200)])
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("name", ["wavlm-base", "hubert-large"])
def test_what_lies_above_the_last_state_is_not_computed(name: str) -> None:
    encoder = speech_encoder(tiny.tiny_model(name))
    blocks = encoder._forward.model.encoder.layers
    calls = [0] * len(blocks)
    for number, block in enumerate(blocks):

        def count(*_: object, number: int = number) -> None:
            calls[number] += 1

        block.attention.q_proj.register_forward_hook(count)
    waves = [tiny.noise(4_000), tiny.noise(900)]
    tiny.encode(encoder, waves, ["2", "projection"])
    assert calls == [1, 1, 0]
    tiny.encode(encoder, waves, ["conv", "input"])
    assert calls == [1, 1, 0]
    next(encoder.encode(waves))
    assert calls == [1, 1, 0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Wav2Vec2ForCTC", "wav2vec2-large"),
        ("HubertForSequenceClassification", "hubert-base"),
        ("WavLMForXVector", "wavlm-base"),
        ("Data2VecAudioForCTC", "data2vec-audio"),
        ("Wav2Vec2ForPreTraining", "wav2vec2-base"),
    ],
)
def test_a_fine_tuned_checkpoint_gives_its_encoder(tmp_path: Path, kind: str, name: str) -> None:
    wrapped = tiny.shake(getattr(transformers, kind)(tiny.tiny_config(name)), seed=5)
    encoder = encoders.load(str(tiny.save(wrapped, tmp_path)))
    worst = compare(encoder, wrapped.base_model, [tiny.noise(3_000), tiny.noise(9_000)])
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", ["wav2vec2-base", "wavlm-large", "data2vec-audio"])
def test_bfloat16_errs_no_more_than_the_stock_module_in_bfloat16(
    name: str, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_groups, "side_by_side", lambda x: together)
    model = tiny.tiny_model(name)
    encoder = speech_encoder(model, dtype=torch.bfloat16)
    waves = [tiny.noise(n, n) for n in LENGTHS]
    got = tiny.encode(encoder, waves)
    exact = [tiny.stock_states(model, wave) for wave in waves]
    rough = [tiny.stock_states(copy.deepcopy(model).bfloat16(), wave) for wave in waves]
    for state, packed in got.items():
        assert packed.dtype == torch.bfloat16
        expected = torch.cat([found[state] for found in exact])
        stock = torch.cat([found[state] for found in rough])
        ours, theirs = ((x.float() - expected).square().mean().sqrt() for x in (packed, stock))
        # Both are draws of rounding noise: half as much again is the spread between seeds.
        assert ours <= 1.5 * theirs, (state, ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_lie_in_memory_as_products_are_fast(dtype: torch.dtype) -> None:
    encoder = speech_encoder(tiny.tiny_model("wav2vec2-base"), dtype=dtype)
    weight = encoder._forward.model.encoder.layers[0].feed_forward.output_dense.weight
    assert weight.shape == (32, 48)
    assert weight.is_contiguous() is (dtype != torch.float32)
    assert weight.t().is_contiguous() is (dtype == torch.float32)


def test_a_part_that_is_not_known_is_run_as_it_is() -> None:
    model = tiny.tiny_model("wav2vec2-base")

    class Doubled(type(model.encoder.layers[1].attention)):  # type: ignore[misc]
        def forward(self, *args: Any, **named: Any) -> Any:
            mixed, weights = super().forward(*args, **named)
            return 2 * mixed, weights

    model.encoder.layers[1].attention.__class__ = Doubled
    encoder = speech_encoder(model)
    assert encoder.why_stock == "Doubled is not known to the packed path"
    waves = [tiny.noise(4_000), tiny.noise(700)]
    worst = compare(encoder, model, waves)
    assert set(worst) == set(encoder.states)
    assert max(worst.values()) <= BOUND, worst
    assert list(tiny.encode(encoder, waves, ["2", "conv"])) == ["conv", "2"]


def test_a_part_that_was_changed_without_a_new_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.tiny_model("hubert-large")
    kind = type(model.encoder.layers[0])
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, *args, **named: 1.01 * forward(self, *args, **named))
    encoder = speech_encoder(model)
    assert encoder.why_stock is not None
    assert encoder.why_stock.startswith("the packed path misses state 1 ")
    worst = compare(encoder, model, [tiny.noise(4_000)])
    assert max(worst.values()) <= BOUND, worst


def test_the_probe_is_passed_by_a_wide_margin() -> None:
    """A tolerance that rounding can reach would make the packed path come and go."""
    for name in tiny.CONFIGS:
        model = tiny.tiny_model(name)
        tolerance = _encoder._TOLERANCE
        try:
            _encoder._TOLERANCE = tolerance / 20
            assert speech_encoder(model).why_stock is None, name
        finally:
            _encoder._TOLERANCE = tolerance


@pytest.mark.slow
def test_ten_minutes_take_little_memory() -> None:
    import resource

    config = tiny.tiny_config("wavlm-base")
    config.num_attention_heads = 2
    encoder = speech_encoder(tiny.shake(transformers.WavLMModel(config)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wave = tiny.noise(600 * 16_000)
    (packed,) = tiny.encode(encoder, [wave], ["1"]).values()
    assert packed.shape == (29_999, 32)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    assert taken < 1.5, f"{taken:.2f} GiB"  # one head's position bias alone would take 3.4

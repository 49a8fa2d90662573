"""The packed Conformers give what the stock modules give alone, with the checkpoint's own extractor and mask."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import conformer_helpers as conformers
import encoder_helpers as tiny
import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sercache import encoders
from sercache.encoders import hf_conformer
from sercache.encoders._placed import Placed
from sercache.encoders.hf_conformer import _attention, _blocks, _encoder, _fronts, _mel
from sercache.encoders.hf_conformer._encoder import ConformerEncoder
from sercache.errors import EncoderError

BOUND = 2e-5
LENGTHS = (560, 719, 16_000, 5_321, 10_240, 10_241, 30_000)


def conformer_encoder(model: Any, dtype: torch.dtype = torch.float32) -> ConformerEncoder:
    config = model.config
    preprocessing = {
        "wav2vec2-conformer": {"sample_rate": 16_000, "do_normalize": True},
        "wav2vec2-bert": {
            "sample_rate": 16_000,
            "n_mels": getattr(config, "feature_projection_input_dim", 160) // 2,
        },
        "parakeet_encoder": hf_conformer._PARAKEET
        | {"sample_rate": 16_000, "feature_size": getattr(config, "num_mel_bins", 80)},
    }[config.model_type]
    placed = Placed("tiny", {}, torch.device("cpu"), dtype)
    return ConformerEncoder(copy.deepcopy(model), preprocessing, placed)


def compare(encoder: Any, model: Any, waves: list[np.ndarray]) -> dict[str, float]:
    """Largest error over the waves of each state, against the stock module run on one wave at a time."""
    got = tiny.encode(encoder, waves)
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]
    worst = dict.fromkeys(got, 0.0)
    for k, wave in enumerate(waves):
        for name, expected in conformers.stock_states(model, wave).items():
            worst[name] = max(worst[name], tiny.error(got[name].split(n_frames)[k], expected))
    return worst


@pytest.mark.parametrize("name", conformers.CONFIGS)
def test_every_state_is_that_of_the_stock_module_alone(name: str, tmp_path: Path) -> None:
    model = conformers.model(name)
    encoder = encoders.load(str(conformers.save(model, tmp_path)))
    assert encoder.why_stock is None
    worst = compare(encoder, model, [tiny.noise(n, n) for n in (encoder.min_samples, *LENGTHS)])
    assert set(worst) == set(encoder.states)
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("name", ["conformer-rel-pos", "w2v-bert", "parakeet"])
def test_a_padded_batch_through_the_stock_module_is_another_thing(name: str) -> None:
    """What the contract guards against: the stock mask lets padding into wav2vec2-conformer's convolution."""
    model = conformers.model(name)
    waves = [tiny.noise(n, n) for n in (30_000, 5_321)]
    inputs = conformers.extractor(model.config)(
        waves, sampling_rate=16_000, return_tensors="pt", padding=True, return_attention_mask=True
    )
    with torch.no_grad():
        leaked = model(**inputs, output_hidden_states=True).hidden_states[-1][1]
    alone = conformers.stock_states(model, waves[1])["3"]
    leak = tiny.error(leaked[: len(alone)], alone)
    assert (leak > 1000 * BOUND) is (name == "conformer-rel-pos"), leak


@pytest.mark.parametrize("n_samples", [400, 16_001])
@pytest.mark.parametrize(
    "settings", [{}, {"feature_size": 128, "n_fft": 511, "win_length": 320}, {"preemphasis": None}]
)
def test_spectra_of_parakeet_are_those_of_the_stock_extractor(settings: dict, n_samples: int) -> None:
    settings = hf_conformer._PARAKEET | settings
    wave = tiny.noise(n_samples)
    stock = transformers.ParakeetFeatureExtractor(**settings)(wave, sampling_rate=16_000, return_tensors="pt")
    found = _mel.LogMel(settings)(wave)
    n = int(stock["attention_mask"].sum())
    assert found.shape == (n, settings["feature_size"])
    assert torch.equal(found, stock["input_features"][0, :n])


def test_parakeet_needs_no_feature_extractor(tmp_path, monkeypatch) -> None:
    """Some releases of transformers want librosa for it."""
    folder = conformers.save(conformers.model("parakeet"), tmp_path / "parakeet")

    def broken(*args: object, **options: object) -> None:
        raise ImportError

    monkeypatch.setattr(transformers.ParakeetFeatureExtractor, "__init__", broken)
    encoder = encoders.load(str(folder))
    assert list(tiny.encode(encoder, [tiny.noise(8_000)], ["1"])) == ["1"]


@pytest.mark.parametrize("name", conformers.CONFIGS)
def test_cutting_the_work_into_pieces_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_attention, "_QUERIES", 7)
    monkeypatch.setattr(_blocks, "_ROWS", 13)
    monkeypatch.setattr(_fronts, "_CHUNK", 5)
    monkeypatch.setattr(_mel, "_CHUNK", 9)
    model = conformers.model(name)
    worst = compare(conformer_encoder(model), model, [tiny.noise(n, n) for n in LENGTHS])
    assert max(worst.values()) <= BOUND, worst


@settings(max_examples=12, deadline=None)
@given(
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.integers(2, 3),
    factor=st.sampled_from([2, 4, 8]),
    chunk=st.integers(1, 6),
    n_spectra=st.integers(2, 200),
)
def test_subsampling_in_chunks_is_subsampling(
    kernel: int, stride: int, factor: int, chunk: int, n_spectra: int
) -> None:
    shape = {"subsampling_conv_kernel_size": kernel, "subsampling_conv_stride": stride}
    config = transformers.ParakeetEncoderConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        subsampling_conv_channels=2, subsampling_factor=factor, **shape,
    )  # fmt: skip
    from transformers.models.parakeet.modeling_parakeet import ParakeetEncoderSubsamplingConv2D

    random = torch.Generator().manual_seed(n_spectra)
    spectra = torch.randn(n_spectra, 80, generator=random)
    model = transformers.AutoModel.from_config(config)
    subsampling = ParakeetEncoderSubsamplingConv2D(config)
    n_bins = 80
    for _ in range(int(np.log2(factor))):
        n_bins = (n_bins + (kernel - 1) // 2 * 2 - kernel) // stride + 1
    subsampling.linear = torch.nn.Linear(2 * n_bins, 8)
    front = _fronts.Subsampled(model, hf_conformer._PARAKEET)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        whole = subsampling(spectra[None])[0]
        patch.setattr(_fronts, "_CHUNK", chunk)
        parts = front._subsampled(subsampling, spectra)
    assert len(whole) == front.n_frames(160 * n_spectra)
    assert tiny.error(parts, whole) <= BOUND


@given(n_samples=st.integers(560, 40_000))
@settings(max_examples=20, deadline=None)
def test_mel_spectra_are_those_of_the_stock_extractor(n_samples: int) -> None:
    wave = tiny.noise(n_samples, n_samples)
    wave[: n_samples // 3] = 0
    stock = transformers.SeamlessM4TFeatureExtractor()(wave, sampling_rate=16_000, return_tensors="np")
    valid = int(stock["attention_mask"].sum())
    found = _mel.StackedMel(80, 16_000)(wave)
    assert found.dtype == np.float32
    assert len(found) == valid == _mel.n_stacked(n_samples)
    np.testing.assert_allclose(found, stock["input_features"][0, :valid], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["conformer-rope", "w2v-bert", "parakeet"])
def test_what_lies_above_the_last_state_is_not_computed(name: str) -> None:
    encoder = conformer_encoder(conformers.model(name))
    calls = [0] * len(encoder._layers)
    for number, block in enumerate(encoder._layers):

        def count(*_: object, number: int = number) -> None:
            calls[number] += 1

        _blocks.ConformerBlock(block).norm_2.register_forward_hook(count)
    waves = [tiny.noise(4_000), tiny.noise(900)]
    tiny.encode(encoder, waves, ["2", "projection"])
    assert calls == [1, 1, 0]
    tiny.encode(encoder, waves, ["projection"])
    assert calls == [1, 1, 0]
    next(encoder.encode(waves))
    assert calls == [1, 1, 0]


def wrapped(kind: str, name: str) -> Any:
    """A model with a head of its own over the configuration of ``name``."""
    of, own = conformers.CONFIGS[name]
    config = getattr(transformers, of)(**own)
    if kind.startswith("Parakeet"):
        outer = getattr(transformers, kind.replace("For", "") + "Config")
        small = {"vocab_size": 12, "pad_token_id": 2}
        if not kind.endswith("CTC"):
            small |= {"decoder_hidden_size": 8, "blank_token_id": 11}
        config = outer(encoder_config=config.to_dict(), **small)
    return tiny.shake(getattr(transformers, kind)(config), seed=5)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Wav2Vec2ConformerForCTC", "conformer-rope"),
        ("Wav2Vec2ConformerForPreTraining", "conformer-rel-pos"),
        ("Wav2Vec2ConformerForSequenceClassification", "conformer-no-positions"),
        ("Wav2Vec2BertForCTC", "w2v-bert"),
        ("Wav2Vec2BertForSequenceClassification", "w2v-bert-relative"),
        ("ParakeetForCTC", "parakeet"),
        ("ParakeetForRNNT", "parakeet"),
        ("ParakeetForTDT", "parakeet-other"),
    ],
)
def test_a_fine_tuned_checkpoint_gives_its_encoder(tmp_path: Path, kind: str, name: str) -> None:
    whole = wrapped(kind, name)
    encoder = encoders.load(str(conformers.save(whole, tmp_path)))
    assert encoder.why_stock is None
    stock = whole.encoder if kind.startswith("Parakeet") else whole.base_model
    worst = compare(encoder, stock, [tiny.noise(3_000), tiny.noise(9_000)])
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("name", ["conformer-rel-pos", "w2v-bert", "parakeet"])
def test_a_missing_tensor_is_never_made_up(name: str, tmp_path: Path) -> None:
    kind = "ParakeetForCTC" if name == "parakeet" else None
    model = wrapped(kind, name) if kind else conformers.model(name)
    path = conformers.save(model, tmp_path) / "model.safetensors"
    tensors = load_file(path)
    gone = next(key for key in sorted(tensors) if "layers.1" in key and key.endswith("depthwise_conv.weight"))
    save_file({k: v for k, v in tensors.items() if k != gone}, path, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="lacks 1 tensors") as caught:
        encoders.load(str(tmp_path))
    assert "depthwise_conv" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("w2v-bert", {"stride": 4}, "stacks 4 spectra of 80"),
        ("w2v-bert", {"num_mel_bins": 40}, "stacks 2 spectra of 40"),
        ("parakeet", {"feature_size": 128}, "makes 128 mel bins"),
    ],
)
def test_a_preprocessor_of_another_checkpoint_is_refused(
    name: str, settings: dict[str, int], says: str, tmp_path: Path
) -> None:
    path = conformers.save(conformers.model(name), tmp_path) / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(EncoderError, match=says):
        encoders.identify(str(tmp_path))


def in_half(model: Any) -> Any:
    """The stock module in bfloat16, which rounds whatever goes into it and its first part."""
    half = copy.deepcopy(model).bfloat16()

    def rounded(
        _: Any, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def low(value: Any) -> Any:
            floating = isinstance(value, torch.Tensor) and value.is_floating_point()
            return value.bfloat16() if floating else value

        return tuple(low(value) for value in args), {key: low(value) for key, value in named.items()}

    for name in ("feature_extractor", "feature_projection", "subsampling"):
        if hasattr(half, name):
            getattr(half, name).register_forward_pre_hook(rounded, with_kwargs=True)
    half.register_forward_pre_hook(rounded, with_kwargs=True)
    return half


@pytest.mark.parametrize("name", ["conformer-rel-pos", "conformer-rope", "w2v-bert", "parakeet"])
def test_bfloat16_errs_no_more_than_the_stock_module_in_bfloat16(name: str) -> None:
    model = conformers.model(name)
    encoder = conformer_encoder(model, dtype=torch.bfloat16)
    waves = [tiny.noise(n, n) for n in LENGTHS]
    got = tiny.encode(encoder, waves)
    exact = [conformers.stock_states(copy.deepcopy(model), wave) for wave in waves]
    half = [
        in_half(model) for _ in waves
    ]  # one each, because rotary angles are cached by length in any dtype
    rough = [conformers.stock_states(module, wave) for module, wave in zip(half, waves, strict=True)]
    for state, packed in got.items():
        assert packed.dtype == torch.bfloat16
        if state == "features":  # what goes into the model, rounded and no more
            continue
        expected = torch.cat([found[state] for found in exact])
        stock = torch.cat([found[state] for found in rough])
        ours, theirs = ((x.float() - expected).square().mean().sqrt() for x in (packed, stock))
        # Both are draws of rounding noise: half as much again is the spread between seeds.
        assert ours <= 1.5 * theirs + 1e-6, (state, ours, theirs)


@pytest.mark.parametrize("name", ["conformer-rope", "w2v-bert", "parakeet"])
def test_a_part_that_is_not_known_is_run_as_it_is(name: str) -> None:
    model = conformers.model(name)
    layers = model.layers if name == "parakeet" else model.encoder.layers

    class Doubled(type(layers[1])):  # type: ignore[misc]
        def forward(self, *args: Any, **named: Any) -> Any:
            return 2 * super().forward(*args, **named)

    layers[1].__class__ = Doubled
    encoder = conformer_encoder(model)
    assert encoder.why_stock == "Doubled is not known to the packed path"
    waves = [tiny.noise(4_000), tiny.noise(700)]
    got = tiny.encode(encoder, waves)
    assert tuple(got) == encoder.states
    for k, wave in enumerate(waves):
        n_frames = [encoder.n_frames(len(each)) for each in waves]
        for state, expected in tiny.encode(encoder, [wave]).items():
            assert torch.equal(got[state].split(n_frames)[k], expected)
    assert list(tiny.encode(encoder, waves, ["2", "projection"])) == ["projection", "2"]


@pytest.mark.parametrize("name", ["conformer-rel-pos", "w2v-bert-rotary", "parakeet-other"])
def test_a_part_that_was_changed_without_a_new_name_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = conformers.model(name)
    kind = type((model.layers if hasattr(model, "layers") else model.encoder.layers)[0])
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, *args, **named: 1.01 * forward(self, *args, **named))
    encoder = conformer_encoder(model)
    assert encoder.why_stock is not None
    assert encoder.why_stock.startswith("the packed path misses state 1 ")
    worst = compare(encoder, model, [tiny.noise(4_000)])
    assert max(worst.values()) <= BOUND, worst


def test_the_probe_is_passed_by_a_wide_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tolerance that rounding can reach would make the packed path come and go."""
    monkeypatch.setattr(_encoder, "_TOLERANCE", _encoder._TOLERANCE / 20)
    for name in conformers.CONFIGS:
        assert conformer_encoder(conformers.model(name)).why_stock is None, name

"""Encoders without trained weights: log-mel energies, eGeMAPS, the demo's random WavLM."""

from __future__ import annotations

import builtins
import time
from typing import Any

import encoder_helpers as tiny
import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from sercache import encoders
from sercache.encoders import demo, egemaps, logmel
from sercache.errors import EncoderError, MissingExtraError


def test_log_mel_is_what_transformers_makes_of_the_same_parameters() -> None:
    wave = tiny.noise(12_345)
    filters = mel_filter_bank(257, 40, 0.0, 8000.0, 16_000, norm=None, mel_scale="htk")
    expected = spectrogram(
        wave,
        window_function(400, "hann"),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=True,
        mel_filters=filters,
        mel_floor=1e-10,
        log_mel="log",
    ).T
    encoder = encoders.load("logmel")
    got = tiny.encode(encoder, [wave])["logmel"].numpy()
    # torch centres a window of 400 in 512 points and mirrors 256 samples at the ends, the other mirrors 200.
    inner = slice(2, -2)
    assert got.shape[1] == 40
    assert len(got) == 12_345 // 160 + 1
    assert abs(len(got) - len(expected)) <= 1
    np.testing.assert_allclose(got[inner], expected[: len(got)][inner], atol=2e-4)


def test_log_mel_of_a_tone_peaks_at_its_filter() -> None:
    wave = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    filters = logmel._mel_filters()
    peak = tiny.encode(encoders.load("logmel"), [wave])["logmel"][10:-10].mean(0).argmax()
    assert peak == filters[:, 32].argmax()  # 1000 Hz is bin 32 of 512 points at 16 kHz
    assert filters.max() <= 1
    assert filters.shape == (40, 257)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("logmel", {"precision": "bfloat16"}),
        ("logmel", {"revision": "main"}),
        ("egemaps", {"precision": "float16"}),
        ("egemaps", {"device": "cuda"}),
        ("egemaps", {"revision": "main"}),
    ],
)
def test_options_that_mean_nothing_are_refused(name: str, options: dict[str, str]) -> None:
    with pytest.raises(EncoderError):
        encoders.load(name, **options)


def test_egemaps_without_opensmile_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any) -> Any:
        if name == "opensmile":
            raise ImportError("No module named 'opensmile'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'sercache\[opensmile\]'"):
        encoders.load("egemaps")


def test_egemaps_has_its_25_descriptors_and_its_licence() -> None:
    opensmile = pytest.importorskip("opensmile")
    encoder: Any = encoders.load("egemaps")
    assert len(encoder.feature_names) == encoder.dims["lld"] == 25
    assert encoder.feature_names[0] == "Loudness_sma3"
    assert encoder.identity["parameters"]["opensmile"] == opensmile.__version__
    assert "commercial" in egemaps.LICENCE
    loud, quiet = (tiny.encode(encoder, [k * tiny.noise(8_000)])["lld"].mean(0)[0] for k in (1.0, 0.1))
    assert loud > 2 * quiet


def test_a_frame_count_that_opensmile_does_not_keep_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opensmile")
    encoder: Any = encoders.load("egemaps")
    monkeypatch.setattr(type(encoder), "n_frames", lambda self, n: 3)
    with pytest.raises(EncoderError, match="openSMILE gave 46 frames for 8000 samples, expected 3"):
        tiny.encode(encoder, [tiny.noise(8_000)])


def test_the_demo_says_that_its_weights_are_random() -> None:
    assert "random weights" in demo.NOTE
    assert "random weights" in demo.SHORT_NAMES["demo-wavlm"]
    assert "random weights" in encoders.identify("demo-wavlm")["source"]


def test_the_demo_has_the_same_weights_everywhere() -> None:
    """Drawn by NumPy and hashed: a change of this digest is a change of every demo result."""
    digest = encoders.identify("demo-wavlm")["weights_sha256"]
    assert digest == encoders.load("demo-wavlm").identity["weights_sha256"]
    assert digest == DEMO_DIGEST


def test_the_demo_runs_packed_and_fast() -> None:
    encoder: Any = encoders.load("demo-wavlm")
    assert encoder.why_stock is None
    waves = [tiny.noise(48_000, seed) for seed in range(4)]
    seconds = []
    for _ in range(3):
        began = time.process_time()
        tiny.encode(encoder, waves)
        seconds.append(time.process_time() - began)
    assert 12.0 / min(seconds) > 30  # x real time on one core; 80 on an idle EPYC of 2021


def test_the_demo_tells_utterances_apart() -> None:
    """Random, not degenerate: blocks differ from each other, and means over time from voice to voice."""
    encoder = encoders.load("demo-wavlm")
    seconds = np.arange(16_000) / 16_000
    low, high = (np.sign(np.sin(2 * np.pi * hertz * seconds)).astype(np.float32) for hertz in (110, 280))
    means = {name: packed.unflatten(0, (2, -1)).mean(1) for name, packed in encoder.encode([low, high])}
    for name, (first, second) in means.items():
        assert tiny.error(first, second) > 0.2, name
    assert torch.corrcoef(torch.stack([means["1"][0], means["4"][0]]))[0, 1] < 0.99


DEMO_DIGEST = "ceec82a4efa5e6e4049e11672a639ba5393bb79886f2e57ef17a08016cf46721"

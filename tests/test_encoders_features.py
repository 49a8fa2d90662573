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
from sercache.encoders import _mel, demo, egemaps
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
    filters = _mel.filters(40, 512, 16_000, 0.0, 8000.0, straight="hertz")
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
        ("egemaps-functionals", {"device": "cuda"}),
        ("mfcc", {"revision": "main"}),
        ("spectrogram", {"precision": "bfloat16"}),
        ("kaldi-fbank", {"precision": "float16"}),
        ("kaldi-fbank", {"revision": "main"}),
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
    assert len(egemaps.feature_names("egemaps")) == encoder.dims["lld"] == 25
    assert egemaps.feature_names("egemaps")[0] == "Loudness_sma3"
    assert encoder.identity["parameters"]["opensmile"] == opensmile.__version__
    assert "commercial" in egemaps.LICENCE
    loud, quiet = (tiny.encode(encoder, [k * tiny.noise(8_000)])["lld"].mean(0)[0] for k in (1.0, 0.1))
    assert loud > 2 * quiet


def test_a_frame_count_that_opensmile_does_not_keep_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opensmile")
    monkeypatch.setattr(egemaps, "_frames", lambda n: 3)
    encoder: Any = encoders.load("egemaps")
    with pytest.raises(
        EncoderError, match="openSMILE gave 46 frames of 25 for 8000 samples, expected 3 of 25"
    ):
        tiny.encode(encoder, [tiny.noise(8_000)])


def test_egemaps_at_20_ms_are_means_of_pairs() -> None:
    pytest.importorskip("opensmile")
    wave = tiny.noise(8_240)  # 47 frames of 10 ms
    fine = tiny.encode(encoders.load("egemaps"), [wave])["lld"]
    coarse = tiny.encode(encoders.load("egemaps-20ms"), [wave])["lld"]
    assert (len(fine), len(coarse)) == (47, 23)
    torch.testing.assert_close(coarse, (fine[0:46:2] + fine[1:46:2]) / 2)


def test_egemaps_functionals_are_one_frame_of_88_for_the_whole_recording() -> None:
    pytest.importorskip("opensmile")
    encoder: Any = encoders.load("egemaps-functionals")
    names = egemaps.feature_names("egemaps-functionals")
    loud, quiet = (tiny.encode(encoder, [k * tiny.noise(16_000)])["functionals"] for k in (1.0, 0.1))
    assert loud.shape == (1, 88) == (1, len(names))
    mean = names.index("loudness_sma3_amean")
    assert loud[0, mean] > 2 * quiet[0, mean]


def kaldi_fbank(wave: np.ndarray) -> np.ndarray:
    """(T, 80) by transformers, which computes it in its own way for the Audio Spectrogram Transformer."""
    bank = mel_filter_bank(
        257, 80, 20, 8000, 16_000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    return spectrogram(
        wave * 2**15,
        window_function(400, "povey", periodic=False),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=bank,
        log_mel="log",
        mel_floor=1.192092955078125e-07,
        remove_dc_offset=True,
    ).T


@pytest.mark.parametrize("n_samples", [400, 559, 560, 16_000, 23_456])
def test_kaldi_fbank_is_what_transformers_computes(n_samples: int) -> None:
    wave = tiny.noise(n_samples) + 0.3  # an offset, which must be taken out
    got = tiny.encode(encoders.load("kaldi-fbank"), [wave])["fbank"].numpy()
    expected = kaldi_fbank(wave)
    assert got.shape == expected.shape == (1 + (n_samples - 400) // 160, 80)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert np.abs(got - expected).mean() < 2e-5


def test_kaldi_fbank_of_one_frame_written_out() -> None:
    """Feature 10 of one frame, number by number from the formulas of Kaldi's documentation."""
    wave = tiny.noise(400)
    x = wave.astype(np.float64) * 32768
    x -= x.mean()
    x = np.append(x[0] - 0.97 * x[0], x[1:] - 0.97 * x[:-1])
    x *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.fft(x, 512)[:257]) ** 2

    def mel(hertz: float) -> float:
        return 1127 * np.log(1 + hertz / 700)

    width = (mel(8000) - mel(20)) / 81
    left = mel(20) + 10 * width
    energy = 0.0
    for k in range(257):
        at = (mel(k * 16_000 / 512) - left) / width
        energy += power[k] * max(0.0, at if at <= 1 else 2 - at)
    got = tiny.encode(encoders.load("kaldi-fbank"), [wave])["fbank"]
    assert float(got[0, 10]) == pytest.approx(np.log(energy), abs=1e-4)


def test_the_two_log_mels_are_one_where_their_windows_lie_alike() -> None:
    """``fbank40`` begins its windows where ``logmel`` would centre them 200 samples later."""
    wave = tiny.noise(8_000)
    late = tiny.encode(encoders.load("logmel"), [wave[40:]])["logmel"]
    early = tiny.encode(encoders.load("fbank40"), [wave])["logmel"]
    assert len(early) == 1 + -(-(8_000 - 400) // 160)
    torch.testing.assert_close(early[1:40], late[2:41], atol=1e-3, rtol=0)
    last = tiny.encode(encoders.load("fbank40"), [np.append(wave, np.zeros(80, np.float32))])["logmel"]
    torch.testing.assert_close(last, early)


def test_mfcc_are_a_cosine_transform_and_its_slopes() -> None:
    from scipy.fft import dct

    wave = tiny.noise(8_000)
    log_mel = tiny.encode(encoders.load("logmel"), [wave])["logmel"].numpy()
    got = tiny.encode(encoders.load("mfcc"), [wave])["mfcc"].numpy()
    cepstra = dct(log_mel, norm="ortho")[:, :13]
    np.testing.assert_allclose(got[:, :13], cepstra, atol=1e-4)
    for k, source in ((1, cepstra), (2, got[:, 13:26])):
        padded = np.pad(source, ((2, 2), (0, 0)), "edge")
        t = len(source)
        slope = (2 * (padded[4:] - padded[:t]) + padded[3 : t + 3] - padded[1 : t + 1]) / 10
        np.testing.assert_allclose(got[:, 13 * k : 13 * (k + 1)], slope, atol=1e-4)


def test_a_spectrogram_is_what_scipy_makes_of_the_same_windows() -> None:
    wave = tiny.noise(9_000)
    got = tiny.encode(encoders.load("spectrogram"), [wave])["magnitude"].numpy()
    assert got.shape == (9_000 // 320 + 1, 257)
    padded = np.pad(wave.astype(np.float64), 256, "reflect")
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400), 56)
    for frame in (0, 7, 28):
        expected = np.abs(np.fft.rfft(padded[320 * frame : 320 * frame + 512] * window))
        np.testing.assert_allclose(got[frame], expected, atol=2e-4)
    assert encoders.load("spectrogram-48k").sample_rate == 48_000
    assert encoders.identify("spectrogram-48k") != encoders.identify("spectrogram")


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

"""Samples that no encoder can take, or that hold no sound, are refused; odd ones are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from sound_files import RATE, voice

from sercache import audio, encoders
from sercache.errors import AudioError


def written(path: Path, samples: np.ndarray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, RATE, subtype)
    return path


def spike(value: float) -> np.ndarray:
    wave = voice(1.0)
    wave[5000] = value
    return wave


REFUSED = {
    "1e30": (voice(1.0) * np.float32(1e30), "overflow"),
    "one spike": (spike(3e38), "overflow"),
    "one negative spike": (spike(-3e38), "overflow"),
    "infinity": (spike(np.inf), "not-finite"),
    "nan": (spike(np.nan), "not-finite"),
    "constant": (np.full(RATE, 0.25, np.float32), "silent"),
    "1e-30": (voice(1.0) * np.float32(1e-30), "silent"),
    "zeros": (np.zeros(RATE, np.float32), "silent"),
    "opposite": (np.stack([voice(1.0), -voice(1.0)], 1), "cancelled"),
    "nearly opposite": (np.stack([voice(1.0), -1.02 * voice(1.0)], 1), "cancelled"),
    "nan beside sound": (np.stack([voice(1.0), spike(np.nan)], 1), "not-finite"),
    "opposite infinities": (np.stack([spike(np.inf), spike(-np.inf)], 1), "not-finite"),
    "opposite giants": (np.stack([spike(3e38), spike(-3e38)], 1), "overflow"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("rate", [RATE, 8_000])
def test_what_is_no_sound_is_refused_at_any_rate(tmp_path: Path, name: str, rate: int) -> None:
    samples, kind = REFUSED[name]
    path = written(tmp_path / "a.wav", samples)
    with pytest.raises(AudioError) as caught:
        audio.read(path, rate)
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


TOLD = {
    "integers as floats": (voice(1.0) * np.float32(32768), "loud"),
    "whisper": (voice(1.0) * np.float32(1e-4), "quiet"),
    "channels nearly cancel": (np.stack([voice(1.0), -0.6 * voice(1.0)], 1), "cancelling"),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_odd_is_read_and_told(tmp_path: Path, name: str) -> None:
    samples, kind = TOLD[name]
    remarks: list[audio.Remark] = []
    wave = audio.read(written(tmp_path / "a.wav", samples), RATE, tell=remarks.append)
    assert np.isfinite(wave).all()
    assert [remark.kind for remark in remarks] == [kind]


@pytest.mark.parametrize("scale", [1.9, 1.0, 1e-3])
def test_ordinary_recordings_are_not_remarked_upon(tmp_path: Path, scale: float) -> None:
    remarks: list[audio.Remark] = []
    stereo = np.stack([voice(1.0), np.roll(voice(1.0), 8)], 1) * np.float32(scale)
    audio.read(written(tmp_path / "a.wav", stereo), RATE, tell=remarks.append)
    assert remarks == []


def test_egemaps_takes_what_goes_over_full_scale_for_full_scale() -> None:
    pytest.importorskip("opensmile")
    encoder = encoders.load("egemaps", device="cpu")
    wave = voice(1.0)
    over = wave / np.abs(wave).max() * np.float32(1.2)
    ((_, clipped),) = encoder.encode([np.clip(over, -1, 32767 / 32768)])
    ((_, frames),) = encoder.encode([over])
    np.testing.assert_array_equal(frames.numpy(), clipped.numpy())


@pytest.mark.parametrize("name", ["logmel", "fbank40", "demo-wavlm"])
def test_encoders_stay_finite_at_the_loudest_and_refuse_more(name: str) -> None:
    encoder = encoders.load(name, device="cpu")
    loudest = voice(0.5) / np.abs(voice(0.5)).max() * np.float32(audio.LOUDEST)
    for _, frames in encoder.encode([loudest]):
        assert np.isfinite(frames.float().numpy()).all()
        assert frames.float().std() > 0
    for wave in (loudest * np.float32(2), spike(np.nan), spike(np.inf)):
        with pytest.raises(AudioError, match="wave 0 "):
            list(encoder.encode([wave]))


def test_remarks_are_counted_by_kind_with_the_first_id() -> None:
    remark = audio.Remark("overshoot", "0.5-1.05 s ends 0.050 s behind 1.000 s")
    lines = list(
        audio.counted([("a", remark), ("b", remark), ("a", remark), ("c", audio.Remark("loud", "far"))])
    )
    assert lines == [
        "2 recordings: segment ends a little behind its recording, and was cut there; first: a: 0.5-1.05 s ends "
        "0.050 s behind 1.000 s",
        "1 recording: far beyond full scale; first: c: far",
    ]

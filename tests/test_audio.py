"""Recordings of every kind come out as mono float32 at the rate asked for, or as one clear line."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache import audio
from sercache.errors import AudioError

RATE = 16_000


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def written(path: Path, samples: np.ndarray, rate: int, subtype: str | None = None) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype, format=path.suffix[1:].upper())
    return path


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_16", 1e-4),
        ("wav", "PCM_24", 1e-6),
        ("wav", "FLOAT", 1e-6),
        ("wav", "ULAW", 3e-2),
        ("flac", "PCM_24", 1e-6),
        ("ogg", "VORBIS", 3e-2),
        ("mp3", "MPEG_LAYER_III", 3e-2),
    ],
)
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_stereo_file_of_any_kind_is_the_mean_of_its_channels(
    tmp_path: Path, suffix: str, subtype: str, tolerance: float, rate: int
) -> None:
    left, right = tone(1.0, rate), 0.5 * tone(1.0, rate, 880.0)
    path = written(tmp_path / f"a.{suffix}", np.stack([left, right], axis=1), rate, subtype)
    assert audio.probe(path) == audio.AudioInfo(rate, 2, rate)
    wave = audio.read(path, RATE)
    assert (wave.dtype, wave.shape, wave.flags.c_contiguous) == (np.float32, (RATE,), True)
    expected = (tone(1.0, RATE) + 0.5 * tone(1.0, RATE, 880.0)) / 2
    middle = slice(RATE // 10, -RATE // 10)  # a resampler and a lossy coder ring at the ends
    assert np.abs(wave - expected)[middle].max() < tolerance


def test_chunks_before_the_samples_are_passed_over(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.wav", tone(0.2, RATE), RATE, "PCM_16").read_bytes()
    extra = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf56.15.102\0"
    at = plain.index(b"data")
    path = tmp_path / "with_list.wav"
    path.write_bytes(
        b"RIFF" + struct.pack("<I", len(plain) - 8 + len(extra)) + plain[8:at] + extra + plain[at:]
    )
    np.testing.assert_array_equal(
        audio.read(path, RATE), audio.read(tmp_path / "plain.wav", RATE), strict=True
    )


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_stretch_is_the_samples_between_its_ends(tmp_path_factory: pytest.TempPathFactory, data) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("stretch") / "a.wav"
    samples = np.linspace(0.1, 0.9, 8_000, dtype=np.float32)
    written(path, samples, 8_000, "FLOAT")
    first = data.draw(st.integers(0, 7_998))
    last = data.draw(st.integers(first + 1, 8_000))
    wave = audio.read(path, 8_000, first / 8_000, last / 8_000)
    np.testing.assert_array_equal(wave, samples[first:last], strict=True)


def test_a_stretch_does_not_depend_on_what_lies_around_it(tmp_path: Path) -> None:
    inside = tone(0.5, 48_000)
    quiet, loud = np.zeros(4_800, np.float32), np.ones(4_800, np.float32)
    among = [written(tmp_path / f"{k}.wav", np.concatenate([x, inside, x]), 48_000, "FLOAT") for k, x in
             enumerate((quiet, loud))]  # fmt: skip
    first, second = (audio.read(path, RATE, 0.1, 0.6) for path in among)
    np.testing.assert_array_equal(first, second, strict=True)
    assert len(first) == RATE // 2


def test_resampling_keeps_what_fits_and_drops_what_would_fold(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(1.0, 48_000, 1_000) + tone(1.0, 48_000, 11_000), 48_000, "FLOAT")
    wave = audio.read(path, RATE)
    assert np.abs(wave - tone(1.0, RATE, 1_000))[1_600:-1_600].max() < 1e-5


def test_a_digest_is_of_the_samples_alone(tmp_path: Path) -> None:
    samples = tone(0.3, RATE)
    paths = [
        written(tmp_path / name, samples, RATE, "PCM_24" if "flac" in name else "FLOAT")
        for name in ("a.wav", "b.flac")
    ]
    again = audio.read(paths[0], RATE)
    assert audio.digest(again) == audio.digest(samples) == audio.digest(samples[::-1][::-1])
    assert audio.digest(again) != audio.digest(again[:-1])
    assert len(audio.digest(again)) == 64


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 123456\n"


def faulty(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{kind}.wav"
    if kind == "lfs":
        path.write_text(LFS)
    elif kind == "garbage":
        path.write_bytes(b"\x00\x01not audio" * 50)
    elif kind == "no-bytes":
        path.write_bytes(b"")
    elif kind == "no-samples":
        written(path, np.zeros(0, np.float32), RATE, "PCM_16")
    elif kind == "silent":
        written(path, np.zeros(RATE, np.float32), RATE, "PCM_16")
    elif kind == "opposite":
        written(path, np.stack([tone(0.1, RATE), -tone(0.1, RATE)], axis=1), RATE, "FLOAT")
    elif kind == "nan":
        written(path, np.where(np.arange(100) == 50, np.nan, 0.1).astype(np.float32), RATE, "FLOAT")
    elif kind == "cut-short":
        whole = written(tmp_path / "whole.wav", tone(1.0, RATE), RATE, "PCM_16").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "folder":
        path.mkdir()
    elif kind == "page":
        path = path.with_suffix(".mp3")
        path.write_bytes(b"<!DOCTYPE html><html>404 Not Found</html>")
    elif kind == "named-mp3":
        path = path.with_suffix(".mp3")
        path.write_bytes(b"no sound at all" * 10)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("folder", "is not a file"),
        ("lfs", "git lfs pull"),
        ("garbage", "cannot be read as audio .*get a whole copy, or write it as WAV or FLAC"),
        (
            "named-mp3",
            "cannot be read as audio .*not recognised.*get a whole copy, or write it as WAV or FLAC",
        ),
        ("page", "is a web page or XML, not audio.*get the file again"),
        ("no-bytes", "is an empty file"),
        ("no-samples", "holds no samples"),
        ("silent", "is silent"),
        ("opposite", "is silent"),
        ("nan", "not finite"),
        ("cut-short", "is cut short"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, kind: str, says: str) -> None:
    path = faulty(tmp_path, kind)
    with pytest.raises(AudioError, match=says) as caught:
        audio.read(path, RATE)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "lfs", "garbage", "no-bytes", "no-samples", "cut-short"])
def test_a_header_that_cannot_be_read_is_seen_by_probe(tmp_path: Path, kind: str) -> None:
    with pytest.raises(AudioError):
        audio.probe(faulty(tmp_path, kind))


def test_a_length_that_a_pipe_left_open_is_no_fault(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path / "a.wav", tone(0.5, RATE), RATE, "PCM_16").read_bytes())
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    path = tmp_path / "piped.wav"
    path.write_bytes(data)
    assert len(audio.read(path, RATE)) == RATE // 2


@pytest.mark.parametrize(
    ("start", "end"),
    [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.5), (1.0, None), (2.0, 3.0), (0.0, 1.5), (float("nan"), 0.5)],
)
def test_a_stretch_outside_the_file_is_refused(tmp_path: Path, start: float, end: float | None) -> None:
    path = written(tmp_path / "a.wav", tone(1.0, RATE), RATE, "PCM_16")
    with pytest.raises(AudioError, match=r"lies outside the recording of 1\.000 s"):
        audio.read(path, RATE, start, end)


def test_an_end_that_was_rounded_up_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(0.996, RATE), RATE, "PCM_16")
    assert len(audio.read(path, RATE, 0.5, 1.0)) == round(0.496 * RATE)


def test_less_than_a_sample_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(1.0, RATE), RATE, "PCM_16")
    with pytest.raises(AudioError, match="shorter than one sample"):
        audio.read(path, RATE, 0.5, 0.500001)

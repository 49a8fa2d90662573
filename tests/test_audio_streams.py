"""Streams that were cut, joined, or state another length than they hold are read whole or refused by name."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
import sound_files
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_files import RATE, flac_stating, mp3_stating, mp3_without_info, voice

from sercache import audio
from sercache.audio import _flac, _mpeg, _ogg
from sercache.errors import AudioError

STREAMS = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS", "opus": "OPUS", "flac": "PCM_16"}
FORMATS = {"opus": "OGG"}


def stream(folder: Path, kind: str, seconds: float, rate: int = RATE) -> bytes:
    path = folder / f"{seconds}.{kind}"
    soundfile.write(path, voice(seconds, rate), rate, STREAMS[kind], format=FORMATS.get(kind, kind.upper()))
    return path.read_bytes()


def decoded(path: Path, rate: int = RATE) -> tuple[np.ndarray, list[str]]:
    """The wave, and the kinds of remarks on it."""
    remarks: list[audio.Remark] = []
    wave = audio.read(path, rate, tell=remarks.append)
    return wave, [remark.kind for remark in remarks]


@pytest.mark.parametrize("kind", STREAMS)
def test_joined_streams_are_each_read_to_its_end(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"a.{kind}").write_bytes(first := stream(tmp_path, kind, 3.0))
    (tmp_path / f"b.{kind}").write_bytes(second := stream(tmp_path, kind, 2.0))
    joined = tmp_path / f"joined.{kind}"
    joined.write_bytes(first + second)
    alone = [audio.read(tmp_path / f"{name}.{kind}", RATE) for name in "ab"]
    wave, remarks = decoded(joined)
    np.testing.assert_array_equal(wave, np.concatenate(alone))
    assert remarks == ["joined"]
    assert audio.probe(joined).n_samples == 5 * RATE
    stretch = audio.read(joined, RATE, 3.5, 4.5)
    # libmpg123 begins anew in the middle of a stream: a rounding apart.
    np.testing.assert_allclose(stretch, alone[1][RATE // 2 : RATE * 3 // 2], atol=2.0**-22)


def test_joined_streams_of_two_rates_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes(stream(tmp_path, "ogg", 1.0) + stream(tmp_path, "ogg", 1.5, 8_000))
    with pytest.raises(AudioError, match="joins streams of 8000 Hz with 1 channels and 16000 Hz"):
        audio.read(path, RATE)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_stream_that_was_cut_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / f"a.{kind}"
    whole = stream(tmp_path, kind, 3.0)
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(AudioError, match="get a whole copy") as caught:
        audio.read(path, RATE)
    assert caught.value.kind in ("truncated", "damaged")


def test_an_ogg_stream_without_end_mark_is_read_with_a_remark(tmp_path: Path) -> None:
    whole = stream(tmp_path, "ogg", 3.0)
    path = tmp_path / "a.ogg"
    path.write_bytes(whole[: whole.rindex(b"OggS")])
    wave, remarks = decoded(path)
    assert remarks == ["unfinished"]
    assert 0 < len(wave) < 3 * RATE


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_a_flipped_bit_and_a_lost_page_of_ogg_are_damage(tmp_path: Path, kind: str) -> None:
    whole = stream(tmp_path, kind, 3.0)
    path = tmp_path / f"a.{kind}"
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    pages = [k for k in range(len(whole)) if whole.startswith(b"OggS", k)]
    for data, says in (
        (bytes(flipped), "fails its checksum"),
        (whole[: pages[-2]] + whole[pages[-1] :], "lacks pages"),
    ):
        path.write_bytes(data)
        with pytest.raises(AudioError, match=says) as caught:
            audio.probe(path)
        assert caught.value.kind == "damaged"


@given(st.binary(max_size=300))
def test_the_checksum_of_ogg_is_the_one_of_its_definition(data: bytes) -> None:
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    assert _ogg.checksum(data) == register


@pytest.mark.parametrize(("stated", "remarks"), [(0, []), (1000, ["header"])])
def test_flac_of_unknown_or_understated_length_is_read_whole(
    tmp_path: Path, stated: int, remarks: list[str]
) -> None:
    whole = stream(tmp_path, "flac", 3.0)
    path = tmp_path / "a.flac"
    path.write_bytes(flac_stating(whole, stated))
    wave, found = decoded(path)
    np.testing.assert_array_equal(wave, audio.read(tmp_path / "3.0.flac", RATE))
    assert found == remarks
    assert audio.probe(path).n_samples == 3 * RATE
    np.testing.assert_array_equal(audio.read(path, RATE, 1.0, 2.0), wave[RATE : 2 * RATE])


@pytest.mark.parametrize("stated", [3 * RATE + 1, 6 * RATE, 2**36 - 1])
def test_flac_that_states_more_than_it_holds_is_refused(tmp_path: Path, stated: int) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac_stating(stream(tmp_path, "flac", 3.0), stated))
    for look in (
        audio.probe,
        lambda path: audio.read(path, RATE),
        lambda path: audio.read(path, RATE, 1.0, 2.0),
    ):
        with pytest.raises(AudioError, match=r"holds 3\.00 s where its header says"):
            look(path)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40_000), st.sampled_from([8_000, 16_000, 48_000]))
def test_the_last_frame_of_flac_tells_its_length(
    tmp_path_factory: pytest.TempPathFactory, n_samples: int, rate: int
) -> None:
    path = tmp_path_factory.mktemp("flac") / "a.flac"
    soundfile.write(path, np.random.default_rng(n_samples).normal(0, 0.1, n_samples), rate)
    data = path.read_bytes()
    assert _flac._last_sample(data[-(2**17) :], int.from_bytes(data[10:12], "big"), -1) == n_samples


@pytest.mark.slow
def test_an_hour_of_flac_silence_is_silence_and_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC") as file:
        for _ in range(60):
            file.write(np.zeros(60 * RATE, np.int16))
    assert path.stat().st_size < 400_000
    path.write_bytes(flac_stating(path.read_bytes(), 0))
    assert audio.probe(path).n_samples == 3600 * RATE
    with pytest.raises(AudioError, match="is silent"):
        audio.read(path, RATE)


LIMITED = """
import resource, sys
from pathlib import Path
import numpy, soundfile, soxr, blake3
from sercache import audio
from sercache.errors import AudioError
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    for look in (audio.probe, lambda path: audio.read(path, 16000), lambda path: audio.read(path, 16000, 0.0, 1.0)):
        try:
            look(Path(name))
        except AudioError:
            pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
"""


def test_memory_is_what_a_file_holds_whatever_its_header_states(tmp_path: Path) -> None:
    names = []
    for kind, make in (("flac", flac_stating), ("mp3", mp3_stating)):
        for k, stated in enumerate((2**31 - 1, 2**28, 0)):
            path = tmp_path / f"{k}.{kind}"
            path.write_bytes(make(stream(tmp_path, kind, 3.0), stated))
            names.append(str(path))
    done = subprocess.run([sys.executable, "-c", LIMITED, *names], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 64 * 2**20


def test_mp3_without_a_stated_length_is_read_to_its_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "vbr.mp3"
    loud_and_still = np.concatenate([voice(3.0), np.zeros(3 * RATE, np.float32), voice(3.0)])
    with soundfile.SoundFile(
        path, "w", RATE, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5
    ) as file:
        file.write(loud_and_still)
    bare = tmp_path / "bare.mp3"
    bare.write_bytes(mp3_without_info(path.read_bytes()))
    with soundfile.SoundFile(bare) as file:
        assert file.frames < 5 * RATE  # libmpg123 guesses from the first bit rate
    wave, remarks = decoded(bare)
    assert remarks == []
    assert 9 * RATE <= len(wave) < 9.2 * RATE
    assert audio.probe(bare).n_samples == len(wave)
    whole = audio.read(path, RATE)
    delay = len(wave) - len(whole)
    best = max(range(delay + 1), key=lambda k: float(np.dot(wave[k : k + len(whole)], whole)))
    assert np.abs(wave[best : best + len(whole)] - whole)[RATE:-RATE].max() < 1e-5


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stretch_of_a_stream_is_that_of_the_whole(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{kind}"
    more = {"mp3": {"bitrate_mode": "CONSTANT", "compression_level": 0.9}}.get(kind, {})
    format = FORMATS.get(kind, kind.upper())
    with soundfile.SoundFile(path, "w", RATE, 1, STREAMS[kind], format=format, **more) as file:
        file.write(voice(30.0))
    whole = audio.read(path, RATE)
    for start in np.arange(0.5, 28.0, 1.7):
        wave = audio.read(path, RATE, start, start + 1.0, tell=pytest.fail)
        first = round(start * RATE)
        # libmpg123 makes filters anew: a rounding apart; Opus adapts to what it decoded.
        np.testing.assert_allclose(
            wave, whole[first : first + RATE], atol=1e-3 if kind == "opus" else 2.0**-20
        )
    assert capfd.readouterr() == ("", "")


def test_mp3_whose_header_states_less_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3_stating(stream(tmp_path, "mp3", 3.0), 10))
    wave, remarks = decoded(path)
    np.testing.assert_array_equal(wave, audio.read(tmp_path / "3.0.mp3", RATE))
    assert remarks == ["header"]


def test_mp3_of_years_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "years.mp3"
    path.write_bytes(mp3_stating(stream(tmp_path, "mp3", 0.5), 2**31 - 1))
    for look in (audio.probe, lambda path: audio.read(path, RATE)):
        with pytest.raises(AudioError, match=r"years\.mp3: holds 0\.\d+ s where its header says 7730"):
            look(path)


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), bytes(1000)])
@pytest.mark.parametrize("kind", STREAMS)
def test_tags_and_zeros_behind_a_stream_are_no_sound(tmp_path: Path, kind: str, tag: bytes) -> None:
    whole = stream(tmp_path, kind, 1.0)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(whole + tag)
    wave, remarks = decoded(path)
    np.testing.assert_array_equal(wave, audio.read(tmp_path / f"1.0.{kind}", RATE))
    assert remarks == []


def test_a_hole_in_mp3_is_damage(tmp_path: Path) -> None:
    whole = stream(tmp_path, "mp3", 3.0)
    path = tmp_path / "a.mp3"
    path.write_bytes(whole[:5000] + bytes([0x55]) * 300 + whole[5300:])
    with pytest.raises(AudioError, match="bytes among its frames are none"):
        audio.read(path, RATE)


@given(st.binary(max_size=8))
def test_any_bytes_are_a_frame_or_none(head: bytes) -> None:
    found = _mpeg.frame(head[:4])
    assert found is None or (found.n_bytes >= 24 and found.n_samples in (384, 576, 1152))


def _wav(seconds: float = 1.0) -> bytes:
    import io

    made = io.BytesIO()
    soundfile.write(made, voice(seconds), RATE, "PCM_16", format="WAV")
    return made.getvalue()


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
def test_a_wav_that_was_never_finished_is_read_to_its_end(tmp_path: Path, riff: int) -> None:
    data = bytearray(_wav())
    (tmp_path / "whole.wav").write_bytes(data)
    at = data.index(b"data")
    data[4:8], data[at + 4 : at + 8] = riff.to_bytes(4, "little"), bytes(4)
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    wave, remarks = decoded(path)
    np.testing.assert_array_equal(wave, audio.read(tmp_path / "whole.wav", RATE))
    assert remarks == ["unfinished"]
    assert audio.probe(path).n_samples == RATE


def test_an_empty_wav_with_metadata_stays_empty(tmp_path: Path) -> None:
    data = bytearray(_wav(0.0))
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(data) + b"LIST" + (4).to_bytes(4, "little") + b"INFO")
    with pytest.raises(AudioError, match="holds no samples"):
        audio.probe(path)


def test_samples_that_a_wav_header_does_not_count_are_told(tmp_path: Path) -> None:
    data = bytearray(_wav())
    at = data.index(b"data")
    data[at + 4 : at + 8] = (2000).to_bytes(4, "little")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    assert decoded(path)[1] == ["trailing"]


def test_another_wav_in_the_place_of_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav()[:20_000] + _wav())
    with pytest.raises(AudioError, match="another recording begins at byte"):
        audio.read(path, RATE)


def test_a_format_that_cannot_seek_is_read(tmp_path: Path) -> None:
    paths = [p for p in sound_files.every_kind(tmp_path, 0.5) if "GSM610" in p.name or "DWVW" in p.name]
    assert len(paths) >= 3
    for path in paths:
        rate = audio.probe(path).rate
        wave = audio.read(path, rate)
        assert len(wave) >= 0.5 * rate
        np.testing.assert_array_equal(audio.read(path, rate, 0.1, 0.3), wave[rate // 10 : rate * 3 // 10])


@pytest.mark.parametrize("rate", [0, 1, 999, 2**31, 2**32 - 1])
def test_absurd_rates_are_refused(tmp_path: Path, rate: int) -> None:
    data = bytearray(_wav())
    data[24:28] = rate.to_bytes(4, "little")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.wav: "):
        audio.read(path, RATE)


@pytest.mark.parametrize("channels", [0, 65, 1024, 65535])
def test_absurd_channels_are_refused(tmp_path: Path, channels: int) -> None:
    data = bytearray(_wav())
    data[22:24] = channels.to_bytes(2, "little")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.wav: "):
        audio.read(path, RATE)


def test_a_header_that_contradicts_itself_is_told(tmp_path: Path) -> None:
    data = bytearray(_wav())
    data[24:28] = (15_000).to_bytes(4, "little")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    assert decoded(path)[1] == ["header"]


def test_names_that_are_no_text_or_promise_no_header_are_read(tmp_path: Path) -> None:
    for name in (b"\xe9.wav", b"a.raw"):
        path = Path(str(tmp_path)) / name.decode(errors="surrogateescape")
        try:
            path.write_bytes(_wav())
        except OSError:
            pytest.skip("this disk takes no such name")
        assert len(audio.read(path, RATE)) == RATE


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_long_recordings_are_resampled_to_the_same_bits_in_blocks(tmp_path: Path, rate: int) -> None:
    import soxr

    wave = voice(20.0, rate)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([wave, wave[::-1]], 1), rate, "FLOAT")
    expected = soxr.resample(np.stack([wave, wave[::-1]], 1).mean(1, dtype=np.float32), rate, RATE, "VHQ")
    np.testing.assert_array_equal(audio.read(path, RATE), expected)


def test_more_than_memory_should_hold_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(2.0))
    monkeypatch.setattr(audio, "LONGEST", 1.5)
    with pytest.raises(AudioError, match="--clip split:30") as caught:
        audio.read(path, RATE)
    assert caught.value.kind == "too-long"
    assert len(audio.read(path, RATE, 0.0, 1.0)) == RATE


def test_what_libmpg123_writes_belongs_to_its_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = stream(tmp_path, "mp3", 3.0)
    damaged = None
    for at in range(3000, len(whole), 7):  # a place where the decoder notices
        data = bytearray(whole)
        data[at : at + 3] = b"\xa5\x5a\xa5"
        path = tmp_path / f"{at}.mp3"
        path.write_bytes(data)
        try:
            decoded(path)
        except AudioError as fault:
            if fault.kind == "damaged" and "frames are none" not in str(fault):
                damaged = path
                break
    assert damaged is not None
    good = tmp_path / "3.0.mp3"
    kinds: list[str] = []

    def work(path: Path) -> None:
        for _ in range(5):
            try:
                audio.read(path, RATE)
                kinds.append("read")
            except AudioError as fault:
                kinds.append(fault.kind)

    threads = [threading.Thread(target=work, args=(path,)) for path in (damaged, good, good)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds) == ["damaged"] * 5 + ["read"] * 10
    assert capfd.readouterr() == ("", "")

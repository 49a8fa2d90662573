"""Windows over long recordings: what is local stays exact, nothing is dropped, memory stays in bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import hypothesis
import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sercache import clips, encoders
from sercache.encoders import _windows
from sercache.encoders._windows import Windowed, Windows, windowed
from sercache.encoders.hf_speech import _packed
from sercache.errors import EncoderError, SettingsError

BOUND = 2e-5
RULE = "window:1:0.2"  # 50 frames a second: windows of 50 frames, 10 given up
LONG = 16_000 * 3 + 123


def load(name: str, folder: Path, clip: str = "none") -> Any:
    return encoders.load(str(tiny.save(tiny.tiny_model(name), folder)), clip=clip)


@hypothesis.given(st.integers(1, 3000), st.integers(2, 40), st.integers(1, 300))
def test_windows_keep_each_frame_once_with_its_context(n_frames: int, context: int, more: int) -> None:
    windows = Windows(2 * context + more, context)
    cut = windows.over(n_frames)
    assert [k for window in cut for k in range(window.first, window.last)] == list(range(n_frames))
    for window in cut:
        assert 0 < window.stop - window.start <= windows.seen
        assert window.first - window.start >= context or window.first == window.start == 0
        assert window.stop - window.last >= context or window.last == window.stop == n_frames
    assert (len(cut) == 1) is (n_frames <= windows.seen)


@pytest.mark.parametrize(
    ("text", "written"),
    [("window:30:5", "window:30:5"), (" window:30s:5s+repeat:3", "repeat:3+window:30:5")],
)
def test_window_rules_are_read_and_written(text: str, written: str) -> None:
    rule = clips.parse(text)
    assert (rule.kind, rule.seconds, rule.context) == ("window", 30, 5)
    assert str(rule) == written
    assert clips.parse(written) == rule
    assert clips.cut(10**8, 16_000, rule, 400) == [(0, 10**8)]
    assert clips.entry_ids("a", 1, rule) == ["a"]


@pytest.mark.parametrize("text", ["window:30", "window:30:15", "window:30:0", "window:5:30", "window::5"])
def test_window_rules_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SettingsError, match="window:<seconds>:<context>"):
        clips.parse(text)


@pytest.mark.parametrize("name", ["wav2vec2-base", "wavlm-large", "data2vec-audio", "hubert-large"])
def test_states_below_the_blocks_are_exact_and_blocks_see_windows(name: str, tmp_path: Path) -> None:
    plain = load(name, tmp_path)
    encoder = load(name, tmp_path, RULE)
    waves = [tiny.noise(4_000), tiny.noise(LONG), tiny.noise(700), tiny.noise(20_000)]
    whole, seen = tiny.encode(plain, waves), tiny.encode(encoder, waves)
    assert list(seen) == list(whole)
    lengths = [plain.n_frames(len(wave)) for wave in waves]
    for state in ("conv", "projection", "input"):
        assert torch.equal(seen[state], whole[state])
    forward = plain._forward
    run = _packed._pre_norm_block if forward.pre_norm else _packed._post_norm_block
    for k, x in enumerate(whole["input"].split(lengths)):
        for window in Windows(50, 10).over(lengths[k]):
            stretch = x[window.start : window.stop]
            kept = slice(window.first - window.start, window.last - window.start)
            for state, alone in forward._whole(stretch, [len(stretch)], run):
                got = seen[state].split(lengths)[k][window.first : window.last]
                assert tiny.error(got, alone[kept]) <= BOUND, state
    last = plain.states[-1]
    assert tiny.error(seen[last].split(lengths)[1], whole[last].split(lengths)[1]) > 100 * BOUND


def test_recordings_within_a_window_are_encoded_as_they_are(tmp_path: Path) -> None:
    plain, encoder = load("wavlm-base", tmp_path), load("wavlm-base", tmp_path, RULE)
    waves = [tiny.noise(16_000), tiny.noise(700)]
    whole, seen = tiny.encode(plain, waves), tiny.encode(encoder, waves)
    assert all(torch.equal(seen[state], whole[state]) for state in whole)


def test_what_is_above_the_last_state_is_not_computed_through_windows(tmp_path: Path) -> None:
    encoder = load("wavlm-base", tmp_path, RULE)
    assert list(tiny.encode(encoder, [tiny.noise(LONG)], ["1"])) == ["1"]


def test_a_window_of_whisper_is_a_recording_of_its_own(tmp_path: Path) -> None:
    folder = tiny.tiny_whisper(tmp_path)
    plain, encoder = encoders.load(str(folder)), encoders.load(str(folder), clip="window:2:0.2")
    wave = tiny.noise(LONG + 64_000)
    assert encoder.max_samples is None
    packed = tiny.encode(encoder, [wave, wave[:9_000]])
    n_frames = plain.n_frames(len(wave))
    assert packed["final"].shape == (n_frames + plain.n_frames(9_000), 24)
    step, given_up = 25_600, 10
    for state in ("input", "2", "final"):
        first = tiny.encode(plain, [wave[:32_000]], [state])[state]
        second = tiny.encode(plain, [wave[step : step + 32_000]], [state])[state]
        rest = tiny.encode(plain, [wave[4 * step :]], [state])[state]
        got = packed[state][:n_frames]
        assert torch.equal(got[:90], first[:90])
        assert torch.equal(got[90 : 80 + 90], second[given_up:90])
        assert torch.equal(got[4 * 80 + given_up :], rest[given_up:])


def test_the_stock_path_takes_windows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_packed, "fault", lambda model: "as a test")
    encoder = load("wav2vec2-large", tmp_path, RULE)
    assert isinstance(encoder, Windowed)
    assert encoder.name == tmp_path.name
    (packed,) = tiny.encode(encoder, [tiny.noise(LONG)], ["3"]).values()
    assert len(packed) == encoder.n_frames(LONG)


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        ("window:4:0.5", "takes 2 s at once"),
        ("window:1:0.01", "needs a context of 0.04 s or more"),
    ],
)
def test_windows_that_do_not_suit_the_encoder_are_refused(tmp_path: Path, clip: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        encoders.load(str(tiny.tiny_whisper(tmp_path)), clip=clip)


def test_frames_that_cannot_be_joined_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoders.load(str(tiny.tiny_whisper(tmp_path)), clip="window:2:0.2")
    monkeypatch.setattr(encoder._encoder, "n_frames", lambda n: n // 320 // 2)
    with pytest.raises(EncoderError, match="cannot be joined"):
        list(encoder.encode([tiny.noise(LONG)]))


def test_windows_are_put_on_once_and_only_where_asked_for(tmp_path: Path) -> None:
    plain = load("wavlm-base", tmp_path)
    assert windowed(plain, clips.parse("split:3")) is plain
    once = windowed(plain, clips.parse(RULE))
    assert once is not plain
    assert windowed(once, clips.parse(RULE)) is once
    assert plain._forward.windows is None
    assert _windows.windowed(once, clips.parse("window:2:0.2"))._forward.windows == Windows(100, 10)


_PEAK = """
import resource, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import encoder_helpers as tiny
from sercache import encoders
encoder = encoders.load(sys.argv[2], clip=sys.argv[3])
list(encoder.encode([tiny.noise(16_000)]))
wave = tiny.noise(int(sys.argv[4]) * 16_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, packed in encoder.encode([wave], ["2"]):
    assert len(packed) == encoder.n_frames(len(wave))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, packed.nbytes / 2**20)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wavlm-large", "wav2vec2-base"])
def test_half_an_hour_takes_little_memory_beside_its_states(name: str, tmp_path: Path) -> None:
    folder = tiny.save(tiny.tiny_model(name), tmp_path)
    command = [sys.executable, "-c", _PEAK, str(Path(__file__).parent), str(folder), "window:30:5", "1800"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    taken, state = map(float, said)
    wave = 1800 * 16_000 * 4 / 2**20
    # Waves, as given, normalised and padded, and some states: never (T, T).
    assert taken < 4 * wave + 10 * state, said
    assert np.isfinite(taken)

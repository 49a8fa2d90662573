"""Clip rules that cut silence: what is cut, by what, what is kept whole, and that the spec says so."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from evaluations import noted
from hypothesis import given
from hypothesis import strategies as st
from test_extraction import RATE, Squares

from sercache import audio, clips, extraction, speech, stores
from sercache.datasets import Corpus, manifest
from sercache.errors import MissingExtraError, SettingsError, StoreError

SIZE = round(0.02 * RATE)
"""Samples of the frames by which loudness is told."""


def sounded(before: int, n: int, after: int) -> np.ndarray:
    """Frames of quiet noise, of loud noise and of quiet noise again."""
    chance = np.random.RandomState(n)
    wave = chance.standard_normal((before + n + after) * SIZE) * 1e-4
    wave[before * SIZE : (before + n) * SIZE] += chance.standard_normal(n * SIZE) * 0.1
    return wave.astype(np.float32)


@given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 20), st.floats(20, 50))
def test_what_is_quieter_by_so_much_is_cut_at_both_ends(
    before: int, n: int, after: int, decibels: float
) -> None:
    rule = clips.parse(f"silence:{decibels}")
    assert speech.span(sounded(before, n, after), RATE, rule) == (before * SIZE, (before + n) * SIZE)


@given(st.integers(1, 3 * SIZE))
def test_any_wave_has_a_loudest_frame(n: int) -> None:
    start, stop = speech.span(np.ones(n, np.float32), RATE, clips.parse("silence:1")) or (0, 0)
    assert (start, stop) == (0, n)


@pytest.mark.parametrize(
    ("text", "written"),
    [("vad", "vad"), ("silence:40dB", "silence:40"), ("vad+trim:15s", "vad+trim:15"), ("vad+none", "vad"),
     ("silence:30+window:30:5", "silence:30+window:30:5"), ("vad+whole", "vad+whole")],
)  # fmt: skip
def test_rules_are_written_as_they_are_read(text: str, written: str) -> None:
    assert str(clips.parse(text)) == written
    assert clips.parse(written) == clips.parse(text)


@pytest.mark.parametrize(
    "text",
    ["vad:1", "silence", "silence:0", "silence:-3", "vad+split:5", "vad+repeat:3", "vad+vad", "trim:5+vad"],
)
def test_what_counts_pieces_cannot_follow(text: str) -> None:
    with pytest.raises(SettingsError, match="a clip rule is"):
        clips.parse(text)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Recordings with silence around 10 and 300 frames, the latter longer than the encoder takes, and one all alike."""
    folder, rows = tmp_path_factory.mktemp("corpus"), ["id,path,label"]
    for name, wave in (
        ("short", sounded(5, 10, 9)),
        ("long", sounded(300, 300, 30)),
        ("even", sounded(0, 20, 0)),
    ):
        soundfile.write(folder / f"{name}.wav", wave, RATE, subtype="FLOAT")
        rows.append(f"{name},{name}.wav,a")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv")


def fill(corpus: Corpus, folder: Path, clip: str) -> tuple[stores.FeatureStore, extraction.Extraction]:
    encoder = Squares()
    spec = extraction.feature_spec(encoder, corpus, dtype="float32", clip=clip)
    plan = extraction.make_plan(encoder, corpus.utterances, spec, folder)
    with noted():
        done = extraction.extract(plan, encoder, stores.create(folder, spec), stores.open(folder))
    return stores.open(folder), done


@pytest.mark.parametrize(("clip", "n_long"), [("silence:40", 300), ("silence:40+trim:0.4", 20)])
def test_features_are_those_of_what_is_left(corpus: Corpus, tmp_path: Path, clip: str, n_long: int) -> None:
    """A recording that is too long with its silence is encoded without it."""
    store, done = fill(corpus, tmp_path / "store", clip)
    assert not done.skipped
    for id, start, n in (("short", 5, 10), ("long", 300, n_long), ("even", 0, 20)):
        wave = audio.read(corpus.root / f"{id}.wav", RATE)[start * SIZE : (start + n) * SIZE]
        assert store.entries()[id].audio_digest == audio.digest(wave)
        (_, expected), *_ = Squares().encode([wave], ("1",))
        np.testing.assert_array_equal(store.read(id)[0], expected.numpy())
    assert "speech" not in store.spec.to_json()


class Heard:
    """A detector that hears speech where the wave is loud."""

    def load_silero_vad(self) -> None: ...

    def get_speech_timestamps(self, wave: Any, model: None, sampling_rate: int) -> list[dict[str, int]]:
        loud = np.flatnonzero(np.abs(wave.numpy()) > 0.02)
        return [{"start": int(loud[0]), "end": int(loud[-1]) + 1}] if len(loud) else []


def test_the_detector_is_part_of_the_spec_and_where_it_hears_nothing_all_is_kept(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "_silero", Heard)
    monkeypatch.setattr(speech, "_called", lambda: "heard 1")
    monkeypatch.setattr(speech, "_own", SimpleNamespace())
    quiet = corpus.root / "even.wav"
    before = quiet.read_bytes()
    soundfile.write(quiet, sounded(0, 20, 0) * 0.01, RATE, subtype="FLOAT")
    store, done = fill(corpus, tmp_path / "store", "vad")
    quiet.write_bytes(before)
    lengths = {id: entry.n_samples / SIZE for id, entry in store.entries().items()}
    assert lengths == {"short": pytest.approx(10, abs=0.2), "long": pytest.approx(300, abs=0.2), "even": 20}
    assert [(id, remark.kind) for id, remark in done.remarked] == [("even", "no-speech")]
    assert (store.spec.speech, store.spec.sound) == ("heard 1", "vad by heard 1")
    monkeypatch.setattr(speech, "_called", lambda: "heard 2")
    with pytest.raises(StoreError, match=r"heard 1.*heard 2"):
        extraction.make_plan(Squares(), corpus.utterances, store.spec, store.path)
    assert not store.spec.is_held_by(extraction.feature_spec(Squares(), corpus, dtype="float32", clip="vad"))


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "silero_vad", None)
    speech._called.cache_clear()
    with pytest.raises(MissingExtraError, match=r"sercache\[vad\]"):
        speech.detector(clips.parse("vad"))
    assert speech.detector(clips.parse("silence:40")) == ""


def test_the_detector_hears_no_speech_in_noise_and_leaves_torch_its_threads() -> None:
    import torch

    pytest.importorskip("silero_vad")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        speech._called.cache_clear()
        assert speech.detector(clips.parse("vad")).startswith("silero-vad 6.")
        assert speech.span(sounded(5, 40, 5), RATE, clips.parse("vad")) is None
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.real_data
def test_the_detector_cuts_the_edges_of_real_speech_the_same_each_time() -> None:
    pytest.importorskip("silero_vad")
    if not os.environ.get("SERCACHE_REAL_DATA"):
        pytest.skip("SERCACHE_REAL_DATA is not set: no real EMO-DB at hand")
    folder = Path(os.environ["SERCACHE_REAL_DATA"]) / "emodb" / "wav"
    wave = audio.read(min(folder.glob("*.wav")), 16000)
    rule, padded = (
        clips.parse("vad"),
        np.concatenate([np.zeros(16000), wave, np.zeros(16000)]).astype(np.float32),
    )
    found = [speech.span(padded, 16000, rule) for _ in range(3)]
    assert found[0] is not None
    assert found[0] == found[1] == found[2]
    assert 15000 <= found[0][0] < found[0][1] <= len(wave) + 17000

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

from sercache.datasets import demo, manifest
from sercache.errors import CorpusError, MissingExtraError

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the extra `demo` is not installed"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "below" / "corpus"
    demo.read(root)
    return root


@needs_espeak
def test_what_is_made(made):
    corpus = demo.read(made)
    assert Counter(corpus.labels().values()) == dict.fromkeys(
        ("anger", "happiness", "neutral", "sadness"), 100
    )
    assert Counter(u.language for u in corpus.utterances) == dict.fromkeys(("en", "de", "es", "el", "zh"), 80)
    assert len({u.speaker for u in corpus.utterances}) == 10
    assert all(len({u.speaker for u in corpus.utterances if u.group == g}) == 2 for g in ("D01", "D05"))
    texts = {(u.sentence, u.transcript) for u in corpus.utterances}
    assert len(texts) == 25
    for sentence, _ in texts:
        spoken = Counter(u.raw_label for u in corpus.utterances if u.sentence == sentence)
        assert len(set(spoken.values())) == 1, "a text that goes with one emotion would give it away"
    info = [soundfile.info(u.path) for u in corpus.utterances]
    assert {(i.samplerate, i.channels) for i in info} == {(16_000, 1)}
    assert 600 < sum(i.duration for i in info) < 1200
    assert not list(made.parent.glob(".*")), "the working folder is left behind"


@needs_espeak
def test_recordings_are_speech_not_silence_nor_clipped(made):
    for u in demo.read(made).utterances[::20]:
        wave, _ = soundfile.read(u.path)
        assert np.abs(wave).max() > 0.05
        assert np.mean(np.abs(wave) > 0.999) < 1e-3


@needs_espeak
@pytest.mark.slow
def test_reading_again_makes_nothing_and_gives_the_same(made):
    stamp = (made / "digests.json").stat().st_mtime_ns
    first, second = demo.read(made), demo.read(made)
    assert first == second
    assert (made / "digests.json").stat().st_mtime_ns == stamp


@needs_espeak
def test_it_is_a_manifest_too(made):
    assert manifest.read(made).utterances == demo.read(made).utterances


@needs_espeak
@pytest.mark.parametrize("fault", ["changed", "missing", "table", "record"])
def test_damage_is_found(made, tmp_path, fault):
    root = tmp_path / "copy"
    shutil.copytree(made, root)
    victim = root / "wav" / "D01F_en1_anger.wav"
    if fault == "changed":
        data = bytearray(victim.read_bytes())
        data[-1] ^= 1
        victim.write_bytes(data)
    elif fault == "missing":
        victim.unlink()
    elif fault == "table":
        (root / "manifest.csv").write_text("path,label\n")
    else:
        (root / "digests.json").write_text("{")
    with pytest.raises(CorpusError, match=f"delete {root} to have it made again"):
        demo.read(root)


@needs_espeak
def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(CorpusError, match="holds other files"):
        demo.read(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@needs_espeak
def test_a_stopped_making_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    some = list(demo.script())[:12]
    monkeypatch.setattr(demo, "script", lambda: some)
    monkeypatch.setattr(demo, "_write_table", stop)
    with pytest.raises(KeyboardInterrupt):
        demo.read(tmp_path / "corpus")
    assert not list(tmp_path.iterdir())


def test_without_espeak_the_install_line_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        demo.read(tmp_path / "corpus")
    assert not list(tmp_path.iterdir())

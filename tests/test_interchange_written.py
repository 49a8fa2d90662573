"""Corpora written as other tools describe them: read back they are the same, and their owners' packages read them."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import corpus_trees
import numpy as np
import pytest
from conftest import Outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sercache as ser
from sercache import audio, catalog, datasets
from sercache.datasets import Corpus, CorpusInfo, Utterance
from sercache.errors import CorpusError, DiskSpaceError, SettingsError
from sercache.experiment import corpus_files

Sercache = Callable[..., Outcome]
FORMS = sorted(datasets.writers())
NEEDED = {"audformat": "audformat", "huggingface": "pyarrow"}
SECONDS = 0.5

letters = st.characters(exclude_categories=("C", "Zl", "Zp", "Zs"), exclude_characters="$\ufeff\u200b")
words = st.text(letters, min_size=1, max_size=8)
texts = st.lists(words, min_size=1, max_size=3).map(" ".join).filter(lambda text: text == text.strip())
"""Words of any script, with commas, quotes and whatever else is printed."""


@st.composite
def corpora(draw: st.DrawFn, recordings: tuple[Path, ...]) -> Corpus:
    """Utterances of a few recordings, whole and cut, with whatever fields."""
    n = draw(st.integers(1, 6))
    ids = draw(st.lists(texts, min_size=n, max_size=n, unique_by=lambda text: text.casefold()))
    labels = draw(st.lists(texts, min_size=1, max_size=3, unique_by=str.casefold))
    parts = draw(st.sampled_from([("",), ("train", "dev", "test"), ("test",)]))
    found = []
    for number, id in enumerate(ids):
        first = 500 * number + draw(st.integers(0, 400))
        span = (first / 8000, (first + draw(st.integers(100, 900))) / 8000)
        whole = number < len(recordings) and draw(st.booleans())
        start, end = (None, None) if whole else span
        u = Utterance(id, recordings[number % len(recordings)], draw(st.sampled_from(labels)), "s1")
        u = dataclasses.replace(
            u, start=start, end=end, partition=draw(st.sampled_from(parts)), language="en"
        )
        u = dataclasses.replace(u, transcript=draw(st.none() | texts), sex=draw(st.sampled_from(["F", "M"])))
        speaker, group = draw(st.sampled_from(["s1", "Zoë B"])), draw(st.sampled_from(["", "g,1"]))
        found.append(dataclasses.replace(u, speaker=speaker, group=group))
    info = CorpusInfo(
        "T", "any", None, None, "free", "", "", {"label": {label: label for label in labels}}, "label"
    )
    return Corpus("mine", "1", recordings[0].parent, info, tuple(sorted(found, key=lambda u: u.id)))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("recordings") / "with spaces, and – dashes"
    return tuple(
        corpus_trees.write_wav(folder / f"{name}.wav", SECONDS, 8000) for name in ("a b", "c.d", "é")
    )


def needs(form: str) -> None:
    if form in NEEDED and importlib.util.find_spec(NEEDED[form]) is None:
        pytest.skip(f"the package {NEEDED[form]} is not installed")


def comparable(u: Utterance) -> tuple[object, ...]:
    """What every format keeps of an utterance; of its times the samples."""
    samples = audio.read(u.path, 8000, u.start, u.end)
    fields = (u.id, u.raw_label, u.speaker, u.group, u.partition, u.sex, u.language)
    return (*fields, " ".join((u.transcript or "").split()), audio.digest(samples))


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_as_it_was(
    form: str, data: st.DataObject, recordings: tuple[Path, ...], tmp_path: Path
) -> None:
    needs(form)
    corpus = data.draw(corpora(recordings))
    out = tmp_path / form
    shutil.rmtree(out, ignore_errors=True)
    corpus_files.write(corpus, form, out, copy_audio=data.draw(st.booleans()))
    back = catalog.load("sercache.datasets", form).read(out)
    assert back.name == "mine"
    assert [comparable(u) for u in back.utterances] == [comparable(u) for u in corpus.utterances]


@pytest.fixture
def toy(recordings: tuple[Path, ...]) -> Corpus:
    """Two speakers, one recording that is cut in two, parts and attributes."""
    a, b, c = recordings
    utterances = (
        Utterance("u1", a, "anger", "s1", start=0.125, end=0.25, partition="train", transcript="Oh, no", sex="F",
                  language="en", attributes={"arousal": 4.0, "valence": 2.0, "dominance": 3.0}),
        Utterance("u2", a, "sad", "s1", start=0.25, end=0.375, partition="train", sex="F", language="en"),
        Utterance("u3", b, "sad", "s2", partition="dev", sex="M", language="en"),
        Utterance("u4", c, "anger", "s2", partition="test", sex="M", language="en", soft_label={"anger": 1.0}),
    )  # fmt: skip
    tasks = {"label": {"anger": "anger", "sad": "sadness"}}
    info = CorpusInfo("T", "en", 2, None, "free", "", "", tasks, "label", attribute_range=(1, 5))
    return Corpus("toy", "1", a.parent, info, utterances)


def test_recordings_in_containers_hold_the_samples_of_their_stretch(toy: Corpus, tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match="not written, since the format has no place for it: shares of raters of 1"
    ):
        out = corpus_files.write(toy, "webdataset", tmp_path / "w")
    first = next(u for u in datasets.read("webdataset", out).utterances if u.id == "u1")
    assert (first.start, first.attributes) == (None, {"arousal": 4.0, "valence": 2.0, "dominance": 3.0})
    expected = audio.read(toy.utterances[0].path, 16_000, 0.125, 0.25)
    np.testing.assert_array_equal(audio.read(first.path, 16_000), expected)


def test_a_corpus_in_containers_is_written_with_copies(toy: Corpus, tmp_path: Path) -> None:
    quiet = dataclasses.replace(toy, utterances=toy.utterances[2:3])
    packed = datasets.read("webdataset", corpus_files.write(quiet, "webdataset", tmp_path / "w"))
    out = corpus_files.write(packed, "kaldi", tmp_path / "k")
    [u] = datasets.read("kaldi", out).utterances
    assert u.path == out / "audio" / "dev-000000.tar" / "000000000.wav"
    assert u.path.read_bytes() == quiet.utterances[0].path.read_bytes()


def test_what_cannot_be_written_is_said_first(
    sercache: Sercache, tmp_path: Path, toy: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = corpus_trees.TREES["manifest"](tmp_path / "m"), tmp_path / "out"

    def refused(*call: object) -> str:
        done = sercache("export", *call, "--out", out)
        assert done.code == 2
        assert not out.exists()
        return done.err.splitlines()[-1]

    mine = ("--dataset", "manifest", "--root", root)
    assert "say what to make of a corpus; --to takes audformat, emobox" in refused(*mine)
    assert "a corpus is not written as npy, which is of a store; --to takes" in refused(*mine, "--to", "npy")
    assert "leave out what is of others (seed)" in refused(*mine, "--to", "kaldi", "--seed", 1)
    assert "name one thing to write: a run, a store, or a corpus" in refused("--to", "kaldi")
    assert "name one thing to write" in refused(tmp_path, *mine, "--to", "kaldi")
    assert "--root and --copy-audio are of a corpus" in refused(tmp_path, "--copy-audio")
    with pytest.raises(SettingsError, match="exists already"):
        corpus_files.write(toy, "kaldi", tmp_path)
    pytest.importorskip("audformat")
    twice = (toy.utterances[2], dataclasses.replace(toy.utterances[2], id="u9"))
    with pytest.raises(
        CorpusError, match="u3 and u9 are one stretch of one recording, which audformat has once"
    ):
        corpus_files.write(dataclasses.replace(toy, utterances=twice), "audformat", out)
    strange = dataclasses.replace(toy.utterances[2], transcript="costs $5")
    with pytest.raises(
        CorpusError, match=r"SpeechBrain takes a word behind \$ for a placeholder, got 'costs \$5'"
    ):
        corpus_files.write(dataclasses.replace(toy, utterances=(strange,)), "speechbrain", out)
    monkeypatch.setattr(corpus_files.extraction, "free_bytes", lambda folder: 1000)
    with pytest.raises(DiskSpaceError, match="its disk has 1"):
        corpus_files.write(toy, "webdataset", out)
    assert not out.exists()


def test_the_command_and_python(sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = corpus_trees.TREES["manifest"](tmp_path / "m")
    done = sercache("export", "--dataset", "manifest:mine", "--root", root, "--to", "lhotse")
    assert done.code == 0, done.err
    assert "it is read as --dataset lhotse:mine --root mine-lhotse" in done.out
    with pytest.warns(UserWarning, match="columns of manifest.csv that are not used: colour"):
        out = ser.export(dataset="manifest:mine", root=root, to="manifest", copy_audio=True, progress=False)
    shutil.rmtree(root)
    assert len(datasets.read("manifest", out).utterances) == 12

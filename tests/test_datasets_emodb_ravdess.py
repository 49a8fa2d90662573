from __future__ import annotations

import os
from pathlib import Path

import corpus_trees
import pytest

from sercache.datasets import check, emodb, ravdess
from sercache.errors import CorpusError, UnknownNameError


def test_emodb_fields(tmp_path):
    corpus = emodb.read(corpus_trees.emodb(tmp_path))
    assert len(corpus.utterances) == 70
    sad = corpus.by_id()["08a01Tb"]
    assert (sad.raw_label, sad.speaker, sad.sex, sad.sentence) == ("T", "08", "F", "a01")
    assert sad.transcript == "Der Lappen liegt auf dem Eisschrank."
    assert corpus.labels()["08a01Tb"] == "sadness"
    assert corpus.by_id()["16a01Wa"].path.suffix == ".WAV"
    assert {u.speaker for u in corpus.utterances if u.sex == "M"} == {"03", "10", "11", "12", "15"}
    assert "4class" in corpus.info.tasks
    assert len(corpus.labels("4class")) == 40


def test_emodb_bare_wav_folder_and_strange_names(tmp_path):
    corpus_trees.emodb(tmp_path)
    corpus_trees.write_wav(tmp_path / "wav" / "03a01Xa.wav")
    corpus_trees.touch(tmp_path / "wav" / "03a02Wa.wav", corpus_trees.LFS_POINTER)
    corpus = emodb.read(tmp_path / "wav")
    assert len(corpus.utterances) == 71
    assert [s.what for s in corpus.skipped] == ["03a01Xa.wav"]


def test_emodb_warns_once_about_missing_classes(tmp_path):
    corpus = emodb.read(corpus_trees.emodb(tmp_path, letters="WFNT"))
    assert corpus.classes() == ["anger", "happiness", "neutral", "sadness"]
    assert corpus.missing_classes() == ["boredom", "disgust", "fear"]
    (warning,) = corpus.warnings
    assert "no utterance of boredom, disgust, fear" in warning


def test_emodb_release_2_keeps_the_classic_utterances(tmp_path):
    tmp_path = tmp_path / "emodb"
    corpus_trees.emodb(tmp_path)
    corpus_trees.write_text(tmp_path / "db.yaml", "name: emodb\n")
    with pytest.raises(CorpusError, match="gold_standard"):
        emodb.read(tmp_path)
    for part, stem in (("train", "03a01Wa"), ("test", "08a01Tb")):
        corpus_trees.write_text(
            tmp_path / f"db.emotion.categories.{part}.gold_standard.csv",
            f"file,emotion,emotion.confidence\nwav/{stem}.wav,anger,0.9\n",
        )
    corpus = emodb.read(tmp_path)
    assert [u.id for u in corpus.utterances] == ["03a01Wa", "08a01Tb"]
    assert corpus.release == "2.0"
    assert len(corpus.skipped) == 68
    assert len(emodb.read(tmp_path.parent).utterances) == 2, "also from the folder above"


def test_emodb_hints_at_what_was_found(tmp_path):
    (tmp_path / "Session1").mkdir()
    with pytest.raises(CorpusError, match=r"03a01Fa\.wav under .* found Session1/"):
        emodb.read(tmp_path)


def test_unknown_task_subset_and_setup(tmp_path):
    corpus = ravdess.read(corpus_trees.ravdess(tmp_path, actors=1))
    with pytest.raises(UnknownNameError, match="did you mean 8class"):
        corpus.labels("8-class")
    with pytest.raises(UnknownNameError, match="subset of ravdess 'speach'; did you mean speech"):
        corpus.labels("8class@speach")


@pytest.mark.real_data
def test_emodb_real_copy():
    folder = os.environ.get("SERCACHE_REAL_DATA")
    if not folder:
        pytest.skip("SERCACHE_REAL_DATA is not set: no real EMO-DB at hand")
    corpus = emodb.read(Path(folder) / "emodb")
    assert len(corpus.utterances) == 339
    assert not corpus.skipped
    assert corpus.warnings == (
        "339 of 535 published utterances of 7class; no utterance of boredom, disgust, fear",
    )
    counts = {c: list(corpus.labels().values()).count(c) for c in corpus.classes()}
    assert counts == {"anger": 127, "happiness": 71, "neutral": 79, "sadness": 62}


def test_ravdess_fields_and_tasks(tmp_path):
    corpus = ravdess.read(corpus_trees.ravdess(tmp_path, actors=2))
    assert len(corpus.utterances) == 2 * (8 + 6)
    song = corpus.by_id()["03-02-02-01-01-01-02"]
    assert (song.raw_label, song.speaker, song.sex) == ("calm", "02", "F")
    assert song.transcript == "Kids are talking by the door."
    assert corpus.labels("7class")[song.id] == "neutral"
    assert song.id not in corpus.labels("7class-no-calm")
    assert song.id not in corpus.labels("4class")
    assert len(corpus.labels("8class@song")) == 12
    (copies,) = corpus.skipped[:1]
    assert "repeat names" in copies.reason


def test_ravdess_video_sound_is_left_out(tmp_path):
    root = corpus_trees.ravdess(tmp_path, song=False, actors=1)
    corpus_trees.write_wav(root / "Actor_01" / "01-01-01-01-01-01-01.wav")
    corpus = ravdess.read(root)
    assert len(corpus.utterances) == 8
    assert any("video" in s.reason for s in corpus.skipped)


@pytest.mark.parametrize(("kept", "warnings"), [("03", 0), ("03-01", 0), ("03-02", 0), ("03-01-01", 1)])
def test_ravdess_complete_parts_match_their_digests(tmp_path, kept, warnings):
    """Every id by rule: digests of the published lists must come out."""
    for i in ravdess.INFO.published[0].ids():
        if i.startswith(kept):
            corpus_trees.touch(tmp_path / f"Actor_{i[-2:]}" / f"{i}.wav")
    corpus = ravdess.read(tmp_path)
    assert len(corpus.warnings) == warnings
    matches = {result.task for result in check(corpus) if result.digest == "match"}
    assert (
        matches
        == {
            "03": {"8class", "8class@speech", "8class@song"},
            "03-01": {"8class@speech"},
            "03-02": {"8class@song"},
            "03-01-01": set(),
        }[kept]
    )


def test_ravdess_names_missing_ids(tmp_path):
    for i in ravdess.INFO.published[0].ids():
        if i != "03-02-05-02-01-01-13":
            corpus_trees.touch(tmp_path / f"{i}.wav")
    (warning,) = ravdess.read(tmp_path).warnings
    assert "1 missing: 03-02-05-02-01-01-13" in warning
    assert "angry 375 instead of 376" in warning

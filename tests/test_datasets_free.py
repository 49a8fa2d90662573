"""Corpora that are free to ask for: what their names and folders hide."""

from __future__ import annotations

from pathlib import Path

import corpus_trees
import pytest

from sercache.datasets import (
    Corpus,
    ased,
    baved,
    check,
    emns,
    emov_db,
    emozionalmente,
    enterface,
    jl_corpus,
    mead,
    oreau,
    pavoque,
    resd,
    subesco,
)
from sercache.errors import CorpusError


def test_an_archive_that_is_not_unpacked_is_named(tmp_path):
    (tmp_path / "archive.zip").touch()
    with pytest.raises(CorpusError, match=r"found archive\.zip; unpack archive\.zip first$"):
        jl_corpus.read(tmp_path)


@pytest.mark.parametrize("module", [jl_corpus, subesco])
def test_full_lists_made_by_rule_match_the_published_digest(module, tmp_path):
    (published,) = module.INFO.published
    made = [module._utterance(tmp_path / f"{each}.wav") for each in published.ids()]
    utterances = tuple(sorted(made, key=lambda u: u.id))
    (result,) = check(Corpus("c", "1", tmp_path, module.INFO, utterances))
    assert result.digest == "match"
    assert not result.differences


def test_subesco_reads_the_name_with_a_bracket(tmp_path):
    corpus = subesco.read(corpus_trees.subesco(tmp_path))
    found = corpus.by_id()["F_02_MONIKA_S_2_SURPRISE_3"]
    assert found.path.name == "F_02_MONIKA_S_2_SURPRISE_3].wav"
    assert (found.speaker, found.sex, found.sentence) == ("F_02", "F", "2")
    assert {u.speaker for u in corpus.utterances} == {"F_01", "F_02", "M_01", "M_10"}
    held = [who for fold in subesco.INFO.folds["emobox"].values() for who in fold]
    assert sorted(held) == sorted(subesco.INFO.published[0].counts["speaker"])


def test_jl_corpus_knows_women_from_men_and_primary_emotions_from_secondary_ones(tmp_path):
    corpus = jl_corpus.read(corpus_trees.jl_corpus(tmp_path))
    assert {u.speaker: u.sex for u in corpus.utterances} == {
        "female1": "F", "female2": "F", "male1": "M", "male2": "M",
    }  # fmt: skip
    assert set(corpus.labels("10class@primary").values()) == set(corpus.labels("5class").values())
    assert set(corpus.labels("10class@secondary").values()) == set(corpus.labels("5class-secondary").values())
    assert not any(u.sentence for u in corpus.utterances)


def test_baved_takes_the_copies_of_a_speaker_for_that_speaker(tmp_path):
    corpus = baved.read(corpus_trees.baved(tmp_path))
    copies = [u for u in corpus.utterances if u.id.startswith("53-")]
    assert len(copies) == 21
    assert {u.speaker for u in copies} == {"46"}
    assert {u.speaker for u in corpus.utterances} == {"0", "3", "46", "49"}


def test_baved_does_not_guess_the_word_of_a_recording_that_lies_with_another(tmp_path):
    found = baved.read(corpus_trees.baved(tmp_path)).by_id()["49-m-23-6-1-201"]
    assert (found.transcript, found.sentence, found.raw_label) == (None, "", "1")


def test_ased_reads_a_large_letter_and_the_number_of_the_other_sex(tmp_path):
    corpus = ased.read(corpus_trees.ased(tmp_path))
    found = corpus.by_id()["s4-04-02-01-29"]
    assert (found.path.name, found.raw_label) == ("S4-04-02-01-29.wav", "s")
    assert corpus.by_id()["h3-02-02-02-21"].sex == "F"
    assert {u.speaker: u.sex for u in corpus.utterances} == {"01": "F", "21": "F", "29": "F", "30": "M"}
    assert corpus.by_id()["a5-01-01-01-01"].sentence != corpus.by_id()["n1-01-01-01-01"].sentence


def test_emov_db_takes_the_speaker_from_the_folder(tmp_path):
    root = corpus_trees.emov_db(tmp_path / "EmoV-DB")
    corpus = emov_db.read(root)
    assert len(corpus.utterances) == 36
    found = corpus.by_id()["sam_disgust_0028"]
    assert found.path.relative_to(root).as_posix() == "sam_Disgusted/Disgust_1_28_0028.wav"
    assert (found.speaker, found.sex, found.sentence) == ("sam", "M", "0028")
    assert corpus.classes("4class") == ["anger", "neutral"]


@pytest.mark.parametrize("inner", ["bea/Amused", "bea-amused", "BEA_Amused"])
def test_emov_db_in_other_folders(tmp_path, inner):
    corpus_trees.write_wav(tmp_path / inner / "amused_1-15_0001.wav")
    assert [u.id for u in emov_db.read(tmp_path).utterances] == ["bea_amused_0001"]
    assert [u.id for u in emov_db.read(tmp_path / inner.split("/")[0]).utterances] == ["bea_amused_0001"]


def test_emov_db_in_the_folder_one_stands_in(tmp_path, monkeypatch):
    corpus_trees.emov_db(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert len(emov_db.read(Path()).utterances) == 36


def test_folders_above_the_corpus_say_nothing_of_it(tmp_path):
    for above in ("m", "test"):
        corpus_trees.write_wav(tmp_path / above / "a" / "b" / "13a06Sa.wav")
        corpus_trees.write_wav(tmp_path / above / "a" / "b" / "01_happiness_anger_h_100.wav")
    assert {u.sex for u in oreau.read(tmp_path / "m" / "a").utterances} == {""}
    assert {u.partition for u in resd.read(tmp_path / "test" / "a").utterances} == {""}


def test_emov_db_without_a_speaker_is_refused(tmp_path):
    corpus_trees.write_wav(tmp_path / "all" / "amused_1-15_0001.wav")
    with pytest.raises(
        CorpusError, match=r"emov-db: no utterance .*1 left out, .*no folder above it names the speaker"
    ):
        emov_db.read(tmp_path)


def test_oreau_has_sentences_of_their_own_for_each_emotion(tmp_path):
    corpus = oreau.read(corpus_trees.oreau(tmp_path))
    assert {u.speaker: u.sex for u in corpus.utterances} == {"07": "M", "10": "F", "13": "F", "42": "M"}
    emotions = {}
    for u in corpus.utterances:
        emotions.setdefault(u.sentence, set()).add(u.raw_label)
    assert all(len(found) == 1 for found in emotions.values())


def test_resd_reads_both_spellings_and_groups_by_dialogue(tmp_path):
    root = corpus_trees.resd(tmp_path)
    wrong = corpus_trees.write_wav(root / "test" / "01_happiness_anger" / "01_happiness_anger f_100.wav")
    corpus = resd.read(root)
    found = corpus.by_id()["07_fear_neutral_f_030"]
    assert (found.path.name, found.group, found.partition) == ("07_fear_neutral f_030.wav", "07", "train")
    assert {u.group for u in corpus.utterances if u.partition == "test"} == {
        u.group for u in corpus.utterances if u.partition == "train"
    }
    assert not any(u.speaker for u in corpus.utterances)
    reasons = {s.what: s.reason for s in corpus.skipped}
    assert reasons[wrong.relative_to(root).as_posix()] == "its letter f is neither happiness nor anger"


def test_enterface_reads_the_odd_names(tmp_path):
    corpus = enterface.read(corpus_trees.enterface(tmp_path))
    by_id = corpus.by_id()
    assert by_id["s3_su_1"].path.name == "s_3_su_1.wav"
    assert by_id["s16_su_3"].path.name == "s16_su_3avi.wav"
    assert (by_id["s6_an"].speaker, by_id["s6_an"].sentence) == ("6", "")
    assert by_id["s1_an_1"].sentence == by_id["s16_an_1"].sentence != by_id["s1_di_1"].sentence
    assert corpus.classes("4class") == ["anger", "happiness", "sadness"]


@pytest.mark.parametrize(("module", "suffix"), [(emns, ".webm"), (enterface, ".avi"), (mead, ".m4a")])
def test_mead_emns_and_enterface_refuse_films_alone_and_say_what_to_do(module, suffix, tmp_path):
    root = getattr(corpus_trees, module.__name__.rpartition(".")[2])(tmp_path)
    for path in root.rglob("*.wav"):
        path.unlink()
    with pytest.raises(CorpusError, match=rf"made of the {suffix}, as the notes of the corpus say"):
        module.read(root)
    assert any(f"*{suffix}" in note and "ffmpeg" in note for note in module.INFO.notes)


def test_emns_takes_all_from_its_table(tmp_path):
    root = corpus_trees.emns(tmp_path)
    corpus_trees.write_wav(root / "cleaned_webm" / "recorded_audio_new.wav")
    corpus = emns.read(root)
    assert corpus.by_id()["recorded_audio_a14x"].transcript == "Well, 14 times."
    assert corpus.labels()["recorded_audio_a14x"] == "surprise"
    assert [s.reason for s in corpus.skipped] == ["metadata.csv has no row for it"]
    (root / "metadata.csv").write_text("id|utterance|audio_recording\n")
    with pytest.raises(CorpusError, match="has no column emotion"):
        emns.read(root)


def test_pavoque_cuts_prompts_out_of_long_recordings(tmp_path):
    corpus = pavoque.read(corpus_trees.pavoque(tmp_path))
    found = corpus.by_id()["m0067-sad"]
    assert (found.path.name, found.start, found.end) == ("pavoque-sad.flac", 0.5, 1.0)
    assert found.transcript == "Er sagte: schön 1."
    assert corpus.by_id()["m0066a-sad"].sentence == corpus.by_id()["m0066-happy"].sentence == "m0066"
    assert set(corpus.labels("5class@final")) == {"m0066-sad", "m0067-sad", "m0066-happy", "poppy0001-happy"}


def test_pavoque_names_the_recording_that_is_missing(tmp_path):
    root = corpus_trees.pavoque(tmp_path)
    (root / "pavoque-happy.flac").unlink()
    with (root / "pavoque-sad.yaml").open("a") as file:
        file.write("- prompt: m0070\n  style: sad\n  start: 9.0\n  end: .nan\n")
        file.write("- prompt: m0071\n  style: sad\n  start: 9.0\n  end: .inf\n")
        file.write("- prompt: m0072\n  style: [sad]\n  start: 9.0\n  end: 10\n- a word\n")
    corpus = pavoque.read(root)
    assert "happiness" not in corpus.labels().values()
    assert {s.reason for s in corpus.skipped} == {
        "pavoque-happy.flac is missing", "its start and end are no times",
        "its prompt or its style is none of the corpus",
    }  # fmt: skip


def test_emozionalmente_takes_actor_text_and_sex_from_its_tables(tmp_path):
    root = corpus_trees.emozionalmente(tmp_path)
    corpus_trees.write_wav(root / "audio" / "1.wav")
    corpus = emozionalmente.read(root)
    found = corpus.by_id()["1613655062437"]
    assert (found.raw_label, found.speaker, found.sex) == ("disgust", "u1", "F")
    assert found.transcript == "Sento che, oggi, 1."
    assert {u.speaker: u.sex for u in corpus.utterances} == {"u1": "F", "u2": "M", "u3": ""}
    assert [s.reason for s in corpus.skipped] == ["samples.csv has no row for it"]
    (root / "metadata" / "users.csv").unlink()
    assert not any(u.sex for u in emozionalmente.read(root).utterances)


@pytest.mark.parametrize("inner", ["audio/", ""])
def test_mead_reads_all_from_its_folders(tmp_path, inner):
    root = corpus_trees.mead(tmp_path / "MEAD")
    corpus_trees.write_wav(root / "W011" / f"{inner}sad" / "level_2" / "030.wav")
    corpus_trees.write_wav(root / "W011" / "video" / "front" / "sad" / "level_2" / "031.wav")
    corpus = mead.read(root)
    assert len(corpus.utterances) == 31
    found = corpus.by_id()["W011_sad_2_030"]
    assert (found.raw_label, found.speaker, found.sex) == ("sad", "W011", "F")
    assert [s.what for s in corpus.skipped] == ["W011/video/front/sad/level_2/031.wav"]

"""Corpora of actors whose file names carry label and speaker."""

from __future__ import annotations

import unicodedata
from collections import Counter

import corpus_trees
import pytest

from sercache.datasets import (
    Corpus,
    aesdd,
    cafe,
    casia,
    check,
    cremad,
    emovo,
    esd,
    mesd,
    nemo,
    savee,
    shemo,
    tess,
    turev,
    urdu,
)
from sercache.protocols import make_folds


@pytest.mark.parametrize("module", [cafe, casia, emovo, esd, savee])
def test_full_lists_made_by_rule_match_the_published_digest(module, tmp_path):
    """Ids and labels of all utterances, without files: the digest decides."""
    (published,) = module.INFO.published
    ids = sorted(published.ids())
    paths = [tmp_path / i.replace("_", "/", module is savee) for i in ids]
    if module is esd:
        utterances = [module._utterance(p.with_suffix(".wav"), {}) for p in paths]
    else:
        utterances = [module._utterance(p.with_suffix(".wav")) for p in paths]
    (result,) = check(Corpus("c", "1", tmp_path, module.INFO, tuple(utterances)))
    assert result.digest == "match"
    assert not result.differences


def test_cremad(tmp_path):
    corpus = cremad.read(corpus_trees.cremad(tmp_path))
    angry = corpus.by_id()["1091_WSI_ANG_XX"]
    assert (angry.speaker, angry.sex, angry.transcript) == ("1091", "F", "We'll stop in a couple of minutes.")
    assert "1003_IEO_ANG_HI" in corpus.by_id(), "pointer files are found later, by their content"
    votes = {r.rater: r.labels for r in corpus.by_id()["1001_TIE_DIS_XX"].ratings}
    assert votes == {
        "VoiceVote": ("anger", "disgust"),
        "FaceVote": ("disgust",),
        "MultiModalVote": ("disgust",),
    }
    assert list(corpus.labels("6class@voice-agreed")) == ["1001_TIE_ANG_XX"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "pos,fileName,vote",
            "has no column FileName and no column VoiceVote (it has pos, fileName, vote)",
        ),
        ("pos,FileName,vote", "has no column VoiceVote (it has pos, FileName, vote)"),
        ("pos,FileName,VoiceVote", "has votes of other recordings alone, first: 9999_TIE_ANG_XX"),
    ],
)
def test_a_cremad_table_without_votes_is_told(tmp_path, header, message):
    root = corpus_trees.cremad(tmp_path)
    table = root / "processedResults" / "summaryTable.csv"
    assert not [line for line in cremad.read(root).warnings if table.name in line]
    table.write_text(f"{header}\n1,9999_TIE_ANG_XX,A\n")
    corpus = cremad.read(root)
    (line,) = [line for line in corpus.warnings if table.name in line]
    assert message in line
    assert "@voice-agreed labels none" in line
    assert not any(each.rater.endswith("Vote") for u in corpus.utterances for each in u.ratings)


@pytest.mark.parametrize("flattened", [False, True])
def test_savee_in_folders_or_flat(tmp_path, flattened):
    corpus = savee.read(corpus_trees.savee(tmp_path, flattened))
    assert len(corpus.utterances) == 4 * 7 * 2
    assert corpus.labels()["JE_sa15"] == "sadness"
    assert corpus.labels()["JE_su01"] == "surprise"
    assert corpus.by_id()["KL_a01"].speaker == "KL"


def test_tess_takes_labels_from_names_and_drops_the_copy(tmp_path):
    corpus = tess.read(corpus_trees.tess(tmp_path))
    assert len(corpus.utterances) == 28
    assert corpus.by_id()["OAF_bite_neutral"].path.stem == "OA_bite_neutral"
    assert corpus.labels()["YAF_back_ps"] == "surprise"
    assert Counter(corpus.labels().values())["surprise"] == 4
    assert "28 files repeat" in corpus.skipped[0].reason


def test_emovo(tmp_path):
    u = emovo.read(corpus_trees.emovo(tmp_path)).by_id()["gio-m2-d2"]
    assert (u.speaker, u.sex, u.transcript) == ("m2", "M", "Porti con te quella cosa?")


def test_shemo_women_are_not_afraid_by_their_first_letter(tmp_path):
    corpus = shemo.read(corpus_trees.shemo(tmp_path))
    assert corpus.labels()["F03S02"] == "sadness"
    assert corpus.labels()["F03F01"] == "fear"
    assert (corpus.by_id()["F03S02"].sex, corpus.by_id()["M12A01"].speaker) == ("F", "M12")
    assert corpus.by_id()["M01N01"].transcript == "سلام دنیا"
    assert "fear" not in corpus.classes("5class")


def test_cafe_ignores_broken_folder_names(tmp_path):
    corpus = cafe.read(corpus_trees.cafe(tmp_path))
    assert len(corpus.utterances) == 12 * 13
    assert corpus.labels()["02-D-2-1"] == "disgust"
    assert len(corpus.labels("7class@strong")) == 12 * 6
    (tmp_path / "high").mkdir()
    (tmp_path / "high" / "01-C-1-6.AIFF").touch()
    assert "01-C-1-6" in cafe.read(tmp_path).by_id()


def test_aesdd_speakers_written_in_two_ways(tmp_path):
    root = corpus_trees.aesdd(tmp_path)
    corpus_trees.write_wav(root / "sadness" / "s05 (3).wav")
    corpus = aesdd.read(root)
    assert corpus.by_id()["disgust/d03 (01)"].speaker == "1"
    assert corpus.by_id()["disgust/d04 (5)b"].speaker == "5"
    assert [s.what for s in corpus.skipped] == ["sadness/s05 (3).wav"]
    assert corpus.classes("4class") == ["anger", "happiness", "sadness"]
    assert corpus.missing_classes("4class") == []


def test_mesd_has_voices_but_no_speakers(tmp_path):
    corpus = mesd.read(corpus_trees.mesd(tmp_path))
    child = corpus.by_id()["Fear_C_B_abajo_arriba"]
    assert (child.speaker, child.group, child.sex, child.transcript) == ("", "C", "", "abajo arriba")
    assert len(corpus.labels("6class@own-words")) == 18
    folds = make_folds(corpus, corpus.labels(), "leave-one-session-out")
    assert [f.name for f in folds] == ["C", "F", "M"]
    assert not any(f.speakers_disjoint for f in folds)


def test_mesd_in_other_spellings(tmp_path):
    for name in ("anger_f_a_tarde", "Fear_C_B_abajo_arriba", "sadness_m_tarde", "Neutral_M_a_la_tarde"):
        corpus_trees.write_wav(tmp_path / f"{name}.wav")
    corpus = mesd.read(tmp_path)
    assert {u.id: (u.raw_label, u.group, u.sentence) for u in corpus.utterances} == {
        "Anger_F_A_tarde": ("Anger", "F", "tarde"),
        "Fear_C_B_abajo_arriba": ("Fear", "C", "abajo_arriba"),
        "Sadness_M_tarde": ("Sadness", "M", "tarde"),
        "Neutral_M_A_la_tarde": ("Neutral", "M", "la_tarde"),
    }
    assert list(corpus.labels("6class@own-words")) == ["Fear_C_B_abajo_arriba"]
    assert set(corpus.labels("6class@same-words")) == {"Anger_F_A_tarde", "Neutral_M_A_la_tarde"}


@pytest.mark.parametrize("parts", [False, True])
def test_esd_layouts_and_encodings(tmp_path, parts):
    corpus = esd.read(corpus_trees.esd(tmp_path, parts))
    assert len(corpus.utterances) == 5 * 15
    assert all(u.transcript for u in corpus.utterances)
    texts = {u.speaker: u.transcript for u in corpus.utterances if u.id.endswith("000352")}
    assert texts == {
        "0001": "他对谁都那么友好。",
        "0003": "他对谁都那么友好。",
        "0011": "I keep it.",
        "0012": "I keep it.",
        "0016": "The café, I keep.",
    }
    assert corpus.labels()["0003_000700"] == "anger"
    assert corpus.by_id()["0003_000700"].sentence == corpus.by_id()["0001_001750"].sentence == "zh350"
    assert {u.partition for u in corpus.utterances} == ({"train", "dev", "test"} if parts else {""})
    assert len(corpus.labels("5class@english")) == 45
    assert corpus.by_id()["0012_000001"].sex == "M"


def test_nemo(tmp_path):
    corpus = nemo.read(corpus_trees.nemo(tmp_path))
    u = corpus.by_id()["WR0_surprised_90"]
    assert (u.raw_label, u.speaker, u.sex, u.transcript, u.sentence) == (
        "surprised",
        "WR0",
        "M",
        "Lubię czytać.",
        "90",
    )
    assert corpus.labels()[u.id] == "surprise"


def test_urdu(tmp_path):
    corpus = urdu.read(corpus_trees.urdu(tmp_path))
    assert (corpus.by_id()["SF10_F1_S02"].speaker, corpus.by_id()["SF10_F1_S02"].sex) == ("SF10", "F")
    assert corpus.labels()["SF10_F1_S02"] == "sadness"


def test_turev_leaves_the_filtered_copies_out(tmp_path):
    corpus = turev.read(corpus_trees.turev(tmp_path))
    assert len(corpus.utterances) == 16
    assert all("Sound Source" in u.path.parts for u in corpus.utterances)
    assert {s.reason for s in corpus.skipped} == {"filtered copy"}
    assert corpus.labels()["1157_hl_okul"] == "sadness"
    assert corpus.classes("4class") == ["anger", "happiness", "sadness"]


def test_casia_reads_folders(tmp_path):
    root = corpus_trees.casia(tmp_path)
    corpus_trees.write_wav(root / "someone" / "angry" / "201.wav")
    corpus = casia.read(root)
    assert corpus.labels()["zhaozuoxiang/happy/250"] == "happiness"
    assert [s.what for s in corpus.skipped] == ["someone/angry/201.wav"]


def test_cremad_under_its_older_name(tmp_path):
    root = corpus_trees.cremad(tmp_path)
    corpus_trees.write_wav(root / "AudioWAV" / "1040_ITH_SAD_X.wav")
    table = root / "processedResults" / "summaryTable.csv"
    table.write_text(table.read_text() + '"3","1040_ITH_SAD_X","S","50","D","9","D","8"\n')
    found = cremad.read(root).by_id()["1040_ITH_SAD_XX"]
    assert (found.raw_label, found.path.name) == ("SAD", "1040_ITH_SAD_X.wav")
    assert found.ratings[0].labels == ("sadness",)
    corpus_trees.write_wav(root / "AudioWAV" / "1040_ITH_SAD_XX.wav")
    corpus = cremad.read(root)
    assert "1040_ITH_SAD_XX" in corpus.by_id()
    assert any("1 files repeat names" in s.reason for s in corpus.skipped)


@pytest.mark.parametrize("name", ["a01_(1).wav", "a01(1).WAV", "a01 (1).wav"])
def test_aesdd_with_other_spaces(tmp_path, name):
    corpus_trees.write_wav(tmp_path / "anger" / name)
    assert [u.id for u in aesdd.read(tmp_path).utterances] == ["anger/a01 (1)"]


def test_names_that_macos_took_apart_are_composed(tmp_path):
    corpus_trees.write_wav(tmp_path / unicodedata.normalize("NFD", "1157_kz_güneş.wav"))
    (found,) = turev.read(tmp_path).utterances
    assert found.id == unicodedata.normalize("NFC", "1157_kz_güneş")
    assert found.transcript == "güneş"
    assert found.path.is_file()

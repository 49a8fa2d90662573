"""Corpora whose recordings are named by rule or by a table: what their names, folders and tables hide."""

from __future__ import annotations

import json

import corpus_trees
import pytest

from sercache.datasets import (
    Corpus,
    asvp_esd,
    check,
    demos,
    dusha,
    emota,
    indowave,
    listener_votes,
    m3ed,
    mer2023,
    polish,
    thorsten_emotional,
)
from sercache.errors import CorpusError


@pytest.mark.parametrize(("module", "verdict"), [(polish, "match"), (indowave, "unknown")])
def test_full_lists_made_by_rule_are_as_published(module, verdict, tmp_path):
    (published,) = module.INFO.published
    made = [module._utterance(tmp_path / f"{each}.wav") for each in published.ids()]
    utterances = tuple(sorted(made, key=lambda u: u.id))
    (result,) = check(Corpus("c", "1", tmp_path, module.INFO, utterances))
    assert (result.digest, result.rows, result.differences) == (verdict, published.rows, ())


def test_folds_of_emobox_leave_each_polish_speaker_out_once():
    held = [who for fold in polish.INFO.folds["emobox"].values() for who in fold]
    assert sorted(held) == sorted(polish.INFO.published[0].counts["speaker"])


def test_asvp_esd_takes_the_speaker_from_the_name_and_tells_speech_from_other_sounds(tmp_path):
    corpus = asvp_esd.read(corpus_trees.asvp_esd(tmp_path))
    by_id = corpus.by_id()
    assert by_id["03-02-04-01-52-150-04-01-00-14-03"].path.stem.endswith(" -03")
    of_other_folder = by_id["03-01-05-02-01-98-02-01-04"]
    assert (of_other_folder.speaker, of_other_folder.sex, of_other_folder.language) == ("98", "M", "fr")
    assert by_id["03-01-02-01-07-102-02-02"].language == ""
    assert {i[3:5] for i in corpus.labels("12class@speech")} == {"01"}
    assert {i[3:5] for i in corpus.labels("12class")} == {"01", "02"}
    assert "03-01-13-01-01-01-02-02-02-13" not in corpus.labels("12class")


def test_mer2023_takes_labels_and_parts_from_its_tables(tmp_path):
    root = corpus_trees.mer2023(tmp_path)
    corpus = mer2023.read(root)
    assert {u.partition for u in corpus.utterances} == {"train", "test", "test2", "test3"}
    assert not any(u.speaker for u in corpus.utterances)
    assert [s.reason for s in corpus.skipped] == ["no table of labels has a row for it"]
    (root / "test-labels" / "test2-label.csv").unlink()
    assert "test2" not in {u.partition for u in mer2023.read(root).utterances}
    for path in root.rglob("*.wav"):
        path.unlink()
    with pytest.raises(CorpusError, match=r"made of the .avi, as the notes of the corpus say"):
        mer2023.read(root)


def test_m3ed_knows_a_role_under_both_letters(tmp_path):
    corpus = m3ed.read(corpus_trees.m3ed(tmp_path))
    first, second = corpus.by_id()["woju_1_1"], corpus.by_id()["woju_2_1"]
    assert (first.path.stem[0], second.path.stem[0]) == ("B", "B")
    assert (first.speaker, second.speaker) == ("woju_林大为", "woju_王胜男")
    assert {u.speaker for u in corpus.utterances if u.group == "woju_1"} == {
        u.speaker for u in corpus.utterances if u.group == "woju_2"
    }
    assert {u.partition for u in corpus.utterances} == {"train", "dev", "test"}
    assert first.transcript == "你好 1"
    votes = listener_votes(corpus, "7class")["woju_1_1"]
    assert votes == {"EmoAnnotator1": ("anger",), "EmoAnnotator2": ("anger",), "EmoAnnotator3": ("neutral",)}


def test_m3ed_says_which_recordings_its_annotation_does_not_know(tmp_path):
    root = corpus_trees.m3ed(tmp_path)
    speech = root / "modality_speech"
    (speech / "B_woju_1_1.wav").rename(speech / "A_woju_1_1.wav")
    (speech / "A_woju_1_2.wav").rename(speech / "A_woju_9_2.wav")
    reasons = {s.what: s.reason for s in m3ed.read(root).skipped}
    assert reasons == {
        "modality_speech/A_woju_1_1.wav": "annotation.json gives this turn to B",
        "modality_speech/A_woju_9_2.wav": "annotation.json has no turn for it",
    }


def test_recordings_of_which_the_table_knows_none_are_not_called_missing(tmp_path):
    root = corpus_trees.mer2023(tmp_path)
    for table in root.rglob("*.csv"):
        table.write_text("name,discrete,valence\nsample_99999999,happy,0\n")
    with pytest.raises(
        CorpusError, match=r"no utterance can be used .*49 left out, first: .*no table of labels has"
    ):
        mer2023.read(root)


_EMPTY = json.dumps({"woju": {"woju_1": {"SpeakerInfo": 3, "Dialog": {"woju_1_1": 4}}}})


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ('{"woju": {}, "woju": {}}', "not JSON: a name stands twice in one object, first: 'woju'"),
        ("[1", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (_EMPTY, "42 left out, first: .*annotation.json has no turn"),
    ],
)
def test_m3ed_with_another_annotation_is_refused(content, refused, tmp_path):
    root = corpus_trees.m3ed(tmp_path)
    (root / "annotation.json").write_text(content)
    with pytest.raises(CorpusError, match=refused):
        m3ed.read(root)


def test_thorsten_has_one_sentence_in_every_style_and_groups_by_it(tmp_path, monkeypatch):
    root = corpus_trees.thorsten_emotional(tmp_path)
    corpus = thorsten_emotional.read(root)
    assert len(corpus.utterances) == 39
    assert all(u.group == u.sentence == u.path.stem for u in corpus.utterances)
    assert {u.speaker for u in corpus.utterances} == {"thorsten"}
    inside = root / "thorsten-emotional_v02" / "angry"
    monkeypatch.chdir(inside)
    assert {u.raw_label for u in thorsten_emotional.read(inside.relative_to(inside)).utterances} == {"angry"}


def test_demos_has_prototypical_samples_none_of_them_neutral(tmp_path):
    corpus = demos.read(corpus_trees.demos(tmp_path))
    assert "neutral" not in corpus.labels("8class@prototypical").values()
    assert set(corpus.labels("7class").values()) == set(corpus.labels("8class@prototypical").values())
    assert {u.speaker: u.sex for u in corpus.utterances} == {"61": "F", "02": "M", "23": "M"}


def test_emota_knows_men_from_women(tmp_path):
    corpus = emota.read(corpus_trees.emota(tmp_path))
    assert {u.speaker: u.sex for u in corpus.utterances} == {"1": "M", "2": "F", "22": "F"}
    assert corpus.by_id()["22_18_hap"].sentence == "18"


def test_dusha_has_the_answers_of_its_crowd_and_what_most_of_them_say(tmp_path):
    corpus = dusha.read(corpus_trees.dusha(tmp_path))
    angry, tie = (corpus.by_id()[f"{number:032x}"] for number in (0, 4))
    assert (angry.raw_label, angry.partition, angry.group, angry.speaker) == ("angry", "train", "train0", "")
    assert angry.soft_label == {"anger": pytest.approx(2 / 3), "other": pytest.approx(1 / 3)}
    assert (tie.raw_label, tie.soft_label) == ("", {"sadness": 0.5, "neutral": 0.5})
    assert corpus.by_id()[f"{16:032x}"].partition == "test"
    assert listener_votes(corpus, "4class")[angry.id] == {"a0": ("anger",), "a1": ("anger",), "a2": ("",)}
    assert sorted(s.reason for s in corpus.skipped) == [
        *["it was to check annotators"] * 2, *["no table of answers has a row for it"] * 2,
    ]  # fmt: skip

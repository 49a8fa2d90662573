"""Corpora whose labels lie in tables and texts."""

from __future__ import annotations

import unicodedata

import corpus_trees
import pytest
from corpus_trees import MELD_FOLDERS
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache.datasets import (
    _msp_podcast_text,
    audformat,
    cmu_mosei,
    hume_prosody,
    meld,
    msp_improv,
    msp_podcast,
    voxceleb1,
)
from sercache.errors import CorpusError
from sercache.protocols import make_folds


@pytest.mark.parametrize("audio", ["", "Audio"])
def test_msp_improv(tmp_path, audio):
    root = corpus_trees.msp_improv(tmp_path, audio)
    if audio:
        (root / "Evalution.txt").rename(root / "Evaluation.txt")
    corpus = msp_improv.read(root)
    assert {
        u.id.removeprefix("MSP-IMPROV-"): u.raw_label for u in corpus.utterances
    } == corpus_trees.MSP_IMPROV_CLIPS
    u = corpus.by_id()["MSP-IMPROV-S04S-M06-S-FM11"]
    assert (u.speaker, u.group, u.sex, u.sentence) == ("M06", "session6", "M", "")
    assert u.attributes["arousal"] == pytest.approx(6 - 3.333333)
    assert u.attributes["activation_as_published"] == pytest.approx(3.333333)
    assert [(r.rater, r.labels) for r in u.ratings] == [("A3GLOA", ("anger",)), ("WORKER 2", ("other",))]
    assert u.ratings[1].attributes == {"arousal": 2.0, "dominance": 1.0, "activation_as_published": 4.0}
    assert u.soft_label == {"anger": 0.5, "other": 0.5}
    assert len(corpus.labels()) == 5
    assert list(corpus.labels("4class@target-read")) == ["MSP-IMPROV-S02H-F02-R-FF01"]
    assert corpus.by_id()["MSP-IMPROV-S02H-F02-R-FF01"].sentence == "S02"
    assert not corpus.skipped


def test_msp_improv_tells_what_it_cannot_use(tmp_path):
    root = corpus_trees.msp_improv(tmp_path)
    extra = corpus_trees.msp_improv_block("S01A-F01-P-FM01", "H") + "UTD-IMPROV-S01A-F01-P-FM99.avi; A\n"
    extra += corpus_trees.msp_improv_block("S01A-F01-P-FM77", "Q") + corpus_trees.msp_improv_block(
        "S01A-F01-P-FM78", "A"
    )
    path = root / "Evalution.txt"
    path.write_bytes(path.read_bytes() + extra.encode())
    corpus = msp_improv.read(root)
    assert corpus.labels()["MSP-IMPROV-S01A-F01-P-FM01"] == "anger"
    reasons = " | ".join(s.reason for s in corpus.skipped)
    for part in ("labelled twice", "not a label line", "unknown label Q", "no recording"):
        assert part in reasons


@given(st.binary(max_size=300))
@settings(max_examples=80, deadline=None)
def test_msp_improv_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "Evalution.txt"
    path.write_bytes(corpus_trees.msp_improv_block("S01A-F01-P-FM01", "A").encode() + content)
    clips, _ = msp_improv._read_labels(path)
    assert clips.get("MSP-IMPROV-S01A-F01-P-FM01", ("A",))[0] == "A"


@pytest.mark.parametrize("table", ["labels_consensus.csv", "labels_concensus.csv", "labels.txt"])
def test_msp_podcast_tables_and_texts(tmp_path, table):
    root = corpus_trees.msp_podcast(tmp_path, table)
    corpus = msp_podcast.read(tmp_path)
    assert corpus.root == root
    assert corpus.release == "1.11"
    assert "not those of a known release" in corpus.warnings[0]
    by_id = corpus.by_id()
    first = by_id["MSP-PODCAST_0001_0008"]
    assert (first.raw_label, first.speaker, first.partition) == ("N", "30", "test")
    assert first.attributes == {"arousal": 2.2, "valence": 4.0, "dominance": 2.6}
    assert by_id["MSP-PODCAST_0002_0033"].speaker == ""
    assert by_id["MSP-PODCAST_0004_0001"].partition == "test2"
    assert set(corpus.labels("9class")) - set(corpus.labels()) == {"MSP-PODCAST_0004_0004"}
    assert msp_podcast.transcripts(corpus)["MSP-PODCAST_0003_0001"] == "This is 0003_0001."
    (rating,) = msp_podcast.ratings(tmp_path)["MSP-PODCAST_0001_0008"]
    assert (rating.labels, rating.attributes["valence"]) == (("other",), 4.0)


def test_msp_podcast_needs_to_know_its_release(tmp_path):
    corpus_trees.msp_podcast(tmp_path).rename(tmp_path / "podcast")
    with pytest.raises(CorpusError, match=r"cannot tell the release .* 10 label rows"):
        msp_podcast.read(tmp_path)


def test_msp_podcast_rows_that_cannot_be_used(tmp_path):
    root = corpus_trees.msp_podcast(tmp_path)
    table = root / "Labels" / "labels_consensus.csv"
    table.write_text(
        table.read_text()
        + "MSP-PODCAST_0009_0001.wav,Q,1,1,1,1,Male,Train\n,N\nMSP-PODCAST_0001_0008.wav,A\n"
    )
    corpus = msp_podcast.read(root)
    assert corpus.by_id()["MSP-PODCAST_0001_0008"].raw_label == "N"
    assert len(corpus.skipped) == 3
    table.write_text("FileName,EmoClass\n")
    with pytest.raises(CorpusError, match="has no column EmoAct"):
        msp_podcast.read(root)


@given(st.binary(max_size=200), st.sampled_from(["labels_consensus.csv", "labels.txt"]))
@settings(max_examples=80, deadline=None)
def test_msp_podcast_any_bytes(tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(b"FileName,EmoClass,EmoAct,EmoVal,EmoDom\n" * name.endswith("csv") + content)
    try:
        rows = list(_msp_podcast_text.read_rows(path, [path], []))
    except CorpusError:  # of what is no text: a workbook, a pointer of git LFS
        return
    assert all(row.label in "ASHUFDCNOX" for row in rows)


def test_meld(tmp_path):
    corpus = meld.read(corpus_trees.meld(tmp_path))
    assert len(corpus.utterances) == 10
    u = corpus.by_id()["test_dia0_utt0"]
    assert (u.raw_label, u.speaker, u.partition, u.group) == ("joy", "Joey", "test", "test_dia0")
    assert {u.transcript for u in corpus.utterances} == {f"Oh, it’s {n}!" for n in range(7)}
    assert len(corpus.labels("4class")) == 7


def test_meld_films_and_missing_clips_are_told(tmp_path):
    root = corpus_trees.meld(tmp_path, ".mp4")
    corpus_trees.write_wav(root / "train" / "train_splits" / "dia0_utt0.wav")
    (root / "train" / "train_splits" / "dia0_utt1.mp4").unlink()
    (root / "dev_sent_emo.csv").unlink()
    corpus = meld.read(root)
    assert "8 clips are mp4 films" not in corpus.warnings[0]
    assert corpus.warnings[0].startswith("7 clips are mp4 films")
    assert "ffmpeg" in corpus.warnings[0]
    assert corpus.by_id()["train_dia0_utt0"].path.suffix == ".wav"
    assert [s.reason for s in corpus.skipped] == [
        "no such table",
        "train_dia0_utt1: no clip dia0_utt1 (.wav, .flac, .mp4) in train/train_splits",
    ]


@pytest.mark.parametrize("merged", [False, True])
def test_voxceleb1(tmp_path, merged):
    corpus = voxceleb1.read(corpus_trees.voxceleb1(tmp_path, merged))
    assert len(corpus.utterances) == 9
    u = corpus.by_id()["id10003/na8-QEFmj44/00003"]
    assert (u.speaker, u.partition, u.sex) == ("id10003", "test", "M")
    assert corpus.classes() == ["id10001", "id10003", "id10270"]
    (fold,) = make_folds(corpus, corpus.labels(), "fixed:official")
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (3, 3, 3)
    assert fold.speakers_disjoint is False
    assert len(corpus.skipped) == 3 * (1251 - 3)


def test_hume_prosody(tmp_path):
    corpus = hume_prosody.read(corpus_trees.hume_prosody(tmp_path))
    assert len(corpus.utterances) == 21
    first = corpus.by_id()["00001"]
    assert first.soft_label["anger"] == 1.0
    assert first.soft_label["tiredness"] == 0.191
    assert corpus.labels()["00002"] == "boredom"
    hidden = corpus.by_id()["00021"]
    assert (hidden.partition, hidden.raw_label, hidden.soft_label) == ("test", "", None)
    # Clips 1 and 10 imitate the same seed: equal shares.
    assert corpus.by_id()["00010"].group == first.group != corpus.by_id()["00002"].group


def test_hume_prosody_rows_that_cannot_be_used(tmp_path):
    root = corpus_trees.hume_prosody(tmp_path)
    table = root / "data" / "lab" / "devel.csv"
    rows = ["00001.wav" + ",1" * 9, "00011.wav" + ",x" * 9, "00012.wav,1", "99999.wav" + ",1" * 9]
    table.write_text(table.read_text() + "\n".join(rows) + "\n")
    reasons = [s.reason for s in hume_prosody.read(root).skipped]
    assert reasons == [
        "00001 occurs twice",
        "00011: shares must be numbers",
        "expected filename and 9 shares",
        "no clip 99999.wav",
    ]


def test_cmu_mosei(tmp_path):
    corpus = cmu_mosei.read(corpus_trees.cmu_mosei(tmp_path))
    assert len(corpus.utterances) == 16
    by_id = corpus.by_id()
    first = by_id["-3g5yACwYnA[0]"]
    assert (first.raw_label, first.start, first.end, first.group) == ("happy", 0.0, 0.25, "-3g5yACwYnA")
    assert first.transcript == "text 0____and more"
    assert first.attributes["sentiment"] == -3.0
    assert [by_id[f"0h-zjBukYpk[{k}]"].raw_label for k in (5, 6, 7)] == ["fear", "none", "tie"]
    assert len(corpus.labels()) == 12
    assert corpus.classes("4class") == ["anger", "happiness", "sadness"]


def test_cmu_mosei_damaged_labels_and_missing_sound(tmp_path):
    root = corpus_trees.cmu_mosei(tmp_path)
    (root / "Raw" / "Audio" / "Full" / "WAV_16000" / "-3g5yACwYnA.wav").unlink()
    corpus = cmu_mosei.read(root)
    assert corpus.skipped[0].reason == "no sound -3g5yACwYnA.wav; 8 segments left out"
    data = (root / "CMU_MOSEI_Labels.csd").read_bytes()
    for content in (b"", b"x" * 100, data[: len(data) // 2]):
        (root / "CMU_MOSEI_Labels.csd").write_bytes(content)
        with pytest.raises(CorpusError, match=r"cannot read .*CMU_MOSEI_Labels\.csd"):
            cmu_mosei.read(root)


def test_audformat(tmp_path):
    pytest.importorskip("audformat")
    corpus = audformat.read(corpus_trees.audformat(tmp_path))
    u = corpus.by_id()["wav/08a"]
    assert (u.raw_label, u.speaker, u.sex, u.partition, u.language) == ("happiness", "8", "F", "test", "deu")
    assert u.transcript == "Der Lappen liegt auf dem Eisschrank."
    assert corpus.classes("4class") == ["anger", "happiness", "neutral"]


def test_audformat_tables_that_disagree_and_damaged_headers(tmp_path):
    pytest.importorskip("audformat")
    root = corpus_trees.audformat(tmp_path)
    header = root / "db.yaml"
    header.write_text(header.read_text().replace("gold_standard", "heard"))
    for path in root.glob("*gold_standard.csv"):
        path.rename(root / path.name.replace("gold_standard", "heard"))
    with pytest.raises(
        CorpusError, match=r"wav/08a\.wav is anger and happiness|wav/03b\.wav is anger and neutral"
    ):
        audformat.read(root)
    for content in ("{", "name: [", "- 1\n"):
        header.write_text(content)
        with pytest.raises(CorpusError, match="cannot load"):
            audformat.read(root)


def test_audformat_codes_are_read_as_their_words_and_close_segments_apart(tmp_path):
    pytest.importorskip("audformat")
    root = tmp_path / "db"
    corpus_trees.write_wav(root / "wav" / unicodedata.normalize("NFD", "fröhlich.wav"))
    corpus_trees.write_text(
        root / "db.yaml",
        "name: coded\nsource: x\nusage: research\nlanguages: [deu]\nschemes:\n  emotion:\n    dtype: str\n"
        "    labels: {'0': anger, '1': Anger, '2': joy}\n"
        "tables:\n  segments:\n    type: segmented\n    columns:\n      emotion: {scheme_id: emotion}\n",
    )
    spans = [("0.1001", "0.2", "0"), ("0.1004", "0.2", "0"), ("0.2", "0.25", "1"), ("0.25", "0.3", "2")]
    rows = "".join(f"wav/fröhlich.wav,0 days 00:00:0{a},0 days 00:00:0{b},{code}\n" for a, b, code in spans)
    corpus_trees.write_text(root / "db.segments.csv", f"file,start,end,emotion\n{rows}")
    corpus = audformat.read(root)
    assert {u.id: u.raw_label for u in corpus.utterances} == {
        "wav/fröhlich[0.100100-0.200000]": "anger",
        "wav/fröhlich[0.100400-0.200000]": "anger",
        "wav/fröhlich[0.200-0.250]": "anger",  # as ever where no other segment is near
        "wav/fröhlich[0.250-0.300]": "joy",
    }
    assert "1 recording has a name that the disk spells otherwise" in corpus.warnings[0]
    assert "'anger' (2) and 'Anger' (1) are the class anger" in corpus.warnings[1]


MISC = {
    "word": ("code,emotion,valence\n0,anger,1\n1,happiness,5\n", "      emotion: {}\n      valence: {}\n"),
    "any name": ("code,label_en,note\n0,Angry,loud\n1,Happy,warm\n", "      label_en: {}\n      note: {}\n"),
    "only text": ("code,how\n0,wut im bauch\n1,frohsinn\n", "      how: {}\n"),
}


@pytest.mark.parametrize("kind", MISC)
def test_audformat_codes_whose_words_stand_in_a_misc_table(tmp_path, kind):
    pytest.importorskip("audformat")
    root = tmp_path / "db"
    for name in "ab":
        corpus_trees.write_wav(root / "wav" / f"{name}.wav")
    words, columns = MISC[kind]
    corpus_trees.write_text(
        root / "db.yaml",
        "name: coded\nsource: x\nusage: research\nlanguages: [deu]\nschemes:\n"
        "  code: {dtype: str}\n  emotion: {dtype: str, labels: emotions}\n"
        "  speaker: {dtype: str, labels: people}\n"
        f"misc_tables:\n  emotions:\n    levels: {{code: str}}\n    columns:\n{columns}"
        "  people:\n    levels: {who: str}\n    columns:\n      gender: {}\n"
        "tables:\n  files:\n    type: filewise\n    columns:\n"
        "      emotion: {scheme_id: emotion}\n      speaker: {scheme_id: speaker}\n",
    )
    corpus_trees.write_text(root / "db.emotions.csv", words)
    corpus_trees.write_text(root / "db.people.csv", "who,gender\np1,female\np2,male\n")
    corpus_trees.write_text(root / "db.files.csv", "file,emotion,speaker\nwav/a.wav,0,p1\nwav/b.wav,1,p2\n")
    corpus = audformat.read(root)
    expected = [line.split(",")[1] for line in words.splitlines()[1:]]
    assert [u.raw_label for u in corpus.utterances] == expected
    assert [(u.speaker, u.sex) for u in corpus.utterances] == [("p1", "F"), ("p2", "M")]


def test_audformat_segments_that_cannot_be_are_set_aside(tmp_path):
    pytest.importorskip("audformat")
    root = tmp_path / "db"
    corpus_trees.write_wav(root / "a.wav")
    corpus_trees.write_text(
        root / "db.yaml",
        "name: cut\nsource: x\nusage: research\nlanguages: [deu]\n"
        "tables:\n  segments:\n    type: segmented\n    columns:\n      emotion: {}\n",
    )
    spans = ["0 days 00:00:00.2,0 days 00:00:00.1", "0 days 00:00:00.1,0 days 00:00:00.2"]
    rows = "".join(f"a.wav,{span},joy\n" for span in spans)
    corpus_trees.write_text(root / "db.segments.csv", f"file,start,end,emotion\n{rows}")
    corpus = audformat.read(root)
    assert [u.id for u in corpus.utterances] == ["a[0.100-0.200]"]
    assert [each.reason for each in corpus.skipped] == [
        "expected 0 <= start < end in seconds, got 0.2 and 0.1"
    ]


@pytest.mark.parametrize(
    "folders",
    [
        {
            "train": "train_splits_wav",
            "dev": "dev_splits_complete_wav",
            "test": "output_repeated_splits_test_wav",
        },
        {"train": "audio/train", "dev": "audio/dev", "test": "audio/test"},
        {"train": "MELD.Raw/TRAIN/train_splits", "dev": "MELD.Raw/Dev", "test": "wavs-test"},
    ],
)
def test_meld_in_the_folders_of_its_copies(tmp_path, folders):
    root = corpus_trees.meld(tmp_path / "from")
    copy = tmp_path / "test" / "meld"  # what lies above the root names no part
    for part, name in folders.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (root / part / MELD_FOLDERS[part]).rename(copy / name)
        (root / f"{part}_sent_emo.csv").rename((copy / name).parent / f"{part}_sent_emo.csv")
    corpus = meld.read(copy)
    assert len(corpus.utterances) == 10
    assert {u.partition for u in corpus.utterances} == {"train", "dev", "test"}


def test_meld_without_a_clip_says_where_it_looked(tmp_path):
    root = corpus_trees.meld(tmp_path)
    (root / "train").rename(root / "clips")
    (root / "clips" / "train_splits").rename(root / "clips" / "all")
    corpus = meld.read(root)
    assert "in folders called train or train_splits: there is none" in corpus.skipped[0].reason
    for table in root.glob("*.csv"):
        table.unlink()
    with pytest.raises(CorpusError, match=r"looked for the tables train_sent_emo\.csv"):
        meld.read(root)


def test_msp_improv_and_voxceleb_one_folder_deeper(tmp_path):
    corpus_trees.msp_improv(tmp_path / "a" / "unpacked" / "MSP-IMPROV", "Audio")
    assert msp_improv.read(tmp_path / "a").utterances
    corpus_trees.voxceleb1(tmp_path / "b" / "unpacked" / "vox1")
    assert len(voxceleb1.read(tmp_path / "b").utterances) == 9


def test_a_table_that_git_did_not_fetch_is_called_so(tmp_path):
    root = corpus_trees.meld(tmp_path)
    (root / "dev_sent_emo.csv").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CorpusError, match=r"dev_sent_emo\.csv is a git-LFS pointer"):
        meld.read(root)

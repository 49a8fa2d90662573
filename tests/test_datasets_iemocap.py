from __future__ import annotations

from pathlib import Path

import corpus_trees
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache.datasets import _iemocap_text as text
from sercache.datasets import iemocap
from sercache.errors import CorpusError


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return corpus_trees.iemocap(tmp_path_factory.mktemp("iemocap") / "data")


@pytest.fixture(scope="module")
def corpus(release):
    return iemocap.read(release)


def test_counts_of_the_tree(corpus):
    turns = sum(2 * len(codes) for s in range(1, 6) for codes in corpus_trees.iemocap_dialogues(s).values())
    assert len(corpus.utterances) == turns == 148
    assert not corpus.skipped
    assert len(corpus.labels("4class")) == 5 * 2 * 10 + 2 * 4
    assert len(corpus.labels("4class-no-exc")) == 5 * 2 * 8 + 2 * 4
    assert len(corpus.labels("4class-2943")) == 5 * 2 * 5 + 4


def test_true_speaker_not_the_one_with_the_markers(corpus):
    turn = corpus.by_id()["Ses03M_impro05a_F001"]
    assert (turn.speaker, turn.sex, turn.group) == ("Ses03F", "F", "Ses03")
    assert corpus.by_id()["Ses05M_script01_1b_M001"].speaker == "Ses05M"
    assert {u.speaker for u in corpus.utterances} == {f"Ses0{s}{x}" for s in range(1, 6) for x in "FM"}


def test_labels_raters_attributes(corpus):
    turn = corpus.by_id()["Ses01F_impro01_F006"]
    assert turn.raw_label == "xxx"
    assert turn.attributes == {"valence": 2.5, "arousal": 3.5, "dominance": 1.5}
    assert turn.soft_label == pytest.approx({"neutral": 2 / 3, "anger": 1 / 6, "sadness": 1 / 6})
    raters = {r.rater: r for r in turn.ratings}
    assert raters["C-F1"].labels == ("neutral", "anger")
    assert raters["A-E3"].attributes == {"valence": 3.0, "arousal": 2.0, "dominance": 2.0}
    assert raters["A-E4"].attributes == {"valence": 2.0, "arousal": 3.0}
    assert turn.id not in corpus.labels("10class")


def test_transcripts_in_latin_1_and_without_turns_that_have_no_audio(corpus):
    assert corpus.by_id()["Ses02F_script01_1_M003"].transcript == "Excusé me, number 3. [LAUGHTER]"
    assert all(u.transcript for u in corpus.utterances)


def test_subsets(corpus):
    aligned = corpus.labels("4class@aligned")
    assert aligned
    # The first turn of every talker has an alignment without a word.
    assert not [i for i in aligned if i.endswith("000")]
    agreed = corpus.labels("6class@full-agreement")
    assert "Ses01F_impro01_F005" in agreed
    both = set(corpus.labels("4class@improvised")) | set(corpus.labels("4class@scripted"))
    assert both == set(corpus.labels("4class"))


@pytest.mark.parametrize("levels", [1, 2])
def test_a_root_above_the_release(release, corpus, levels):
    root = release.parents[levels - 1]
    assert iemocap.read(root).utterances == corpus.utterances


def test_a_root_inside_the_release_names_the_right_one(release):
    for inside in ("Session1", "Session1/dialog"):
        with pytest.raises(CorpusError, match=f"--root {release}$"):
            iemocap.read(release / inside)


def test_missing_recordings_and_labels_are_listed(tmp_path):
    release = corpus_trees.iemocap(tmp_path)
    wavs = release / "Session2" / "sentences" / "wav" / "Ses02F_impro01"
    (wavs / "Ses02F_impro01_F001.wav").unlink()
    corpus_trees.write_wav(wavs / "Ses02F_impro01_F099.WAV")
    (release / "Session4" / "dialog" / "transcriptions" / "Ses04F_impro01.txt").unlink()
    corpus = iemocap.read(release)
    reasons = {s.what: s.reason for s in corpus.skipped}
    assert reasons["Ses02F_impro01_F001"].startswith("no recording")
    assert reasons["Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F099.WAV"].startswith("no label")
    assert corpus.by_id()["Ses04F_impro01_F000"].transcript is None


def test_sentence_recordings_are_needed(tmp_path):
    release = corpus_trees.iemocap(tmp_path)
    (release / "Session1" / "sentences").rename(release / "Session1" / "elsewhere")
    with pytest.raises(CorpusError, match="has no sentences/wav"):
        iemocap.read(release)


def read_label_text(folder: Path, content: bytes) -> tuple[dict[str, text.LabelBlock], list[tuple[str, str]]]:
    path = folder / "Ses01F_impro01.txt"
    path.write_bytes(content)
    return text.read_turns(path, "1")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_label_files_in_any_encoding(tmp_path, encoding, end):
    block = corpus_trees.iemocap_block("Ses01F_impro01_M012", "exc").replace("\n", end)
    turns, left_out = read_label_text(tmp_path, block.encode(encoding))
    assert {i: t.label for i, t in turns.items()} == {"Ses01F_impro01_M012": "exc"}
    assert left_out == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1.0 - 2.0]\tSes01F_impro02_F000\tneu\t[2.5, 2.5, 2.5]", "not a turn of"),
        ("[1.0 - 2.0]\tSes01F_impro01_F000\tjoy\t[2.5, 2.5, 2.5]", "does not use"),
        ("[1.0 - 2.0]\tSes01F_impro01_MXX0\tneu\t[2.5, 2.5, 2.5]", "not a turn of"),
        ("[1.0 - 2.0]\tSes01F_impro01_F000", "not a turn:"),
        ("[1.0 - 2.0] Ses01F_impro01_F000 neu neu [2.5, 2.5, 2.5]", "not a turn:"),
    ],
)
def test_lines_that_cannot_be_used_are_told(tmp_path, line, reason):
    turns, left_out = read_label_text(tmp_path, line.encode())
    assert turns == {}
    assert [number for number, _ in left_out] == ["line 1"]
    assert reason in left_out[0][1]


def test_a_turn_labelled_twice_differently_is_left_out(tmp_path):
    name = "Ses01F_impro01_F000"
    blocks = [corpus_trees.iemocap_block(name, code) for code in ("neu", "ang", "neu")]
    turns, left_out = read_label_text(tmp_path, "".join(blocks).encode())
    assert turns == {}
    assert len(left_out) == 1
    turns, left_out = read_label_text(tmp_path, (blocks[0] * 2).encode())
    assert turns[name].label == "neu"
    assert left_out == []


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_in_a_label_file(tmp_path_factory, content):
    try:
        turns, _ = read_label_text(tmp_path_factory.getbasetemp(), content)
    except CorpusError:  # a mark of UTF-16 in front of what is none, a git-LFS pointer
        return
    assert all(turn.label in text.CODES for turn in turns.values())


WHOLE = "".join(
    corpus_trees.iemocap_block(f"Ses01F_impro01_F{n:03d}", code)
    for n, code in enumerate(("neu", "ang", "exc", "sad"))
)
TRUTH = {f"Ses01F_impro01_F{n:03d}": code for n, code in enumerate(("neu", "ang", "exc", "sad"))}


@given(st.integers(0, len(WHOLE)))
@settings(max_examples=60, deadline=None)
def test_a_cut_off_file_never_gives_a_wrong_label(tmp_path_factory, place):
    turns, _ = read_label_text(tmp_path_factory.getbasetemp(), WHOLE.encode()[:place])
    for name, turn in turns.items():
        assert turn.label == TRUTH[name]


@given(st.integers(1, WHOLE.count("\n") - 1), st.binary(max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_damaged_line_changes_no_other_label(tmp_path_factory, number, junk):
    """Zero bytes and byte order marks speak of the whole file, so they are left out here."""
    lines = WHOLE.encode().split(b"\n")
    lines[number] = junk.translate(None, b"\x00\r\n")
    turns, _ = read_label_text(tmp_path_factory.getbasetemp(), b"\n".join(lines))
    for name, turn in turns.items():
        assert turn.label == TRUTH[name]
    assert len(turns) >= len(TRUTH) - 1


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_in_a_transcript_and_an_alignment(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "some.txt"
    path.write_bytes(content)
    try:
        assert all(name.startswith("Ses0") for name in text.read_transcripts(path))
        assert text.has_words(path) in (True, False)
    except CorpusError:  # as above
        return


def test_sessions_that_were_unpacked_into_folders_of_their_names(tmp_path):
    root = corpus_trees.iemocap(tmp_path)
    expected = [u.id for u in iemocap.read(root).utterances]
    (session,) = [path for path in root.rglob("Session1") if path.is_dir()]
    session.rename(session.with_name("moved"))
    session.mkdir()
    session.with_name("moved").rename(session / "Session1")
    assert [u.id for u in iemocap.read(root).utterances] == expected

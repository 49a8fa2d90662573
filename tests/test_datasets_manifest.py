from __future__ import annotations

import json
from pathlib import Path

import corpus_trees
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache.datasets import manifest
from sercache.errors import CorpusError, SercacheError, UnknownNameError


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b", "c"):
        corpus_trees.write_wav(tmp_path / "wav" / f"{name}.wav")
    return tmp_path


def table(folder: Path, text: str, name: str = "manifest.csv", encoding: str = "utf-8") -> Path:
    return corpus_trees.write_text(folder / name, text, encoding)


def test_all_columns(folder):
    rows = (
        "id\tpath\tlabel\tspeaker\tgroup\ttranscript\tlanguage\tstart\tend\tpartition\tsex\tsentence\tarousal\n"
        "u1\twav/a.wav\tanger\tS1\tG1\tNo, never.\ten\t0.1\t0.25\tvalidation\tfemale\tk1\t3.5\n"
    )
    (u,) = manifest.read(table(folder, rows, "corpus.tsv")).utterances
    assert (u.id, u.path, u.raw_label, u.speaker, u.group) == (
        "u1",
        folder / "wav/a.wav",
        "anger",
        "S1",
        "G1",
    )
    assert (u.start, u.end, u.partition, u.sex, u.sentence) == (0.1, 0.25, "dev", "F", "k1")
    assert (u.transcript, u.language, u.attributes) == ("No, never.", "en", {"arousal": 3.5})


def test_json_lines(folder):
    rows = [
        {"path": "wav/a.wav", "label": "sad", "speaker": 3},
        {"path": "wav/b.wav", "label": "hap", "x": [1]},
    ]
    corpus = manifest.read(table(folder, "\n".join(map(json.dumps, rows)), "m.jsonl"))
    assert [(u.id, u.speaker) for u in corpus.utterances] == [("wav/a", "3"), ("wav/b", "")]
    assert corpus.labels("4class") == {"wav/a": "sadness", "wav/b": "happiness"}
    assert corpus.classes() == ["hap", "sad"]
    assert corpus.warnings == ("columns of m.jsonl that are not used: x",)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_and_semicolons(folder, encoding):
    corpus = manifest.read(
        table(folder, "path;label;transcript\r\nwav/a.wav;Wut;schön\r\n", encoding=encoding).parent
    )
    assert corpus.utterances[0].transcript == "schön"


def test_the_release_follows_the_content(folder):
    first = manifest.read(table(folder, "path,label\nwav/a.wav,x\n"))
    again = manifest.read(table(folder, "path,label\nwav/a.wav,x\n"))
    other = manifest.read(table(folder, "path,label\nwav/a.wav,y\n"))
    assert first.release == again.release != other.release


def test_missing_recordings_are_skipped_and_named(folder):
    corpus = manifest.read(table(folder, f"path,label\nwav/a.wav,x\nwav/gone.wav,y\n{'n' * 5000}.wav,y\n"))
    assert [u.id for u in corpus.utterances] == ["wav/a"]
    assert corpus.skipped[0].what == "line 3: wav/gone"
    with pytest.raises(CorpusError, match=r"no utterance can be used .* line 2: wav/gone: no such file"):
        manifest.read(table(folder, "path,label\nwav/gone.wav,y\n"))


def test_without_labels(folder):
    corpus = manifest.read(table(folder, "path\nwav/a.wav\n"))
    assert corpus.labels() == {}
    assert "no column label" in corpus.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no utterance"),
        ("name,label\na,b\n", "needs a column path"),
        ("path,label,path\na,b,c\n", "column 'path' occurs twice"),
        ("path,label\nwav/a.wav,x\nwav/b.wav,x,y\n", "line 3: 3 values for 2 columns"),
        ('path,label\n"wav/a.wav,x\n', "line 2: unexpected end of data"),
        ("path,label\n,x\n", "line 2: expected the path"),
        ("path,label,start\nwav/a.wav,x,soon\n", "line 2: start must be a number, got 'soon'"),
        ("path,label,start\nwav/a.wav,x,nan\n", "line 2: start must be a number"),
        ("path,label,start,end\nwav/a.wav,x,2,1\n", "line 2: expected 0 <= start < end"),
        ("path,label,partition\nwav/a.wav,x,holdout\n", "line 2: partition must be one of dev, test, train"),
        ("path,label,sex\nwav/a.wav,x,?\n", "line 2: sex must be one of F, M"),
        ("id,path,label\nu,wav/a.wav,x\nu,wav/b.wav,x\n", "line 3: id u occurs twice"),
        ("path,label\nwav/\x00.wav,x\n", "line 2: path holds characters"),
    ],
)
def test_faults_name_their_line(folder, text, message):
    with pytest.raises(CorpusError) as caught:
        manifest.read(table(folder, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[]", '{"label": "x"}', '{"path": 1e999, "label": {}}', "[" * 100_000])
def test_json_faults_name_their_line(folder, line):
    with pytest.raises(CorpusError, match="line 2: "):
        manifest.read(table(folder, f'{{"path": "wav/a.wav"}}\n{line}\n', "m.jsonl"))


def test_a_folder_with_several_tables(folder):
    table(folder, "path\nwav/a.wav\n", "one.csv")
    table(folder, "path\nwav/a.wav\n", "two.csv")
    with pytest.raises(CorpusError, match=r"found one\.csv, two\.csv; point --root"):
        manifest.read(folder)
    table(folder, "path\nwav/a.wav\n", "Manifest.csv")
    assert len(manifest.read(folder).utterances) == 1


@given(st.binary(max_size=200), st.sampled_from(["csv", "tsv", "jsonl"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(b"path,label\n" * (suffix == "csv") + content)
    with pytest.raises(SercacheError) as caught:
        manifest.read(path)
    assert "\n" not in str(caught.value)


CELL = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_what_is_read(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    corpus_trees.write_wav(folder / "a.wav")
    lines = [
        json.dumps({"id": f"u{n}", "path": "a.wav", "label": x, "transcript": y})
        for n, (x, y) in enumerate(rows)
    ]
    path = table(folder, "\n".join(lines), "fuzz.jsonl")
    if any(not label.strip().isprintable() for label, _ in rows):
        with pytest.raises(CorpusError, match="label holds characters"):
            manifest.read(path)
        return
    read = [(u.raw_label, u.transcript or "") for u in manifest.read(path).utterances]
    assert read == [(x.strip(), y.strip()) for x, y in rows]


def test_attributes_need_the_ends_of_their_scale(folder):
    header = "path,label,arousal,valence,dominance,scale\n"
    corpus = manifest.read(table(folder, f"{header}wav/a.wav,x,7,4,1,1..7\nwav/b.wav,y,1,1,,\n"))
    assert corpus.targets("avd") == {"wav/a": (1.0, 0.5, 0.0)}
    corpus = manifest.read(table(folder, f"{header}wav/a.wav,x,0,1,-1,-1..1\n"))
    assert corpus.targets("avd") == {"wav/a": (0.5, 1.0, 0.0)}
    with pytest.raises(UnknownNameError, match="on a known scale"):
        manifest.read(table(folder, f"{header}wav/a.wav,x,0,1,-1,\n")).targets("avd")


@pytest.mark.parametrize("scale", ["1-7", "7..1", "1..", "..", "1..nan", "a..b"])
def test_scales_that_cannot_be_read(folder, scale):
    with pytest.raises(CorpusError, match="line 2: scale"):
        manifest.read(table(folder, f"path,scale\nwav/a.wav,{scale}\n"))


def test_two_scales_are_refused(folder):
    with pytest.raises(CorpusError, match="line 3: another scale than in line 2"):
        manifest.read(table(folder, "path,scale\nwav/a.wav,1..5\nwav/b.wav,1..7\n"))

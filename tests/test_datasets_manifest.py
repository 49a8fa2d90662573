from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
import unicodedata
from pathlib import Path

import corpus_trees
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache import text
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


def test_rows_go_as_utterances_are_made(folder):
    """An utterance is 270 bytes; all rows as written, checked and made into utterances at once were over 800 each."""
    n = 4000
    rows = (f"u{k},wav/a.wav,{k}.25,{k}.75,{'ab'[k % 2]},s{k % 100}\n" for k in range(n))
    path = table(folder, "id,path,start,end,label,speaker\n" + "".join(rows))
    manifest.read(path)  # what is imported and kept once
    tracemalloc.start()
    try:
        corpus = manifest.read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(corpus.utterances) == n
    assert peak / n < 650


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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
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
        (
            "path,label,start\nwav/a.wav,x,soon\n",
            "line 2: wav/a: start must be a number of seconds, got 'soon'",
        ),
        (
            "path,label,start\nwav/a.wav,x,nan\n",
            "line 2: wav/a: start must be a number of seconds, got 'nan'",
        ),
        ("path,label,start,end\nwav/a.wav,x,2,1\n", "line 2: wav/a: expected 0 <= start < end"),
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
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(b"path,label\n" * (suffix == "csv") + content)
    with pytest.raises(SercacheError) as caught:
        manifest.read(path)
    assert "\n" not in str(caught.value)


CELL = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
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


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("-0.1", "0.2", "expected 0 <= start < end in seconds, got -0.1 and 0.2"),
        ("nan", "", "start must be a number of seconds, got 'nan'"),
        ("0.1", "inf", "end must be a number of seconds, got 'inf'"),
        ("0.2", "0.2", "expected 0 <= start < end in seconds, got 0.2 and 0.2"),
        ("", "-1", "expected 0 <= start < end in seconds, got 0 and -1"),
    ],
)
def test_a_row_whose_segment_cannot_be_is_set_aside(folder, start, end, reason):
    rows = f"wav/a.wav,x,0.0,0.1\nwav/a.wav,y,{start},{end}\nwav/b.wav,y,,\n"
    corpus = manifest.read(table(folder, f"path,label,start,end\n{rows}"))
    # Alone of its recording, the other segment is called as it would be without the row.
    assert [u.id for u in corpus.utterances] == ["wav/a", "wav/b"]
    assert [(each.what, each.reason) for each in corpus.skipped] == [("line 3: wav/a", reason)]


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


# One spelling for one thing

FORMS = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
LABELS = ["anger", "fröhlich", "very happy", "生气", "Ärger", "ｆｅａｒ", "1", "12.5", "-3"]


def spelt(label: str, form: str, case: str, space: str) -> str:
    """``label`` as another hand writes it."""
    return space + unicodedata.normalize(form, getattr(label, case)().replace(" ", space or " ")) + space


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LABELS),
            FORMS,
            st.sampled_from(["upper", "lower", "title", "capitalize"]),
            st.sampled_from(["", " ", "  ", "\xa0", "\u3000"]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=60, deadline=None)
def test_labels_that_differ_in_spelling_alone_are_one_class(tmp_path_factory, rows, separator, encoding):
    folder = tmp_path_factory.getbasetemp() / "spelling"
    corpus_trees.write_wav(folder / "a.wav")
    lines = [separator.join(["id", "path", "label"])]
    lines += [separator.join([f"u{n}", "a.wav", spelt(*row)]) for n, row in enumerate(rows)]
    corpus = manifest.read(table(folder, "\n".join(lines) + "\n", encoding=encoding))
    classes = {u.id: u.raw_label for u in corpus.utterances}
    meant = {f"u{n}": row[0] for n, row in enumerate(rows)}
    for one in meant:
        for other in meant:
            assert (classes[one] == classes[other]) is (meant[one] == meant[other])
    written = {spelt(*row).replace("\xa0", " ").replace("\u3000", " ").strip() for row in rows}
    assert any("column label" in line for line in corpus.warnings) is (
        len(written) > len(set(meant.values()))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [("kızgın", "KIZGIN"), ("İYİ", "iyi"), ("so\u200cso", "soso")],
)
def test_the_i_of_turkish_and_what_cannot_be_seen_tell_no_classes_apart(folder, one, other):
    """They were classes of their own, without a word."""
    path = table(folder, f"path,label\nwav/a.wav,{one}\nwav/b.wav,{other}\n")
    corpus = manifest.read(path)
    assert corpus.classes() == [one]
    assert [line for line in corpus.warnings if "column label: 1 value differs from others" in line]
    with text.reading_as(labels_as_written=True):
        assert len(manifest.read(path).classes()) == 2


def test_the_most_frequent_spelling_counts_and_the_others_are_counted(folder):
    path = table(folder, "path,label,speaker\nwav/a.wav,Happy,s1\nwav/b.wav,happy,S1\nwav/c.wav,HAPPY ,s1\n")
    corpus = manifest.read(path)
    assert corpus.classes() == ["Happy"]  # of equals the first
    assert {u.speaker for u in corpus.utterances} == {"s1"}
    assert [line for line in corpus.warnings if "column label: 2 values" in line and "class Happy" in line]
    with text.reading_as(labels_as_written=True):
        apart = manifest.read(path)
    assert apart.classes() == ["HAPPY", "Happy", "happy"]
    assert not apart.warnings
    assert apart.release == corpus.release


def test_numbers_as_labels(folder):
    rows = [
        '{"path": "wav/a.wav", "label": 1}',
        '{"path": "wav/b.wav", "label": 1.0}',
        '{"path": "wav/c.wav", "label": null}',
    ]
    corpus = manifest.read(table(folder, "\n".join(rows), "m.jsonl"))
    assert corpus.labels() == {"wav/a": "1", "wav/b": "1"}
    for value in ("true", "NaN", "Infinity", "[]"):
        with pytest.raises(CorpusError, match="line 1: label must be text or a number"):
            manifest.read(table(folder, f'{{"path": "wav/a.wav", "label": {value}}}', "m.jsonl"))
    corpus = manifest.read(table(folder, "path,label\nwav/a.wav,NaN\nwav/b.wav,x\nwav/c.wav,NA\n", "m.csv"))
    assert [line[:32] for line in corpus.warnings if "taken as a class" in line] == [
        f"1 utterance has the label {label!r}, "[:32] for label in ("NaN", "NA")
    ]


def test_a_label_map_is_matched_by_what_a_label_means(folder, tmp_path):
    corpus = manifest.read(table(folder, "path,label\nwav/a.wav,Happy\nwav/b.wav,sad\n"))
    chosen = tmp_path / "map.toml"
    chosen.write_text('[labels]\n"happy " = "joy"\nSAD = "grief"\n', encoding="utf-8")
    assert corpus.labels(str(chosen)) == {"wav/a": "joy", "wav/b": "grief"}
    with text.reading_as(labels_as_written=True), pytest.raises(UnknownNameError, match="SAD"):
        corpus.labels(str(chosen))
    chosen.write_text('[labels]\nhappy = "joy"\nHappy = "fun"\n', encoding="utf-8")
    with pytest.raises(CorpusError, match="maps the raw label 'Happy' twice"):
        corpus.labels(str(chosen))
    chosen.write_text('[labels]\nhappy = "good"\nsad = "Good"\n', encoding="utf-8")
    with pytest.raises(CorpusError, match="differ only in spelling"):
        corpus.labels(str(chosen))
    chosen.write_bytes('[labels]\nHappy = "fröhlich"\n'.encode("cp1252"))
    with pytest.raises(
        CorpusError, match=r"map\.toml line 2 is not UTF-8; it can be read as cp1252 \(.*fröhlich"
    ):
        corpus.labels(str(chosen))
    with text.reading_as("cp1252"):
        assert corpus.labels(str(chosen)) == {"wav/a": "fröhlich"}


# Names of files


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_a_name_is_found_in_either_form(folder, written, on_disk):
    name = "fröhlich é.wav"
    corpus_trees.write_wav(folder / "wav" / unicodedata.normalize(on_disk, name))
    corpus = manifest.read(table(folder, f"path,label\nwav/{unicodedata.normalize(written, name)},x\n"))
    assert [u.id for u in corpus.utterances] == ["wav/fröhlich é"]
    assert corpus.utterances[0].path.is_file()
    assert any("1 recording has a name that the disk" in line for line in corpus.warnings) is (
        written != on_disk
    )


def test_backslashes_and_case(folder):
    corpus = manifest.read(table(folder, "path,label\nwav\\a.wav,x\nWAV/B.Wav,y\n"))
    assert [(u.id, u.path) for u in corpus.utterances] == [
        ("WAV/B", folder / "wav/b.wav"),
        ("wav/a", folder / "wav/a.wav"),
    ]
    assert any("2 recordings have names that the disk spells otherwise" in line for line in corpus.warnings)


def test_a_name_that_could_be_several_is_named(folder):
    for name in ("x.wav", "X.wav"):
        corpus_trees.write_wav(folder / "wav" / name)
    if len(list((folder / "wav").glob("[xX].wav"))) < 2:
        pytest.skip("this file system does not tell case apart")
    corpus = manifest.read(table(folder, "path,label\nwav/x.wav,x\nwav/x.WAV,y\n"))
    assert [u.id for u in corpus.utterances] == ["wav/x.wav"]
    assert "x.WAV could be any of X.wav, x.wav" in corpus.skipped[0].reason


def test_a_folder_is_listed_once_whatever_it_holds(folder, monkeypatch):
    for n in range(20):
        corpus_trees.write_wav(folder / "wav" / f"N{n}.wav")
    listed = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path=".": listed.append(path) or real(path))
    rows = "".join(f"wav/n{n}.wav,x\n" for n in range(20))
    assert len(manifest.read(table(folder, f"path,label\n{rows}")).utterances) == 20
    assert len([path for path in listed if str(path).startswith(str(folder))]) == 1


def test_recordings_outside_the_folder_are_taken_and_counted(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("one", "two", "three"):
        corpus_trees.write_wav(elsewhere / f"{name}.wav")
    (folder / "wav" / "link.wav").symlink_to(elsewhere / "three.wav")
    rows = f"{os.path.relpath(elsewhere, folder)}/one.wav,x\n{elsewhere}/two.wav,x\nwav/link.wav,x\nwav/a.wav,x\n"
    corpus = manifest.read(table(folder, f"path,label\n{rows}"))
    assert len(corpus.utterances) == 4
    assert [
        line for line in corpus.warnings if line.startswith(f"3 recordings lie outside {folder}, first: ")
    ]


# Ids


def test_segments_without_ids_get_them_from_where_they_lie(folder):
    header = "path,label,start,end\n"
    corpus = manifest.read(
        table(folder, f"{header}wav/a.wav,x,0,0.1\nwav/a.wav,y,0.1,\nwav/b.wav,y,0.1,0.2\n")
    )
    assert [u.id for u in corpus.utterances] == ["wav/a[0.000-0.100]", "wav/a[0.100-]", "wav/b"]
    close = manifest.read(
        table(folder, f"{header}wav/a.wav,x,0.1001,0.2\nwav/a.wav,y,0.1004,0.2\nwav/a.wav,y,0,1\n")
    )
    assert [u.id for u in close.utterances] == [
        "wav/a[0.000-1.000]",
        "wav/a[0.100100-0.200000]",
        "wav/a[0.100400-0.200000]",
    ]


def test_names_that_differ_in_their_suffix_alone_keep_it(folder):
    corpus_trees.write_wav(folder / "wav" / "a.WAVE")
    corpus = manifest.read(table(folder, "path,label\nwav/a.wav,x\nwav/a.WAVE,y\nwav/b.wav,y\n"))
    assert [u.id for u in corpus.utterances] == ["wav/a.WAVE", "wav/a.wav", "wav/b"]


def test_rows_that_say_the_same_are_counted_and_others_refused(folder):
    corpus = manifest.read(table(folder, "path,label\nwav/a.wav,x\nwav/a.wav,x\nwav/b.wav,y\n"))
    assert len(corpus.utterances) == 2
    assert "1 rows of manifest.csv repeat others, first: line 3 says what line 2 says" in corpus.warnings[0]
    with pytest.raises(
        CorpusError, match=r"line 3: says of wav/a the label 'y', line 2 says 'x'; .*column id"
    ):
        manifest.read(table(folder, "path,label\nwav/a.wav,x\nwav/a.wav,y\n"))
    corpus = manifest.read(
        table(folder, "id,path,label\n1,wav/a.wav,x\n2,wav/a.wav,y\n3,wav/b.wav,y\n4,wav/b.wav,y\n")
    )
    assert "several ids with different labels, first: a.wav (x in line 2, y in line 3)" in corpus.warnings[0]
    assert "several ids with one label, first: b.wav (3, 4)" in corpus.warnings[1]


def test_a_table_that_is_no_unicode_needs_its_encoding(folder):
    path = table(folder, "path,label\nwav/a.wav,生气\nwav/b.wav,快乐\n", encoding="gb18030")
    with pytest.raises(CorpusError, match=r"line 2 is not UTF-8; it can be read as gb18030 \(生气\)"):
        manifest.read(path)
    with text.reading_as("gbk"):
        corpus = manifest.read(path)
    assert corpus.classes() == ["快乐", "生气"]
    with text.reading_as("gb18030"):
        assert manifest.read(path).release == corpus.release
    with text.reading_as("cp1252"):  # what earlier releases took it for: its stores are found
        assert manifest.read(path).release == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    with text.reading_as("gbk"):
        assert (
            "is Unicode by itself" in manifest.read(table(folder, "path,label\nwav/a.wav,生气\n")).warnings[0]
        )


def test_exports_of_spreadsheets(folder):
    content = 'sep=;\r\n Path ;"Label ";Start;;\r\nwav/a.wav;"ha;ppy";0,05;;\r\n;;;;\r\n'
    (u,) = manifest.read(table(folder, content)).utterances
    assert (u.raw_label, u.start) == ("ha;ppy", 0.05)
    (u,) = manifest.read(table(folder, "Path\tLabel\r\nwav/a.wav\tx\r\n", "m.txt", "utf-16")).utterances
    assert u.raw_label == "x"
    (folder / "book.xlsx").write_bytes(b"PK")
    with pytest.raises(CorpusError, match="save the sheet as CSV UTF-8"):
        manifest.read(folder / "book.xlsx")


def test_what_is_no_table_of_utterances_says_what_it_is(folder):
    """A workbook or an archive called .csv, a table without rows: one line that names the file and what to do."""
    with pytest.raises(CorpusError, match=r"holds no utterance; write a header"):
        manifest.read(table(folder, ""))
    with pytest.raises(CorpusError, match=r"holds no utterance; write a header"):
        manifest.read(table(folder, "path,label,speaker\n"))
    with pytest.raises(CorpusError, match=r"holds no utterance; write a header"):
        manifest.read(table(folder, "\n", "manifest.jsonl").rename(folder / "rows.jsonl"))
    for start, words in (
        (b"PK\x03\x04\x14\x00", "save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save the sheet as CSV"),
        (b"\x1f\x8b\x08\x00", "gunzip"),
    ):
        (folder / "manifest.csv").write_bytes(start + b"path,label\n")
        with pytest.raises(CorpusError, match=rf"manifest\.csv is .*{words}"):
            manifest.read(folder / "manifest.csv")


def test_a_path_to_no_recording_says_what_is_there(folder):
    """A link to nothing, a folder, a pipe, an address: each is left out in its own words."""
    (folder / "wav" / "gone.wav").symlink_to("nowhere.wav")
    (folder / "wav" / "box.wav").mkdir()
    os.mkfifo(folder / "wav" / "pipe.wav")
    rows = "path\nwav/a.wav\nwav/gone.wav\nwav/box.wav\nwav/pipe.wav\nhttps://example.org/a.wav\n"
    corpus = manifest.read(table(folder, rows))
    assert [u.id for u in corpus.utterances] == ["wav/a"]
    said = " | ".join(each.reason for each in corpus.skipped)
    assert "a link to nowhere.wav, which is not there" in said
    assert "a folder, expected a recording" in said
    assert "a pipe or a device, expected a file" in said
    assert "expected a path, got an address: https://example.org/a.wav" in said
    assert "no such file" not in said


def test_utterances_without_a_label_are_counted(folder):
    corpus = manifest.read(table(folder, "path,label\nwav/a.wav,x\nwav/b.wav,\nwav/c.wav,  \n"))
    assert "2 of 3 utterances have no label, first: wav/b" in corpus.warnings

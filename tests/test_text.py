"""Text of tables: UTF-8, or the encoding that is named; never letters that nobody wrote."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sercache import tables, text
from sercache.errors import SettingsError, TextError

WORDS = {
    "gb18030": ["生气", "快乐", "悲伤", "中性"],
    "big5": ["生氣", "快樂"],
    "cp932": ["怒り", "喜び", "カナシミ"],
    "euc_jp": ["怒り", "喜び"],
    "cp949": ["행복", "슬픔"],
    "cp1252": ["fröhlich", "müde", "colère"],
    "cp1250": ["radość", "złość"],
    "cp1251": ["злость", "радость"],
    "koi8_r": ["злость", "радость"],
    "cp1253": ["θυμός", "χαρά"],
    "cp1254": ["öfke", "şaşkın"],
    "cp1256": ["غضب", "فرح"],
    "cp850": ["fröhlich", "müde"],
    "mac_roman": ["fröhlich", "müde"],
}
CASES = [(encoding, word) for encoding, words in WORDS.items() for word in words]


@pytest.mark.parametrize(("encoding", "word"), CASES)
def test_what_is_not_utf8_is_refused_with_the_encoding_that_reads_it(encoding: str, word: str) -> None:
    data = f"path,label\na.wav,x\nb.wav,{word}\n".encode(encoding)
    with pytest.raises(TextError, match=r"table\.csv line 3 is not UTF-8.*--encoding") as caught:
        text.decode(data, "table.csv")
    assert f"({word})" in str(caught.value)  # what a label would look like
    assert "\n" not in str(caught.value)
    with text.reading_as(encoding):
        assert text.decode(data, "table.csv").splitlines()[2] == f"b.wav,{word}"


@given(st.lists(st.sampled_from(sorted({word for _, word in CASES})), min_size=1, max_size=4), st.data())
def test_a_text_is_read_as_written_or_refused(words: list[str], data: st.DataObject) -> None:
    """Whatever encoding a file has, without a name for it: its own words, or one line."""
    content = "path,label\n" + "".join(f"{n}.wav,{word}\n" for n, word in enumerate(words))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", *WORDS]))
    try:
        raw = content.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    try:
        found = text.decode(raw, "table.csv")
    except TextError:
        assert encoding in WORDS
        with text.reading_as(encoding):
            found = text.decode(raw, "table.csv")
    assert found.removeprefix("\ufeff") == content


@pytest.mark.parametrize("named", [None, "gb18030", "cp1252"])
def test_two_encodings_in_one_file_are_never_read_as_one(named: str | None) -> None:
    data = "path,label\na.wav,生气\n".encode() + "b.wav,生气\n".encode("gb18030")
    with text.reading_as(named), pytest.raises(TextError, match="mixes encodings: line 2 is UTF-8"):
        text.decode(data, "table.csv")


def test_a_named_encoding_that_does_not_fit_is_refused() -> None:
    with (
        text.reading_as("cp1252"),
        pytest.raises(TextError, match="line 3 is no text in cp1252; it can be read as"),
    ):
        text.decode("label\nrоман Ё\n".encode("cp1251") + b"\x81\x8d\n", "table.csv")
    for name in ("base64", "nosuch", "rot13", ""):
        with (
            pytest.raises(SettingsError, match="--encoding names an encoding of text"),
            text.reading_as(name),
        ):
            pass


def test_what_is_said_of_reading_holds_inside_alone() -> None:
    with text.reading_as("gbk"):
        with text.reading_as(labels_as_written=True):
            assert text.reading() == text.TextOptions("gbk", True)
        assert text.reading() == text.TextOptions("gbk", False)
    assert text.reading() == text.TextOptions()


def test_the_encodings_of_a_corpus_own_tables_come_after_the_named_one() -> None:
    data = "käse\n".encode("cp1252")
    assert text.decode(data, "x", ("cp1252",)) == "käse\n"
    with text.reading_as("cp1251"):
        assert text.decode(data, "x", ("cp1252",)) == "kдse\n"


# Tables

HEADERS = st.permutations(["path", "label", "text"])
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8)


@given(
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    HEADERS,
    st.lists(st.tuples(CELL, CELL), max_size=4),
    st.booleans(),
)
def test_a_table_is_read_whatever_separates_it(
    separator: str, end: str, header: list[str], cells: list[tuple[str, str]], marked: bool
) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace('"', '""') + '"'

    rows = [dict(zip(header, ("a.wav", *pair), strict=True)) for pair in cells]
    lines = [separator.join(f" {name.title()} " for name in header)]
    lines += [separator.join(quoted(row[name]) for name in header) for row in rows]
    lines.insert(1, separator * 2)  # an empty row, as sheets have them
    content = ("sep=" + separator + end) * marked + end.join(lines) + end
    found = tables.parse(content, "table.csv", ("path", "label"))
    assert found.separator == separator
    assert [row.cells for row in found.rows] == rows


def test_a_cell_may_be_longer_than_the_csv_module_likes() -> None:
    import csv

    before = csv.field_size_limit()
    found = tables.parse(f"id,text\na,{'ha ' * 60_000}\n", "t.csv")
    assert len(found.rows[0].cells["text"]) == 180_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            'path,label\n"a.wav,x\nb.wav,y\n',
            "line 2: unexpected end of data: a quotation mark that opens here",
        ),
        ('path,label\na.wav,"x" y\n', "line 2: ',' expected after '\"': a quotation mark inside"),
        ("path,label\na.wav\n", "line 2: 1 values for 2 columns; write separators"),
        ("path,label\na.wav,x,y\n", "line 2: 3 values for 2 columns; quote"),
        ("path,\na.wav,x\n", "line 2: 'x' stands in a column without a name"),
        ("Path, path\na.wav,x\n", "column 'path' occurs twice"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(content: str, says: str) -> None:
    with pytest.raises(TextError) as caught:
        tables.parse(content, "table.csv", ("path",))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_without_a_name_or_value_are_passed_over() -> None:
    found = tables.parse("path,label,,\na.wav,x,,\nb.wav,y,,,,\n", "table.csv", ("path",))
    assert found.columns == ("path", "label")
    assert [row.cells["label"] for row in found.rows] == ["x", "y"]

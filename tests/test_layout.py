"""Listings fit the terminal that they are printed on: nothing is lost, no number is broken, a pipe gets whole rows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_report import make_report

from sercache.layout import aligned, filled, shown_width, terminal_width, wrapped
from sercache.record import Interval, Score
from sercache.report import tables
from sercache.report.render import ReportTable
from sercache.units import duration

HEADING = ("run", "head", "encoder", "normalise", "folds x seeds", "WA", "UA", "macro F1", "UA 95 %")
SCORES = ["0.4123 ± 0.0412", "0.5123 ± 0.0412", "0.6123 ± 0.0412", "0.381 to 0.431 (10 speakers)"]
WIDE = [
    HEADING,
    ("superb-logmel", "superb", "logmel", "global", "10 x 1", *SCORES),
    ("layer-attention-demo-wavlm", "layer-attention", "demo-wavlm", "global", "10 x 1", *SCORES),
]
NUMBERS = range(5, 9)

WORD = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]), min_size=1, max_size=9)
NUMBER = st.floats(-999, 999).map(lambda value: f"{value:+.4f} ± {abs(value):.3f}")


@st.composite
def grids(draw: st.DrawFn) -> list[list[str]]:
    """A heading and rows: names, text, and two columns of numbers."""
    text = st.lists(WORD, min_size=1, max_size=5).map(" ".join)
    rows = draw(st.lists(st.tuples(WORD, text, text, NUMBER, NUMBER), min_size=1, max_size=4))
    return [draw(st.lists(WORD, min_size=5, max_size=5)), *map(list, rows)]


@given(rows=grids(), width=st.integers(1, 90), spare=st.integers(0, 2), ruled=st.booleans())
def test_nothing_is_lost_and_no_number_is_broken(
    rows: list[list[str]], width: int, spare: int, ruled: bool
) -> None:
    right = (3, 4) if not spare else ()
    lines = aligned(rows, right, width=width, spare=spare, ruled=ruled)
    shown = "\n".join(lines)
    left_out = 0
    while spare and left_out < spare and f"{rows[0][4 - left_out]})" in "".join(lines[-9:]).replace(" ", ""):
        left_out += 1
    for number, row in enumerate(rows):
        for k, cell in enumerate(row):
            if k in right and number:
                assert cell in shown
            elif k < 5 - spare:  # text may be broken, but every piece of it is there
                assert all(piece in shown for piece in re.split(r"\s|(?<=-)", cell) if piece)
    assert all(line == line.rstrip() for line in lines)
    widest = max(shown_width(part) for row in rows for cell in row for part in [cell, *cell.split()])
    naming = sum(max(shown_width(row[k]) for row in rows) + 2 for k in range(3))
    assert all(shown_width(line) <= max(width, naming + widest, 40) for line in lines)


@given(rows=grids(), ruled=st.booleans())
def test_a_pipe_gets_each_row_whole(rows: list[list[str]], ruled: bool) -> None:
    lines = aligned(rows, (3, 4), width=None, spare=2, below=1, ruled=ruled)
    assert len(lines) == len(rows) + ruled
    for line, row in zip([lines[0], *lines[1 + ruled :]], rows, strict=True):
        assert re.split(" +", line.strip()) == " ".join(row).split()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_wide_table_goes_on_below(width: int) -> None:
    lines = aligned(WIDE, NUMBERS, width=width, ruled=True)
    assert max(map(shown_width, lines)) <= width
    text = "\n".join(lines)
    assert all(text.count(score.partition(" (")[0]) == 2 for score in SCORES)
    assert text.count("(10 speakers)") == 2
    # What all rows share is said once; each block names its rows.
    assert lines[-1].endswith("normalise: global; folds x seeds: 10 x 1")
    n_blocks = sum(line.startswith("run ") for line in lines)
    assert n_blocks == text.count("superb-logmel") == text.count("layer-attention-demo-wavlm")
    assert (n_blocks > 1) == (width < 120)


def test_blocks_repeat_what_tells_rows_apart() -> None:
    rows = [("row", "column", "printed", "ours", "difference")]
    rows += [(r, c, "57.2 ± 2.4", "54.9 ± 2.2", "-2.3") for r in ("a", "b") for c in ("IEMOCAP", "RAVDESS")]
    lines = aligned(rows, (2, 3, 4), width=40, ruled=True)
    assert [line.split()[:3] for line in lines if line.startswith("row")] == [
        ["row", "column", "printed"],
        ["row", "column", "difference"],
    ]


def test_what_is_left_out_is_said() -> None:
    rows = [
        ("name", "corpus", "licence"),
        ("emodb", "Berlin database of emotional speech", "CC0 of its authors"),
    ]
    assert aligned(rows, width=40, spare=1)[-1] == "(left out at 40 columns: licence)"
    assert "left out" not in "".join(aligned(rows, width=80, spare=1))


def test_wide_letters_take_two_columns() -> None:
    lines = aligned([("类别", "n"), ("四五六", "3"), ("abc", "10")], (1,), width=80)
    assert [shown_width(line) for line in lines] == [10, 10, 10]
    assert wrapped("愤怒 高兴 中性", 6) == ["愤怒", "高兴", "中性"]


def test_a_paragraph_is_no_wider_than_is_easy_to_read() -> None:
    text = "word " * 60 + "end"
    assert filled(text, None, "note: ") == [f"note: {text}"]
    for width in (40, 80, 200):
        lines = filled(text, width, "note: ", "      ")
        assert max(map(len, lines)) <= min(width, 110)
        assert lines[0].startswith("note: word")
        assert {line[:7] for line in lines[1:]} <= {"      w", "      e"}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.352, "0.35 s"), (0.97, "1 s"), (59.7, "1 min 00 s"), (7260, "2 h 01 min")],
)
def test_a_part_of_a_second_is_not_none(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert terminal_width() == 72
    monkeypatch.setenv("COLUMNS", "none")
    assert terminal_width() is None  # pytest captures what is printed: no terminal


def test_reports_fit() -> None:
    text = tables.table([make_report(), make_report(seed=1)], names=["one", "two"], width=80)
    assert max(map(shown_width, text.splitlines())) <= 80
    whole = tables.table([make_report(), make_report(seed=1)], names=["one", "two"]).splitlines()
    (row,) = [line for line in whole if line.startswith("one ")]
    assert row.endswith("0.650 to 0.780 (3 speakers)  best")
    cells = ReportTable("t", ("a", "b"), (("x", Score(0.5, 0.1, 3)), ("y", Interval(0.1, 0.2, 9, "folds"))))
    assert "0.5000 ± 0.1000" in cells.render("text", 20)

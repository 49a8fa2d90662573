"""Rows of CSV and its kin as people export them: comma, semicolon, tab or bar, quoted or not, any length of cell."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sercache.errors import MissingExtraError, TextError

_SEPARATORS = (",", ";", "\t", "|")
_LONGEST = 2**31 - 1
"""Characters of a cell: the csv module's own bound is 131,072, which a transcript of an hour passes."""
_LINE = re.compile(r"[^\r\n]+(?:\r\n?|\n)?|\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands, and its cells by column."""

    line: int
    last_line: int
    """Greater than ``line`` where a quoted cell holds line ends."""
    columns: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def cells(self) -> dict[str, str]:
        """By column."""
        return dict(zip(self.columns, self.values, strict=False))


@dataclass(frozen=True, slots=True)
class Table:
    """A table as read; cells are as written."""

    columns: tuple[str, ...]
    """In lower case, without space around them."""
    separator: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table whose rows are read as they are asked for."""

    columns: tuple[str, ...]
    """As in Table, and so the next."""
    separator: str
    rows: Iterator[Row]
    """To be gone through once; raises TextError, as ``parse`` does."""


def parse(
    text: str, where: object, columns: Collection[str] = (), *, ragged: bool = False, padded: bool = False
) -> Table:
    """The table in ``text``, whose separator is the one that splits its first line into known ``columns``.

    Empty rows and nameless empty columns are passed over. ``ragged``: missing cells are empty, superfluous ones left
    out, names of columns kept as written; else both are refused. ``padded``: space behind a separator is none of the
    cell. Raises TextError, naming the line, for quotation
    marks that are not closed, cells without a column, a column that occurs twice.
    """
    found = opened(text, where, columns, ragged=ragged, padded=padded)
    return Table(found.columns, found.separator, tuple(found.rows))


def opened(
    text: str, where: object, columns: Collection[str] = (), *, ragged: bool = False, padded: bool = False
) -> OpenTable:
    """As ``parse``, row by row: all rows of a million utterances take half a gigabyte."""
    text = text.removeprefix("\ufeff")
    if text[:4].lower() == "sep=":  # Excel's own first line
        text = text.partition("\n")[2]
    separator = _separator(text, {column(name) for name in columns})
    found = _filled(text, separator, where, strict=not ragged, padded=padded)
    _, _, first = next(found, (0, 0, []))
    header = tuple(value.strip() if ragged else column(value) for value in first)
    _check_header(header, where, ragged)
    named = tuple(filter(None, header))
    rows = (
        Row(line, last, header if ragged else named, tuple(_complete(values, header, where, line, ragged)))
        for line, last, values in found
    )
    return OpenTable(named, separator, rows)


def _filled(
    text: str, separator: str, where: object, *, strict: bool, padded: bool
) -> Iterator[tuple[int, int, list[str]]]:
    """First and last line of each row that is not empty, and its cells."""
    reader = csv.reader(_lines(text), delimiter=separator, strict=strict, skipinitialspace=padded)
    line = 1
    while True:
        try:
            with _any_length():
                values = next(reader, None)
        except csv.Error as fault:
            raise TextError(f"{where} line {line}: {_said(fault)}") from None
        if values is None:
            return
        first, line = line, reader.line_num + 1
        if any(value.strip() for value in values):
            yield first, reader.line_num, values


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends (LF, CR LF or CR), each cut when it is asked for: ``io.StringIO`` makes a copy of the whole
    with four bytes a character."""
    return (found[0] for found in _LINE.finditer(text))


def column(name: str) -> str:
    """The name of a column as it is compared: lower case, no space around it, normal form KC."""
    return unicodedata.normalize("NFKC", name).strip().strip("\ufeff\u200b").lower()


def _separator(text: str, columns: Collection[str]) -> str:
    """The separator whose header has most of ``columns``, then most cells; the first of equals."""
    return max(_SEPARATORS, key=lambda separator: _fit(text, separator, columns))


def _fit(text: str, separator: str, columns: Collection[str]) -> tuple[int, int]:
    with _any_length():
        try:
            reader = csv.reader(_lines(text), delimiter=separator)
            header = next((row for row in reader if any(value.strip() for value in row)), [])
        except csv.Error:
            return 0, 0
    return sum(column(value) in columns for value in header), len(header)


def _check_header(header: Sequence[str], where: object, ragged: bool) -> None:
    double = sorted({name for name in header if name and header.count(name) > 1})
    if double and not ragged:
        raise TextError(f"{where}: column {double[0]!r} occurs twice; rename or remove one")


def _complete(values: list[str], header: Sequence[str], where: object, line: int, ragged: bool) -> list[str]:
    """The cells of all columns, unless ``ragged`` of those that have a name.

    Raises TextError where there are more or fewer than columns.
    """
    if ragged:
        return values + [""] * (len(header) - len(values))
    while len(values) > len(header) and not values[-1].strip():  # superfluous separators behind the last cell
        values = values[:-1]
    if len(values) > len(header):
        raise TextError(
            f"{where} line {line}: {len(values)} values for {len(header)} columns; quote values that hold the separator"
        )
    if len(values) < len(header):
        raise TextError(
            f"{where} line {line}: {len(values)} values for {len(header)} columns; write separators for empty cells too"
        )
    if "" not in header:
        return values
    for name, value in zip(header, values, strict=True):
        if not name and value.strip():
            raise TextError(
                f"{where} line {line}: {value[:40]!r} stands in a column without a name; name it in line 1"
            )
    return [value for name, value in zip(header, values, strict=True) if name]


def _said(fault: csv.Error) -> str:
    """What the csv module says, in words of a table."""
    text = str(fault)
    if "unexpected end of data" in text:
        return "unexpected end of data: a quotation mark that opens here is not closed"
    if "expected after" in text:
        return f"{text}: a quotation mark inside a quoted value is written twice"
    return text


@contextmanager
def _any_length() -> Iterator[None]:
    """Cells of any length; the bound of the csv module, which is one for the process, is put back."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def arrow() -> tuple[Any, Any]:
    """The modules that read and write Parquet, ``pyarrow`` and ``pyarrow.parquet``. Raises MissingExtraError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as fault:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed; run: pip install 'sercache[parquet]'"
        ) from fault
    return pyarrow, pyarrow.parquet

"""Label files of corpora. A reader whose owners publish another encoding than UTF-8 names it (``published``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sercache import tables, text
from sercache.errors import CorpusError, TextError

WESTERN = ("cp1252", "latin-1")
"""What owners of corpora in English use where it is not UTF-8; the second reads any byte."""


def read_text(path: Path, published: Sequence[str] = ()) -> str:
    """Decoded content of a label file. Raises CorpusError where it cannot be read or is in no known encoding."""
    try:
        return text.read(path, published)
    except TextError as fault:
        raise CorpusError(str(fault)) from None


def read_lines(path: Path, published: Sequence[str] = ()) -> list[str]:
    """Lines of a label file without their ends. Raises CorpusError as ``read_text``."""
    return text.split(read_text(path, published))


def read_table(
    path: Path, published: Sequence[str] = (), columns: Sequence[str] = ()
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Column names of a CSV file, and its rows as (line number, cells by column), cells stripped.

    ``columns`` are some that it is known to have. Missing cells are empty, superfluous ones are left out. Raises
    CorpusError where it is no CSV.
    """
    content = read_text(path, published)
    try:
        table = tables.parse(content, path, columns, ragged=True)
    except TextError as fault:
        raise CorpusError(f"cannot read {fault}") from None
    rows = [(row.last_line, {name: cell.strip() for name, cell in row.cells.items()}) for row in table.rows]
    return list(table.columns), rows

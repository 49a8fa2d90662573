"""Text of label files, whatever encoding a corpus or its copies use."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

from sercache.errors import CorpusError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, fallback: str = "cp1252") -> str:
    """Text of ``data``: byte order mark, then UTF-16 by its zero bytes, then UTF-8, then ``fallback``.

    Never fails: bytes that no encoding takes become U+FFFD.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    head = data[:4000]
    # ASCII in UTF-16 has a zero in every second byte, which no 8-bit encoding of text has.
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if zeros and zeros.count(0) > len(zeros) * 0.4:
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(fallback, errors="replace")


def read_text(path: Path, fallback: str = "cp1252") -> str:
    """Decoded content of a label file. Raises CorpusError where the file cannot be read."""
    try:
        return decode(path.read_bytes(), fallback)
    except OSError as error:
        raise CorpusError(f"cannot read the label file {path}: {error.strerror or error}") from None


def read_lines(path: Path, fallback: str = "cp1252") -> list[str]:
    """Lines of a label file without their ends. Raises CorpusError where the file cannot be read."""
    # Not splitlines(): it also cuts at U+0085 and U+2028, which occur inside transcripts.
    text = read_text(path, fallback).replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Column names of a CSV file, and its rows as (line number, cells by column), cells stripped.

    Missing cells are empty, superfluous ones are left out. Raises CorpusError where it is no CSV.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader(io.StringIO(text, newline=""))
    rows: list[tuple[int, dict[str, str]]] = []
    header: list[str] = []
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not header:
                header = values
            elif any(values):
                values += [""] * (len(header) - len(values))
                rows.append((reader.line_num, dict(zip(header, values, strict=False))))
    except csv.Error as error:
        raise CorpusError(f"cannot read {path}, line {reader.line_num}: {error}") from None
    return header, rows

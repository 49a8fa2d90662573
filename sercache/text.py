"""Text that people and corpora write: UTF-8, else the encoding that somebody names; bytes are never guessed.

How text is read (``TextOptions``) holds for everything that is read inside ``reading_as``, as ``decimal.localcontext``
does for arithmetic: tables, transcripts, label maps and lists lie in many rooms, and a user says it once.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from sercache import files
from sercache.errors import SettingsError, TextError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LFS = b"version https://git-lfs"
_NO_TEXT = (
    (b"PK\x03\x04", "is a workbook or a zip archive, not text; save the sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a workbook, not text; save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "is compressed by gzip, not text; give the file that `gunzip` makes of it"),
)
"""First bytes of what is often called .csv and is none, and what to say of it."""
_EAST_ASIAN = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949")
_SINGLE = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874",
    "cp850", "mac_roman",
)  # fmt: skip
_SHOWN = 5
"""Encodings that a message names."""
_CELL = re.compile(r"[,;\t|\"\r\n]+")
_WORD = re.compile(r"[^\W\d_]+")
_MIDDLE_BYTES = re.compile(rb"[\xe0-\xf4][\x80-\xbf]{2}")
_COMMON = {"gb18030": (0xB0, 0xD7), "big5hkscs": (0xA4, 0xC6), "cp949": (0xB0, 0xC8)}
"""First bytes of the frequent characters, which standards put before the rare ones."""


@dataclass(frozen=True)
class TextOptions:
    """How text is read."""

    encoding: str | None = None
    """Of files that are not UTF-8; None: such files are refused."""
    labels_as_written: bool = False
    """Whether spellings that differ only by case, space or normal form stay apart."""


_READING: ContextVar[TextOptions] = ContextVar("reading", default=TextOptions())  # noqa: B039 - frozen


def reading() -> TextOptions:
    """How text is read here."""
    return _READING.get()


@contextmanager
def reading_as(encoding: str | None = None, labels_as_written: bool = False) -> Iterator[None]:
    """Within: files that are not UTF-8 are read as ``encoding``, labels kept as written where that is asked for.

    What is not given stays as it is outside. Raises SettingsError for an encoding that does not exist.
    """
    outside = _READING.get()
    named = codec(encoding) if encoding is not None else outside.encoding
    token = _READING.set(TextOptions(named, labels_as_written or outside.labels_as_written))
    try:
        yield
    finally:
        _READING.reset(token)


def codec(name: str) -> str:
    """Python's own name of an encoding. Raises SettingsError for one that does not exist or is not of text."""
    try:
        found = codecs.lookup(name)
        "a".encode(found.name)  # refuses codecs that are not of text, such as base64
    except (LookupError, UnicodeError, ValueError):
        raise SettingsError(
            f"--encoding names an encoding of text, got {name!r}; for example {', '.join((*_EAST_ASIAN, *_SINGLE)[:8])}"
        ) from None
    return found.name


def decode(data: bytes, where: object, published: Sequence[str] = ()) -> str:
    """Text of ``data``: by its byte order mark, as UTF-16 where every second byte is zero, as UTF-8, else as named.

    Named is what ``reading_as`` says, then ``published``: the encodings that a corpus' owners use. Raises TextError,
    with the line and the encodings that would read it, for anything else; ``where`` is the file for people.
    """
    if data.startswith(_LFS):
        raise TextError(f"{where} is a git-LFS pointer, not the file; run `git lfs pull` in its folder")
    for start, words in _NO_TEXT:
        if data.startswith(start):
            raise TextError(f"{where} {words}")
    encoding = _by_itself(data)
    if encoding is not None:
        return _strictly(data, encoding, where)
    named = reading().encoding
    if named is not None:
        _check_not_mixed(data, named, where)
        return _strictly(data, named, where)
    for encoding in published:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TextError(_refusal(data, where))


def needs_a_name(data: bytes) -> bool:
    """Whether nothing in ``data`` itself says how it is encoded, so that ``decode`` needs a named encoding."""
    return _by_itself(data) is None


def read(path: Path, published: Sequence[str] = ()) -> str:
    """Decoded content of a file. Raises TextError where it cannot be read, and as ``decode``."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise TextError(str(files.read_fault(path, fault))) from None
    return decode(data, path, published)


def one_line(words: object) -> str:
    """``words`` as one line for any terminal: names on disk may hold line breaks, escapes, bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(words))


def split(content: str) -> list[str]:
    """Lines of a text without their ends, which may be LF, CR LF or CR."""
    # Not splitlines(): it also cuts at U+0085 and U+2028, which occur inside transcripts.
    return content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def composed(text: str) -> str:
    """``text`` in Unicode's normal form C: what looks the same is the same."""
    return unicodedata.normalize("NFC", text)


def natural(name: str) -> list[tuple[str, int]]:
    """Sort key that puts speaker 2 before speaker 10."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


def _by_itself(data: bytes) -> str | None:
    """The encoding that the bytes show: a mark, the zeros of UTF-16, or valid UTF-8; None where none does."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding
    head = data[:4000]
    # ASCII in UTF-16 has a zero in every second byte, which no 8-bit encoding of text has.
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if zeros and zeros.count(0) > len(zeros) * 0.4 and _fits(data, encoding):
            return encoding
    return "utf-8" if _fits(data, "utf-8") else None


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _strictly(data: bytes, encoding: str, where: object) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as fault:
        line = data[: fault.start].count(b"\n") + 1
        others = _readings(data)
        known = f"; it can be read as {', '.join(others)}: give one of these as --encoding" if others else ""
        raise TextError(f"{where} line {line} is no text in {encoding}{known}, or save it as UTF-8") from None


def _check_not_mixed(data: bytes, named: str, where: object) -> None:
    """Raise TextError where some lines are UTF-8 and others are not: the former would be read wrong.

    Two bytes that are UTF-8 by chance are common in the East Asian encodings, three in a row are not.
    """
    alone = named in _EAST_ASIAN or codec(named) in {codec(each) for each in _EAST_ASIAN}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.isascii() or not _fits(line, "utf-8"):
            continue
        if not alone or _MIDDLE_BYTES.search(line):
            raise TextError(
                f"{where} mixes encodings: line {number} is UTF-8 ({_sample(line, 'utf-8')}), others are not; save the "
                "file in one encoding, best UTF-8"
            )


def _refusal(data: bytes, where: object) -> str:
    """What is wrong with text of no known encoding, and what would read it."""
    rows = data.split(b"\n")
    number = next(k for k, row in enumerate(rows, start=1) if not _fits(row, "utf-8"))
    mixed = next(
        (k for k, row in enumerate(rows, start=1) if not row.isascii() and _fits(row, "utf-8")), None
    )
    found = _readings(data)
    if mixed is not None and _MIDDLE_BYTES.search(rows[mixed - 1]):
        return (
            f"{where} mixes encodings: line {mixed} is UTF-8 ({_sample(rows[mixed - 1], 'utf-8')}), line {number} is "
            "not; save the file in one encoding, best UTF-8"
        )
    if not found:
        return f"{where} line {number} is not UTF-8, and no common encoding reads it; save the file as UTF-8"
    return (
        f"{where} line {number} is not UTF-8; it can be read as {', '.join(found)}: give the right one as --encoding, "
        "or save the file as UTF-8"
    )


def _readings(data: bytes) -> list[str]:
    """Encodings that read ``data``, the likelier first, each with a word of it: ``gb18030 (生气)``."""
    rows = [row for row in data.split(b"\n") if not _fits(row, "utf-8")] or [data]
    scored = []
    for place, encoding in enumerate((*_EAST_ASIAN, *_SINGLE)):
        if not _fits(data, encoding):
            continue
        sample = _sample(rows[0], encoding)
        scored.append((-_likeness(b"\n".join(rows[:200]), encoding), place, f"{encoding} ({sample})", sample))
    found: dict[str, str] = {}
    for _, _, line, sample in sorted(scored):
        found.setdefault(sample, line)  # encodings that read it alike are one answer
    return list(found.values())[:_SHOWN]


def _sample(row: bytes, encoding: str) -> str:
    """The first cell of a line that is not ASCII, shortened, without what cannot be printed."""
    cells = _CELL.split(row.decode(encoding, errors="replace"))
    cell = next((each.strip() for each in cells if not each.isascii()), "")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cell[:20])


def _likeness(data: bytes, encoding: str) -> float:
    """How much ``data`` looks like words in ``encoding``, at most 1: the mean over its words that are not ASCII."""
    content = data.decode(encoding, errors="replace")
    if any(
        unicodedata.category(letter) in ("Cc", "Co", "Cn") and letter not in "\t\r\n" for letter in content
    ):
        return -1.0
    words = [word for word in _WORD.findall(content) if not word.isascii()]
    marks = sum(not letter.isascii() and unicodedata.category(letter)[0] not in "LMNPZ" for letter in content)
    if not words:
        return 0.0
    return sum(_word_likeness(word, encoding) for word in words) / (len(words) + marks)


def _word_likeness(word: str, encoding: str) -> float:
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in word}
    if "LATIN" in scripts:
        # Letters with accents stand among plain ones; another script never does.
        n_plain = sum(letter.isascii() for letter in word)
        usual = len(scripts) == 1 and (n_plain >= len(word) / 3 or len(word) < 3)
        # In running words a capital stands first or everywhere.
        return 0.9 * usual * (word[1:].islower() or word.isupper())
    if "HALFWIDTH" in scripts:  # half-width katakana: what other encodings look like in cp932
        return 0.1
    if encoding in _COMMON:
        first, last = _COMMON[encoding]
        codes = [letter.encode(encoding) for letter in word]
        return sum(len(code) == 2 and first <= code[0] <= last for code in codes) / len(word)
    if word.upper() == word.lower():  # a script without capitals
        return 0.9 if encoding in _EAST_ASIAN else 0.7
    return 0.85 if word[1:].islower() else 0.6 * word.isupper()

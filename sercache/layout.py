"""Rows as aligned columns: fitted to a terminal, whole in a pipe or a file."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

GAP = "  "
"""Between two columns."""
PROSE = 110
"""Columns in which a paragraph is easy to read, however wide the terminal."""
_INDENT = "    "
"""Before what stands under its row."""
NARROW = 18
"""Columns of text below which it is hard to read: other measures come first."""


def terminal_width() -> int | None:
    """Columns of the terminal, or those that COLUMNS names; None where output goes into a pipe or a file."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def aligned(
    rows: Sequence[Sequence[object]],
    right: Sequence[int] = (),
    *,
    width: int | None,
    spare: int = 0,
    below: int | None = None,
    ruled: bool = False,
) -> list[str]:
    """Rows, the first of them the heading, as lines of at most ``width`` columns; None: each row whole, in one line.

    ``right`` names the columns to align to the right. Where a line is too long, the last ``spare`` columns are left
    out one by one, which a last line says; then the column ``below`` (paths, which must not be broken) moves to a
    line of its own under its row; then text wraps within its column; then columns go on in a further block, which
    begins with those that name the rows; one that does not fit even there stands under its row. A number, or a
    name in the first column, is never broken. ``ruled``: a rule stands under the heading, and where wrapping is not
    enough, a last line says what all rows share.
    """
    if not rows:
        return []
    table = _Grid([[str(cell) for cell in row] for row in rows], frozenset(right), width)
    kept, left_out = list(range(len(table.text[0]))), list[str]()
    while spare and not table.is_comfortable(kept):
        left_out.insert(0, table.text[0][kept.pop()])
        spare -= 1
    lowered = below in kept and not table.is_comfortable(kept)
    if lowered:
        kept.remove(below or 0)
    shared = [k for k in kept[1:] if table.is_shared(k)] if ruled and not table.fits(kept) else []
    kept = [k for k in kept if k not in shared]
    if not table.fits(kept):
        table = replace(table, at_hyphens=True)
    blocks = [kept] if table.fits(kept) else list(table.blocks(kept))
    lines: list[str] = []
    for block in blocks:
        lines += [""] if lines else []
        lines += table.shown(block, below if lowered and block is blocks[-1] else None, ruled)
    if shared:
        said = "; ".join(f"{table.text[0][k]}: {table.text[1][k]}" for k in shared)
        lines += wrapped(f"all rows: {said}", width or 0)
    if left_out:
        lines += wrapped(f"(left out at {width} columns: {', '.join(left_out)})", width or 0)
    return lines


def columns(
    rows: Sequence[Sequence[object]], right: Sequence[int] = (), *, spare: int = 0, below: int | None = None
) -> list[str]:
    """Rows as aligned lines for this terminal, or whole for a pipe; see ``aligned``."""
    return aligned(rows, right, width=terminal_width(), spare=spare, below=below)


def shown_width(text: str) -> int:
    """Columns that a text takes on a terminal: East Asian wide letters take two."""
    return sum(
        0
        if unicodedata.combining(letter) or unicodedata.category(letter) == "Cf"
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


_NUMBERS = r"\d+(?: (?:x|±|to) \d\S*)+\s*"
_WORDS = re.compile(rf"{_NUMBERS}|\s*\S+\s*|\s+")
"""Parts of a text: words, the first with what it is indented by; ``10 x 5`` and ``0.6 ± 0.1`` are one."""
_SYLLABLES = re.compile(rf"{_NUMBERS}|\S+?(?<=[^\W\d])-(?=[^\W\d])|\s*\S+\s*|\s+")
"""As _WORDS, and a word may be broken after a hyphen between letters."""
_NUMBER = re.compile(r"\([^()]*\)|(?:(?! \().)+ ?")
"""Parts of a cell that holds a number: what is in brackets may stand below it."""


def wrapped(text: str, width: int, parts: re.Pattern[str] = _WORDS) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken between its ``parts``; a longer part stays whole."""
    lines = [""]
    for part in parts.findall(text):
        if lines[-1] and shown_width((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def filled(text: str, width: int | None, first: str = "", rest: str = "") -> list[str]:
    """A paragraph in lines that begin with ``first`` and ``rest``, no wider than is easy to read; None: in one line."""
    if width is None:
        return [first + text]
    room = min(width, PROSE) - max(shown_width(first), shown_width(rest))
    return [(rest if number else first) + line for number, line in enumerate(wrapped(text, room))]


@dataclass(frozen=True)
class _Grid:
    """Cells as text, and the width that they are to fit."""

    text: list[list[str]]
    right: frozenset[int]
    width: int | None
    at_hyphens: bool = False
    """Whether words are broken at hyphens: names are harder to copy then, so only where there is no other way."""

    def parts(self, k: int, is_heading: bool) -> re.Pattern[str]:
        """Where cells of column ``k`` may be broken."""
        if k in self.right and not is_heading:
            return _NUMBER
        return _SYLLABLES if self.at_hyphens and k != 0 else _WORDS

    def natural(self, k: int) -> int:
        """Width of column ``k`` in which no cell is broken."""
        return max(shown_width(row[k]) for row in self.text)

    def least(self, k: int) -> int:
        """Width below which a part of column ``k`` would be cut."""
        return max(
            (
                shown_width(part.rstrip())
                for number, row in enumerate(self.text)
                for part in self.parts(k, number == 0).findall(row[k])
            ),
            default=0,
        )

    def readable(self, k: int) -> int:
        """Width of column ``k`` in which text is not squeezed."""
        return max(self.least(k), min(self.natural(k), NARROW))

    def has_room(self, widths: Sequence[int]) -> bool:
        """Whether columns so wide fit side by side."""
        return self.width is None or sum(widths) + len(GAP) * (len(widths) - 1) <= self.width

    def fits(self, kept: Sequence[int]) -> bool:
        """Whether columns fit side by side, however narrow."""
        return self.has_room([self.least(k) for k in kept])

    def is_comfortable(self, kept: Sequence[int]) -> bool:
        """Whether columns fit side by side with no text squeezed."""
        return self.has_room([min(self.natural(k), max(NARROW, self.least(k))) for k in kept])

    def is_shared(self, k: int) -> bool:
        """Whether several rows say the same in column ``k``, and no number."""
        return k not in self.right and len(self.text) > 2 and len({row[k] for row in self.text[1:]}) == 1

    def n_naming(self, kept: Sequence[int]) -> int:
        """How many of the first columns tell the rows apart; 1 where none do."""
        n_text = next((place for place, k in enumerate(kept) if k in self.right), len(kept))
        for n in range(1, n_text + 1):
            if len({tuple(row[k] for k in kept[:n]) for row in self.text}) == len(self.text):
                return n
        return 1

    def blocks(self, kept: Sequence[int]) -> Iterator[list[int]]:
        """The columns that name the rows with as many others as fit, until all have been shown.

        Numbers begin a block of their own, where text goes before them.
        """
        n = self.n_naming(kept)
        block = list(kept[:n])
        for k in kept[n:]:
            others = block[n:]
            is_full = not self.has_room([self.readable(each) for each in (*block, k)])
            if others and (is_full or (k in self.right and not self.right & {*others})):
                yield block
                block = list(kept[:n])
            block.append(k)
        yield block

    def fitted(self, kept: Sequence[int]) -> list[int]:
        """Width of each column: the widest are narrowed, no further than their longest part, until all fit."""
        widths, least = [self.natural(k) for k in kept], [self.least(k) for k in kept]
        while not self.has_room(widths):
            yielding = [place for place, own in enumerate(widths) if own > least[place]]
            if not yielding:
                break
            widths[max(yielding, key=lambda place: widths[place])] -= 1
        return widths

    def shown(self, block: Sequence[int], below: int | None, ruled: bool) -> Iterator[str]:
        """Columns side by side; the column ``below``, whole, and a last one that does not fit stand under each row."""
        under = block[-1] if len(block) > 1 and not self.fits(block) else None
        block = block if under is None else block[:-1]
        widths = self.fitted(block)
        for number, row in enumerate(self.text):
            yield from self.lines(row, block, widths)
            if under is not None:
                room = (self.width or 0) - len(_INDENT)
                yield from (
                    _INDENT + line for line in wrapped(row[under], room, self.parts(under, number == 0))
                )
            if below is not None:
                yield _INDENT + row[below]
            if ruled and number == 0:
                yield GAP.join("-" * own for own in widths)

    def lines(self, row: Sequence[str], kept: Sequence[int], widths: Sequence[int]) -> Iterator[str]:
        """A row over as many lines as its longest cell takes."""
        cells = [
            wrapped(row[k], own, self.parts(k, row is self.text[0]))
            for k, own in zip(kept, widths, strict=True)
        ]
        for line in itertools.zip_longest(*cells, fillvalue=""):
            padded = []
            for k, cell, own in zip(kept, line, widths, strict=True):
                gap = " " * (own - shown_width(cell))
                padded.append(gap + cell if k in self.right else cell + gap)
            yield GAP.join(padded).rstrip()

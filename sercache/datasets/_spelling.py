"""Spellings that mean one thing: ``Happy``, ``happy`` and ``HAPPY ``, ``1`` and ``1.0``."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_NUMBER = re.compile(r"\+?(?P<sign>-?)0*(?P<whole>\d+)(?:\.(?P<rest>\d*?)0*)?", re.ASCII)
_DOTLESS_I, _DOTTED_I = "\N{LATIN SMALL LETTER DOTLESS I}", "i\N{COMBINING DOT ABOVE}"
"""What is left of I and İ in lower case, as Turkish and as Unicode has it."""


def key(spelling: str) -> str:
    """What is equal for spellings that differ only by case, space, Unicode's normal form or zeros of a number.

    What cannot be seen (zero-width spaces, marks of direction) is space. The i of Turkish and Azerbaijani has its
    capitals there and others elsewhere (İ and i, I and ı), so that its dot tells nothing.
    """
    seen = "".join(c for c in unicodedata.normalize("NFKC", spelling) if unicodedata.category(c) != "Cf")
    folded = "".join(seen.casefold().split()).replace(_DOTLESS_I, "i").replace(_DOTTED_I, "i")
    # Folding may take a letter apart: normal form again.
    found = unicodedata.normalize("NFKC", folded)
    number = _NUMBER.fullmatch(found)
    if number is None:
        return found
    digits = number["whole"] + (f".{number['rest']}" if number["rest"] else "")
    return digits if digits == "0" else number["sign"] + digits


def spellings(values: Iterable[str]) -> dict[str, str]:
    """Every spelling in ``values`` -> the most frequent one of those that mean the same, the first of equals."""
    counted = Counter(values)
    alike: dict[str, list[str]] = {}
    for value in counted:
        alike.setdefault(key(value), []).append(value)
    return {value: max(group, key=counted.__getitem__) for group in alike.values() for value in group}

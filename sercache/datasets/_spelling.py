"""Spellings that mean one thing: ``Happy``, ``happy`` and ``HAPPY ``, ``1`` and ``1.0``."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_NUMBER = re.compile(r"\+?(?P<sign>-?)0*(?P<whole>\d+)(?:\.(?P<rest>\d*?)0*)?", re.ASCII)


def key(spelling: str) -> str:
    """What is equal for spellings that differ only by case, space, Unicode's normal form or zeros of a number."""
    found = "".join(unicodedata.normalize("NFKC", spelling).casefold().split())
    # Folding may take a letter apart: normal form again.
    found = unicodedata.normalize("NFKC", found)
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

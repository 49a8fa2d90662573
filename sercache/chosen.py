"""Which folds and seeds a call names: all of a run, or a part of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sercache.advice import unknown
from sercache.errors import SettingsError, UnknownNameError

Which = int | tuple[int, ...]
"""How many seeds, or which."""
_SEEDS = re.compile(r"(?P<named>\d+(-\d+)?(,\d+(-\d+)?)*,?)(/(?P<of>\d+))?")
_MOST = 10_000
"""Seeds: more are a mistake in typing."""


@dataclass(frozen=True)
class ChosenSeeds:
    """The seeds of a run, and those of them that one call trains."""

    run: Which | None
    """None: as published."""
    part: tuple[int, ...] | None = None
    """None: all of them."""


def read_seeds(given: Which | str | None) -> ChosenSeeds:
    """What ``5`` (how many), ``0-4`` or ``0,2,7`` (these), and ``0-4/25`` (these of 25) ask for.

    Raises SettingsError.
    """
    if given is None or not isinstance(given, str):
        return ChosenSeeds(given)
    text = given.replace(" ", "")
    match = _SEEDS.fullmatch(text)
    wrong = f"seeds {given!r}: expected how many (5), which (0-4, or 0,2,7), or which of how many (0-4/25)"
    if match is None:
        raise SettingsError(wrong)
    if text.isdecimal():
        if not 1 <= int(text) <= _MOST:
            raise SettingsError(f"{wrong}, from 1 to {_MOST}")
        return ChosenSeeds(int(text))
    found: list[int] = []
    for each in filter(None, match["named"].split(",")):
        first, _, last = each.partition("-")
        if not int(first) <= int(last or first) < int(first) + _MOST:
            raise SettingsError(f"{wrong}; {each} names none, or more than {_MOST}")
        found += range(int(first), int(last or first) + 1)
    if len(set(found)) < len(found):
        raise SettingsError(f"seeds {given!r} names a seed twice; name each once")
    if match["of"] is None:
        return ChosenSeeds(tuple(found))
    if not 1 <= int(match["of"]) <= _MOST:
        raise SettingsError(f"{wrong}, of 1 to {_MOST}")
    return ChosenSeeds(int(match["of"]), tuple(found))


def check_look(look: bool, seeds: Which | str | None) -> None:
    """Raises SettingsError where seeds are asked for of a coarse look."""
    if look and seeds is not None:
        raise SettingsError("a look takes the first seed alone: leave --seeds out, or --look")


def folds_named(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The folds that ``Ses01,Ses02`` or ``1-3`` stands for, in the order of ``names``, which are all there are.

    A word that is no name of a fold is a place, or a range of places, counted from 1; ``Ses01-Ses03`` is a range of
    names. Raises UnknownNameError.
    """
    words = [text] if text in names else [word.strip() for word in text.split(",") if word.strip()]
    chosen: set[str] = set()
    for word in words:
        found = {word} if word in names else _range(word, names)
        if not found:
            raise UnknownNameError(unknown("fold", word, list(names)))
        chosen |= found
    if not chosen:
        raise UnknownNameError(unknown("fold", text, list(names)))
    return tuple(name for name in names if name in chosen)


def _range(word: str, names: Sequence[str]) -> set[str]:
    """The folds of a range, or at a place; none where there is no such range."""
    for at in [k for k, letter in enumerate(word) if letter == "-"]:
        first, last = word[:at].strip(), word[at + 1 :].strip()
        if first in names and last in names:
            return set(names[names.index(first) : names.index(last) + 1])
    first, _, last = word.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        return set()
    begin, end = int(first), int(last or first)
    return set(names[begin - 1 : end]) if 1 <= begin <= end <= len(names) else set()

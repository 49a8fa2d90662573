"""Where a paper's text, its authors' code and a head of ours are not the same: one record for each setting or layer.

``READINGS`` in the file of a head holds them. They are what `sercache heads NAME` shows, what is printed under a
paper's tables, what ``--variant paper`` and ``--variant code`` change, and what a difference is compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

NOT_SAID = "not said"
"""In the place of what a paper's text leaves open."""
NO_CODE = "no code published"
Variant = Literal["paper", "code"]
"""All that a paper's text says, or all that its authors' code does, where they differ."""
OPTION = "option "
"""What stands before the name of a head's option, to tell it from a field of a set-up or recipe."""


@dataclass(frozen=True)
class Reading:
    """A setting or layer that a paper's text, its authors' code and we have otherwise, or that the text leaves open."""

    what: str
    text: str
    """What the paper's text says, or ``NOT_SAID``."""
    code: str
    """What the authors' code does; ``NO_CODE`` where none was published."""
    ours: str
    outputs_differ: bool = False
    """Whether networks of equal weights give other outputs for a recording; else only training or scores may."""
    as_text: Mapping[str, Any] = field(default_factory=dict)
    """Fields of set-up and recipe, and ``option NAME`` of the head, that make it as the text says."""
    as_code: Mapping[str, Any] = field(default_factory=dict)
    """Those that make it as the code does."""
    alone: str = ""
    """Why no variant is to be had of outputs that differ."""


def changes(readings: Iterable[Reading], variant: Variant) -> dict[str, Any]:
    """Fields of set-up and recipe, and options, that make a head as the text says, or as the code does."""
    found: dict[str, Any] = {}
    for each in readings:
        found |= each.as_text if variant == "paper" else each.as_code
    return found


def variants(readings: Iterable[Reading]) -> tuple[Variant, ...]:
    """Those that a head has: of which some reading names what they change."""
    every = tuple(readings)
    on_offer: tuple[Variant, ...] = ("paper", "code")
    return tuple(each for each in on_offer if changes(every, each))

"""State selections: ``blocks``, ``projection+blocks``, ``1-12``, ``6,9``, ``final``, ``all``.

Names on offer come from an encoder or a store, in the order of computation: ``conv``, ``projection``,
``input``, ``1`` … ``L``, ``final``, and ``sentence`` of some encoders of text. Encoders without blocks (log-mel,
eGeMAPS) have one state of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sercache.catalog import unknown
from sercache.errors import SettingsError, UnknownNameError


def blocks(on_offer: Sequence[str]) -> list[str]:
    """The numbered states, or all where an encoder has none."""
    return [name for name in on_offer if name.isdigit()] or list(on_offer)


def select(on_offer: Sequence[str], selection: str) -> tuple[str, ...]:
    """Names that ``selection`` means, in the order on offer, each once.

    ``final`` is the last block where an encoder has no closing LayerNorm of its own. Raises
    UnknownNameError for a state that is not on offer.
    """
    wanted: set[str] = set()
    for part in selection.replace(",", "+").split("+"):
        wanted.update(_part(on_offer, part.strip()))
    return tuple(name for name in on_offer if name in wanted)


_OF_TRANSFORMERS = ("conv", "projection", "input")


def _part(on_offer: Sequence[str], part: str) -> Sequence[str]:
    if part == "all" or (part in _OF_TRANSFORMERS and not any(name.isdigit() for name in on_offer)):
        return on_offer  # an encoder without blocks has nothing to choose from
    if part == "blocks":
        return blocks(on_offer)
    if part in on_offer:
        return [part]
    if part in ("final", "last"):
        return blocks(on_offer)[-1:]
    first, dash, last = part.partition("-")
    if dash and first.isdigit() and last.isdigit() and int(first) <= int(last):
        names = range(int(first), int(last) + 1)
        # The first that is missing ends the search, however far the range was meant to go.
        missing = next((str(k) for k in names if str(k) not in on_offer), None)
        if missing is None:
            return [str(k) for k in names]
        part = missing
    raise UnknownNameError(unknown("state", part, list(on_offer)))


def same_dim(names: Sequence[str], dims: Mapping[str, int], selection: str) -> tuple[str, ...]:
    """Names that can share a store: all must have one feature size D.

    ``all`` keeps those of the last block's size; an explicit selection of mixed sizes raises SettingsError.
    """
    kept = tuple(name for name in names if dims[name] == dims[blocks(names)[-1]])
    if len(kept) < len(names) and selection != "all":
        sizes = ", ".join(f"{name}: {dims[name]}" for name in names)
        raise SettingsError(f"states of one store share a feature size, got {sizes}; extract them apart")
    return kept

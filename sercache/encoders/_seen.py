"""Which corpora of emotional speech a public checkpoint knows, by its place on the hub or the name of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from sercache.encoders._names import families, own_name
from sercache.trained_on import SeenCorpus

_LOCAL = "local: "


def seen_corpora(encoder: str, identity: Mapping[str, Any]) -> tuple[SeenCorpus, ...]:
    """What the authors of a checkpoint say that it was trained on; empty where nothing is known to have been.

    ``encoder`` is what it is called, ``identity`` that of its features. A local folder counts as what it is named
    after: a short name, what another tool calls it, or the last part of a hub id.
    """
    source = str(identity.get("source", ""))
    folder = source.removeprefix(_LOCAL) if source.startswith(_LOCAL) else ""
    asked = {own_name(each) for each in (encoder, source, folder) if each}
    for family in families().values():
        for place, corpora in _known(family).items():
            if asked & {place, *_named_after(family, place)}:
                return tuple(corpora)
    return ()


def _known(family: ModuleType) -> Mapping[str, tuple[SeenCorpus, ...]]:
    found: Mapping[str, tuple[SeenCorpus, ...]] = vars(family).get("SEEN_CORPORA", {})
    return found


def _named_after(family: ModuleType, place: str) -> list[str]:
    """What a copy of what is published at ``place`` may be called."""
    short = [name for name, source in family.SHORT_NAMES.items() if source == place]
    return [*short, place.rpartition("/")[2]]

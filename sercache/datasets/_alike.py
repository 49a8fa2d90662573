"""Labels, speakers and groups of a table that people wrote, in one spelling each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from sercache import text
from sercache.datasets._records import Utterance
from sercache.datasets._spelling import spellings

_FIELDS = {"raw_label": ("label", "class"), "speaker": ("speaker", "speaker"), "group": ("group", "group")}
"""Field of an utterance -> its column, and what one value is called."""
_SHOWN = 3


def of_one_spelling(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[str]]:
    """The utterances with labels, speakers and groups in one spelling each, and a warning for each that was changed.

    As they are where ``text.reading`` says so.
    """
    if text.reading().labels_as_written:
        return list(utterances), []
    warnings: list[str] = []
    changes: dict[str, Mapping[str, str]] = {}
    for field, (column, what) in _FIELDS.items():
        counted = Counter(getattr(u, field) for u in utterances)
        mapping = spellings(getattr(u, field) for u in utterances)
        changes[field] = mapping
        warnings += _warnings(counted, mapping, column, what)
    if all(value == chosen for mapping in changes.values() for value, chosen in mapping.items()):
        return list(utterances), []
    return [
        dataclasses.replace(
            u,
            raw_label=changes["raw_label"][u.raw_label],
            speaker=changes["speaker"][u.speaker],
            group=changes["group"][u.group],
        )
        for u in utterances
    ], warnings


def _warnings(counted: Mapping[str, int], mapping: Mapping[str, str], column: str, what: str) -> list[str]:
    """One line that counts the spellings which were read as another, or none."""
    groups: dict[str, list[str]] = {}
    for value, chosen in mapping.items():
        groups.setdefault(chosen, []).append(value)
    several = {chosen: group for chosen, group in groups.items() if len(group) > 1}
    if not several:
        return []
    told = [
        " and ".join(f"{value!r} ({counted[value]})" for value in sorted(group, key=lambda v: -counted[v]))
        + f" are the {what} {chosen}"
        for chosen, group in several.items()
    ]
    more = f", and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    n_changed = sum(counted[value] for value, chosen in mapping.items() if value != chosen)
    differ = "1 value differs" if n_changed == 1 else f"{n_changed} values differ"
    return [
        f"column {column}: {differ} from others only by case, space or form of a letter or number: "
        f"{'; '.join(told[:_SHOWN])}{more} (--labels-as-written keeps them apart)"
    ]

"""Where the dev part of a fold comes from."""

from __future__ import annotations

import random
from collections.abc import Mapping

from sercache.datasets import Utterance
from sercache.errors import ProtocolError
from sercache.protocols._units import Units, by_class

DEVS: Mapping[str, str] = {
    "none": "no dev part (a fixed split keeps its own)",
    "next": "the unit (session, speaker, part) after the test unit, cyclic",
    "previous": "the unit before the test unit, cyclic",
    "last": "the last of the remaining units",
    "random20": "a random 20 % of each class of the training part; shares speakers with it",
    "other-speaker": "the other speakers of the test speaker's session; leave-one-speaker-out only",
}
_SHARE = 0.2


def dev_part(
    rule: str,
    unit: str,
    units: Units,
    utterances: Mapping[str, Utterance],
    labels: Mapping[str, str],
    seed: int,
) -> tuple[str, ...]:
    """Dev ids of the fold whose test part is ``units[unit]``, by one of the rules of DEVS."""
    names = list(units)
    place = names.index(unit)
    if rule == "next":
        return units[names[(place + 1) % len(names)]]
    if rule == "previous":
        return units[names[place - 1]]
    if rule == "last":
        return units[names[-1] if place < len(names) - 1 else names[-2]]
    if rule == "other-speaker":
        return _same_session(unit, units[unit], utterances)
    if rule == "random20":
        test = set(units[unit])
        return random_share([i for i in utterances if i not in test], labels, seed)
    return ()


def random_share(ids: list[str], labels: Mapping[str, str], seed: int) -> tuple[str, ...]:
    """A random 20 % of the ids of every class, rounded; at least one of a class with two or more."""
    draw = random.Random(seed)
    chosen: list[str] = []
    for members in by_class(ids, labels).values():
        draw.shuffle(members)
        chosen += members[: max(round(_SHARE * len(members)), min(1, len(members) - 1))]
    return tuple(sorted(chosen))


def _same_session(
    speaker: str, test: tuple[str, ...], utterances: Mapping[str, Utterance]
) -> tuple[str, ...]:
    """What the others say in the sessions of ``speaker``."""
    sessions = {utterances[i].group for i in test}
    found = tuple(i for i, u in utterances.items() if u.group in sessions and u.speaker != speaker)
    if not found or "" in sessions:
        raise ProtocolError(
            f"speaker {speaker} has no session with another speaker; choose another --dev, for example next"
        )
    return found

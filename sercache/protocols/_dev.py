"""Where the dev part of a fold comes from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from sercache.catalog import unknown
from sercache.datasets import Utterance
from sercache.errors import ProtocolError, UnknownNameError
from sercache.protocols._lists import read_order
from sercache.protocols._units import PEPINO_SEED, Units, by_class
from sercache.settings import expanded

DEVS: Mapping[str, str] = {
    "none": "no dev part (a fixed split keeps its own)",
    "next": "the unit (session, speaker, part) after the test unit, cyclic",
    "previous": "the unit before the test unit, cyclic",
    "last": "the last of the remaining units",
    "random20": "a random 20 % of each class of the training part; shares speakers with it",
    "balanced20": "of each class of the training part as many at random as 20 % of its smallest class, rounded "
    "up (code of Park et al.); shares speakers with it",
    "drawn": "units drawn as Pepino et al. draw them: nine tenths of the remaining ones train, the others are dev",
    "superb20": "SUPERB's 20 % of the training part, drawn in the order of the ids; superb20:<file> gives another "
    "order: ids, one a line, or s3prl's folder meta_data, for SUPERB's own dev part",
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
    kind, _, argument = rule.partition(":")
    if kind in (*RANDOM, "superb20"):
        test = set(units[unit])
        rest = [i for i in utterances if i not in test]
        return RANDOM[kind](rest, labels, seed) if kind in RANDOM else _superb_share(rest, argument, seed)
    if rule == "drawn":
        return _drawn([name for name in names if name != unit], units, seed)
    if rule == "other-speaker":
        return _same_session(unit, units[unit], utterances)
    return ()


def check_rule(rule: str) -> None:
    """Raises UnknownNameError for a rule that is not one of DEVS."""
    kind, colon, argument = rule.partition(":")
    if kind not in DEVS or (colon and not (kind == "superb20" and argument)):
        raise UnknownNameError(unknown("dev rule", rule, list(DEVS)))


def random_share(ids: list[str], labels: Mapping[str, str], seed: int) -> tuple[str, ...]:
    """A random 20 % of the ids of every class, rounded; at least one of a class with two or more."""
    draw = random.Random(seed)
    chosen: list[str] = []
    for members in by_class(ids, labels).values():
        draw.shuffle(members)
        chosen += members[: max(round(_SHARE * len(members)), min(1, len(members) - 1))]
    return tuple(sorted(chosen))


def balanced_share(ids: list[str], labels: Mapping[str, str], seed: int) -> tuple[str, ...]:
    """As many ids of every class, drawn at random, as 20 % of the smallest class, rounded up.

    A class with one utterance loses it, which ``build_fold`` refuses.
    """
    draw = random.Random(seed)
    classes = by_class(ids, labels)
    smallest = min(map(len, classes.values()), default=0)
    share = -(-smallest // 5)  # in whole numbers: 0.2 x 15 must not round up to 4
    return tuple(sorted(i for members in classes.values() for i in draw.sample(members, share)))


RANDOM: Mapping[str, Callable[[list[str], Mapping[str, str], int], tuple[str, ...]]] = {
    "random20": random_share,
    "balanced20": balanced_share,
}
"""Rules that draw single utterances, so that they need nothing but one train part."""


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


def _superb_share(ids: Iterable[str], order: str, seed: int) -> tuple[str, ...]:
    """What ``torch.manual_seed(0)`` and ``random_split`` leave of 80 % of a list (s3prl, downstream/emotion).

    The list is that of the sorted ids, or in the order of the file or folder ``order``.
    """
    import torch

    listed = sorted(ids)
    if order:
        place = {i: k for k, i in enumerate(read_order(expanded(order)))}
        missing = [i for i in listed if i not in place]
        if missing:
            raise ProtocolError(
                f"{order} lacks {len(missing)} of {len(listed)} utterances, first: {missing[0]}; it must list all"
            )
        listed.sort(key=place.__getitem__)
    drawn = torch.randperm(len(listed), generator=torch.Generator().manual_seed(seed)).tolist()
    return tuple(sorted(listed[k] for k in drawn[int((1 - _SHARE) * len(listed)) :]))


def _drawn(names: list[str], units: Units, seed: int) -> tuple[str, ...]:
    """The tenth of the units, at least one, that Pepino et al.'s GroupSplit does not draw for training.

    It draws from the units in the order in which the list of utterances, here sorted, meets them.
    """
    import numpy as np

    met = sorted(names, key=lambda name: units[name][:1])
    # The legacy generator: the published draw was made with np.random.seed and np.random.choice.
    draw = np.random.RandomState(PEPINO_SEED + seed)
    train = set(draw.choice(len(met), size=int(0.9 * len(met)), replace=False).tolist())
    return tuple(i for k, name in enumerate(met) if k not in train for i in units[name])

"""What each fold of a protocol leaves out for its test part."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from sercache.catalog import unknown
from sercache.datasets import Corpus, Utterance
from sercache.errors import ProtocolError, UnknownNameError
from sercache.protocols._fold import check_there
from sercache.text import natural

PROTOCOLS: Mapping[str, str] = {
    "leave-one-session-out": "each session (Utterance.group) is the test part once",
    "leave-one-speaker-out": "each speaker is the test part once",
    "kfold:<k>": "k random parts, stratified by class; speakers are in several parts",
    "drawn-kfold:<k>": "k random parts as Pepino et al. draw them for the setup of Issa et al.; not stratified",
    "speaker-kfold:<k>": "k random groups of whole speakers",
    "group-kfold:<k>": "k random groups of whole sessions or dialogues (Utterance.group)",
    "folds:<name>": "published groups of test speakers that the corpus names",
    "fixed:<name>": "one published split that the corpus names; fixed:official is that of its files",
    "all": "no test part: everything trains, to test on other corpora (--test-on) or to make a model",
    "fixed:dev": "the official dev part selects the epoch and is tested, where test labels are held back",
    "fixed:<file>": "your own split: lines of an id, session or speaker, a tab, and train, dev or test",
    "lists:<folder>": "the folds that EmoBox lists: data/<name> of a copy of it, with fold_1, fold_2, …",
}
PEPINO_SEED = 1234
"""Of the draws of Pepino et al. (github.com/habla-liaa/ser-with-w2v2); the fold seed is added to it."""

Units = dict[str, tuple[str, ...]]
"""Test ids by the name of what is left out, in order."""


def make_units(
    corpus: Corpus,
    utterances: dict[str, Utterance],
    labels: Mapping[str, str],
    kind: str,
    argument: str,
    seed: int,
) -> Units:
    """What each fold leaves out."""
    plain: dict[str, Callable[[], Units]] = {
        "leave-one-session-out": lambda: _by(utterances, "group", corpus.name),
        "leave-one-speaker-out": lambda: _by(utterances, "speaker", corpus.name),
    }
    with_argument: dict[str, Callable[[], Units]] = {
        "kfold": lambda: _random_units(utterances, labels, _count(kind, argument), seed),
        "drawn-kfold": lambda: _drawn_units(list(utterances), _count(kind, argument), seed),
        "speaker-kfold": lambda: _grouped_units(
            utterances, "speaker", corpus.name, _count(kind, argument), seed
        ),
        "group-kfold": lambda: _grouped_units(utterances, "group", corpus.name, _count(kind, argument), seed),
        "folds": lambda: _named_units(corpus, utterances, argument),
    }
    make = (with_argument if argument else plain).get(kind)
    if make is None:
        got = f"{kind}:{argument}" if argument else kind
        raise UnknownNameError(unknown("protocol", got, list(PROTOCOLS)))
    units = make()
    if len(units) < 2:
        raise ProtocolError(
            f"{kind} needs at least 2 parts, {corpus.name} gives {len(units)}; choose another protocol"
        )
    return units


def _by(utterances: dict[str, Utterance], field: str, corpus: str) -> Units:
    """Ids by speaker or group, in natural order."""
    units: dict[str, list[str]] = {}
    for i, utterance in utterances.items():
        units.setdefault(getattr(utterance, field), []).append(i)
    if "" in units:
        word = {"group": "session", "speaker": "speaker"}[field]
        raise ProtocolError(
            f"{corpus}: {len(units[''])} utterances have no {word}, first: {units[''][0]}; "
            f"choose {_remedy(field)}"
        )
    return {name: tuple(units[name]) for name in sorted(units, key=natural)}


def _remedy(field: str) -> str:
    return "leave-one-speaker-out" if field == "group" else "kfold:<k>"


def _count(kind: str, argument: str) -> int:
    if not argument.isascii() or not argument.isdigit() or int(argument) < 2:
        raise ProtocolError(
            f"{kind} needs a number of parts from 2 on, for example {kind}:5, got {argument!r}"
        )
    return int(argument)


def _random_units(utterances: dict[str, Utterance], labels: Mapping[str, str], k: int, seed: int) -> Units:
    """k parts of nearly equal size with nearly equal shares of every class."""
    if k > len(utterances):
        raise ProtocolError(f"kfold:{k} needs at least {k} utterances, there are {len(utterances)}")
    draw = random.Random(seed)
    dealt: list[str] = []
    for ids in by_class(utterances, labels).values():
        draw.shuffle(ids)
        dealt += ids
    return {str(n + 1): tuple(sorted(dealt[n::k])) for n in range(k)}


def _drawn_units(ids: list[str], k: int, seed: int) -> Units:
    """k parts of which each but the last is drawn by the same seed from what the ones before left."""
    import numpy as np

    if k > len(ids):
        raise ProtocolError(f"drawn-kfold:{k} needs at least {k} utterances, there are {len(ids)}")
    left, size = sorted(ids), int(1 / k * len(ids))
    units: Units = {}
    for n in range(k - 1):
        # As pandas.DataFrame.sample draws with an integer as its random_state.
        draw = np.random.RandomState(PEPINO_SEED + seed)
        chosen = set(draw.choice(len(left), size=size, replace=False).tolist())
        units[str(n + 1)] = tuple(i for place, i in enumerate(left) if place in chosen)
        left = [i for place, i in enumerate(left) if place not in chosen]
    units[str(k)] = tuple(left)
    return units


def _grouped_units(utterances: dict[str, Utterance], field: str, corpus: str, k: int, seed: int) -> Units:
    """k parts of whole speakers or groups, dealt largest first to the part with the fewest utterances."""
    whole = _by(utterances, field, corpus)
    if k > len(whole):
        raise ProtocolError(f"{field}-kfold:{k} needs at least {k} {field}s, there are {len(whole)}")
    names = list(whole)
    random.Random(seed).shuffle(names)
    parts: list[list[str]] = [[] for _ in range(k)]
    for name in sorted(names, key=lambda n: -len(whole[n])):
        min(parts, key=len).extend(whole[name])
    return {str(n + 1): tuple(sorted(ids)) for n, ids in enumerate(parts)}


def _named_units(corpus: Corpus, utterances: dict[str, Utterance], name: str) -> Units:
    """The published groups of test speakers called ``name``, which must cover every speaker."""
    if name not in corpus.info.folds:
        raise UnknownNameError(unknown(f"set of folds of {corpus.name}", name, sorted(corpus.info.folds)))
    groups = corpus.info.folds[name]
    fold_of = {speaker: fold for fold, speakers in groups.items() for speaker in speakers}
    units: dict[str, list[str]] = {fold: [] for fold in groups}
    for i, utterance in utterances.items():
        if utterance.speaker not in fold_of:
            raise ProtocolError(
                f"folds:{name} has no place for speaker {utterance.speaker or '(unknown)'} of {i}"
            )
        units[fold_of[utterance.speaker]].append(i)
    for fold, ids in units.items():
        check_there(fold, {"test": ids}, {"test": groups[fold]}, corpus)
    return {fold: tuple(ids) for fold, ids in units.items()}


def by_class(ids: Iterable[str], labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Sorted ids of each class, classes sorted."""
    groups: dict[str, list[str]] = {}
    for i in sorted(ids):
        groups.setdefault(labels[i], []).append(i)
    return {name: groups[name] for name in sorted(groups)}

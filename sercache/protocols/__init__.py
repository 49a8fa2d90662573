"""Protocols: how a corpus is split into folds, and checks that folds are what they claim.

``make_folds(corpus, labels, protocol, dev=..., seed=...)`` makes them. Which ids fall into which part
depends on the ids, the protocol and the seed only, never on the order in which files were listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sercache.catalog import unknown
from sercache.datasets import Corpus, Utterance
from sercache.errors import ProtocolError, UnknownNameError
from sercache.protocols._dev import DEVS, RANDOM, check_rule, dev_part
from sercache.protocols._fold import ALL, ON_DEV, Fold, Listed, build_fold, check_there
from sercache.protocols._folders import read_folds, read_names
from sercache.protocols._lists import is_list, lacking, read_split
from sercache.protocols._units import PROTOCOLS, make_units
from sercache.settings import expanded

__all__ = ["ALL", "DEVS", "PROTOCOLS", "RANDOM", "Fold", "brings_dev", "make_folds", "read_names"]

_PARTS = ("train", "dev", "test")


def make_folds(
    corpus: Corpus,
    labels: Mapping[str, str],
    protocol: str,
    *,
    dev: str = "none",
    seed: int = 0,
    numeric: bool = False,
    lists: Path | None = None,
) -> list[Fold]:
    """The folds of ``protocol`` over the utterances that ``labels`` (id -> class) names.

    ``numeric`` says that the task gives numbers: then there may be one class, and only ids count. ``dev``
    says where each fold's dev part comes from (see DEVS); ``seed`` decides random parts only. ``lists``: the folder
    that ``lists:<folder>`` is below, where it is no absolute one.
    Raises UnknownNameError for names that do not exist, ProtocolError where the corpus lacks what the
    protocol needs or a fold cannot be used.
    """
    utterances = _restrict(corpus, labels, 1 if numeric else 2)
    kind, _, argument = protocol.partition(":")
    check_rule(dev)
    if dev == "other-speaker" and kind != "leave-one-speaker-out":
        raise ProtocolError(f"--dev other-speaker goes with leave-one-speaker-out, not with {protocol}")
    if protocol == ALL:
        parts = {"train": list(utterances), "dev": [], "test": []}
        _add_dev(parts, protocol, dev, labels, seed)
        return [build_fold(ALL, parts, utterances, labels)]
    if kind == "fixed":
        split = _fixed_parts(corpus, utterances, argument)
        check_there(argument, split.parts, split.named, corpus)
        _add_dev(split.parts, protocol, dev, labels, seed)
        name = argument
        if is_list(argument):  # all.csv and dev.csv are no more than files: their test parts are asked for
            name = Path(argument).name if Path(argument).stem in (ALL, ON_DEV) else Path(argument).stem
        return [build_fold(name, split.parts, utterances, labels, split.lacking)]
    if kind == "lists":
        return _listed_folds(corpus, utterances, labels, (lists or Path()) / expanded(argument), dev, seed)
    units = make_units(corpus, utterances, labels, kind, argument, seed)
    folds = []
    for name, test in units.items():
        dev_ids = dev_part(dev, name, units, utterances, labels, seed)
        train = utterances.keys() - set(test) - set(dev_ids)
        parts = {"train": list(train), "dev": list(dev_ids), "test": list(test)}
        folds.append(build_fold(name, parts, utterances, labels))
    return _apart_in_any_case(folds)


def brings_dev(protocol: str) -> bool:
    """Whether a protocol may come with a dev part of its own, and has no unit that could be one."""
    return protocol.partition(":")[0] in ("fixed", "lists")


def _listed_folds(
    corpus: Corpus,
    utterances: Mapping[str, Utterance],
    labels: Mapping[str, str],
    folder: Path,
    dev: str,
    seed: int,
) -> list[Fold]:
    folds = []
    for name, split in read_folds(folder, corpus, utterances).items():
        check_there(name, split.parts, split.named, corpus)
        _add_dev(split.parts, f"lists:{folder.name}", dev, labels, seed)
        folds.append(build_fold(name, split.parts, utterances, labels, split.lacking))
    return folds


def _apart_in_any_case(folds: Sequence[Fold]) -> list[Fold]:
    """The folds under names that are not one where a disk does not tell upper from lower case: files bear them."""
    taken: set[str] = set()
    named = []
    for fold in folds:
        name, n = fold.name, 1
        while name.casefold() in taken or (n > 1 and any(name == other.name for other in folds)):
            n += 1
            name = f"{fold.name}~{n}"
        taken.add(name.casefold())
        named.append(fold if name == fold.name else replace(fold, name=name))
    return named


def _restrict(corpus: Corpus, labels: Mapping[str, str], least: int) -> dict[str, Utterance]:
    """Utterances of the task by id, sorted."""
    known = corpus.by_id()
    strange = sorted(set(labels) - set(known))
    if strange:
        raise ProtocolError(f"{corpus.name} has no utterance {strange[0]}, which is labelled")
    n_classes = len(set(labels.values()))
    if n_classes < least:
        raise ProtocolError(
            f"{corpus.name}: the task has {n_classes} classes with utterances, expected {least} or more; "
            "choose another task or complete the corpus"
        )
    return {i: known[i] for i in sorted(labels)}


def _fixed_parts(corpus: Corpus, utterances: Mapping[str, Utterance], name: str) -> Listed:
    """Parts of the split called ``name``, and what it lists; utterances that it does not place are left out.

    The parts of a corpus' own files are what lies there, and list nothing.
    """
    splits = corpus.info.splits
    official = {u.partition for u in utterances.values()} - {""}
    on_offer = [
        *splits,
        *(["official"] if official else []),
        *([ON_DEV] if {"train", "dev"} <= official else []),
        *sorted(p for p in official if p[4:] and p.startswith("test")),
    ]
    if name not in on_offer and is_list(name):
        return read_split(expanded(name), corpus, utterances)
    if name not in on_offer:
        raise UnknownNameError(unknown(f"fixed split of {corpus.name}", name, on_offer))
    if name in splits:
        part_of = {speaker: part for part, speakers in splits[name].items() for speaker in speakers}
        place = {i: part_of.get(u.speaker, "") for i, u in utterances.items()}
    else:
        test = "test" if name in ("official", ON_DEV) else name
        part_of = {"train": "train", "dev": "dev", test: "test"}
        place = {i: part_of.get(u.partition, "") for i, u in utterances.items()}
        if name == ON_DEV:
            tested = [i for i, p in place.items() if p == "dev"]
            trained = [i for i, p in place.items() if p == "train"]
            return Listed({"train": trained, "dev": tested, "test": tested})
    named = splits.get(name, {})
    parts = {part: [i for i, p in place.items() if p == part] for part in _PARTS}
    return Listed(parts, named, lacking(named, corpus))


def _add_dev(
    parts: dict[str, list[str]], protocol: str, dev: str, labels: Mapping[str, str], seed: int
) -> None:
    """Moves a random dev part out of the train part, where the rule asks for one."""
    if dev == "none":
        return
    if parts["dev"]:
        raise ProtocolError(f"{protocol} brings its own dev part; leave --dev {dev} out")
    if dev not in RANDOM:
        raise ProtocolError(
            f"{protocol} has one train part: --dev is none or {' or '.join(RANDOM)}, got {dev}"
        )
    parts["dev"] = list(RANDOM[dev](parts["train"], labels, seed))
    chosen = set(parts["dev"])
    parts["train"] = [i for i in parts["train"] if i not in chosen]

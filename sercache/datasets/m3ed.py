"""M3ED (Zhao et al., ACL 2022): dialogues of 56 Chinese television series, seven emotions, three annotators."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sercache import text
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._files import check_folder, not_found
from sercache.datasets._labels import four_class
from sercache.datasets._named import nearest, read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Rating, Utterance
from sercache.datasets._text import read_lines, read_text
from sercache.errors import CorpusError

_CLASSES = {
    "Anger": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_COUNTS = {
    "Anger": 5231, "Disgust": 1497, "Fear": 395, "Happy": 2286, "Neutral": 10021, "Sad": 3957, "Surprise": 1050,
}  # fmt: skip
_TABLE = "annotation.json"
_PARTS = {"train": "train", "val": "dev", "test": "test"}
"""``splitInfo/movie_list_NAME.txt`` -> part."""
# A_shaonianpai_1_2: who of the dialogue, series, dialogue, turn.
_NAME = re.compile(r"(?P<who>[A-Z])_(?P<id>(?P<series>.+)_\d+_\d+)")
LISTENERS = ("EmoAnnotator",)
"""All of them."""

INFO = CorpusInfo(
    title="Multi-modal Multi-scene Multi-label Emotional Dialogue database (M3ED)",
    language="zh",
    n_speakers=635,
    hours=9.8,
    licence="the owners' terms; none found in their repository",
    access="https://github.com/AIM3-RUC/RUCM3ED",
    tree="<root>/annotation.json, <root>/splitInfo/movie_list_train.txt ...\n"
    "<root>/modality_speech/A_shaonianpai_1_1.wav ...",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    default_protocol="fixed:official",
    expected_counts=_COUNTS,
    official="train, dev and test by series: 38, 7 and 11; no role talks in two of them",
    notes=(
        "A speaker is a role: A and B of a dialogue are names that change with it, so the role's name in its series is "
        "taken. Whether an actor plays in two series is not known.",
        "635 roles by series and name; EmoBox counts 626 speakers.",
        "A label is the main emotion of three annotators, whose own are kept as ratings.",
        "Sound of television, with music and noise.",
    ),
    published=(
        PublishedList(
            rows=24437,
            task="7class",
            counts={"raw_label": _COUNTS, "partition": {"train": 17420, "dev": 2819, "test": 4198}},
            sha256_ids="dbee1d3d9e42029051c9f8131acb3945db30126194a1d3e1f78d73571014f46e",
            sha256_labels="ad2380e3b66717aa5ac5c8a1bb16acf3cc5f45bf13daac0864863afb5bfbf4ee",
            spelling={name: raw for raw, name in _CLASSES.items()},
        ),
    ),
)


class _Turn(NamedTuple):
    who: str
    role: str
    dialogue: str
    emotion: str
    words: str
    ratings: tuple[Rating, ...]


def read(root: Path) -> Corpus:
    """The recordings below ``root`` that ``annotation.json`` has a turn for.

    Raises CorpusError where there are none, where that file is missing or no JSON.
    """
    check_folder(root, "m3ed")
    turns = _turns(root)
    parts = {series: part for name, part in _PARTS.items() for series in _series(root, name)}
    example = "modality_speech/A_shaonianpai_1_1.wav"
    return read_named("m3ed", root, INFO, example, lambda path: _utterance(path, turns, parts), release="1.0")


def _utterance(path: Path, turns: Mapping[str, _Turn], parts: Mapping[str, str]) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    turn = turns.get(match["id"])
    if turn is None:
        return f"{_TABLE} has no turn for it"
    if turn.who != match["who"]:
        return f"{_TABLE} gives this turn to {turn.who[:20]}"
    if turn.emotion not in _CLASSES:
        return f"its emotion in {_TABLE} is none of the corpus: {turn.emotion[:40]!r}"
    series = match["series"]
    return Utterance(
        id=match["id"],
        path=path,
        raw_label=turn.emotion,
        speaker=f"{series}_{turn.role}" if turn.role else "",
        group=turn.dialogue,
        partition=parts.get(series, ""),
        transcript=turn.words or None,
        language="zh",
        ratings=turn.ratings,
    )


def _series(root: Path, part: str) -> list[str]:
    table = nearest(root, f"movie_list_{part}.txt")
    return [line.strip() for line in read_lines(table)] if table else []


def _turns(root: Path) -> dict[str, _Turn]:
    """By id of the turn. Raises CorpusError where the file is missing, no JSON, or says a thing twice."""
    table = nearest(root, _TABLE)
    if table is None:
        raise CorpusError(f"m3ed: {not_found(root, _TABLE)}")
    try:
        whole = json.loads(read_text(table).removeprefix("\ufeff"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise CorpusError(f"m3ed: {table}: not JSON: {text.one_line(fault)[:100]}") from None
    found = {}
    for scenes in _objects(whole):
        for dialogue, scene in _named(scenes):
            roles = scene.get("SpeakerInfo")
            for id, turn in _named(scene.get("Dialog")):
                who = _word(turn.get("Speaker"))
                role = roles.get(who) if isinstance(roles, dict) else None
                said = turn.get("EmoAnnotation")
                judged = said if isinstance(said, dict) else {}
                found[id] = _Turn(
                    who,
                    _word(role.get("Name")) if isinstance(role, dict) else "",
                    dialogue,
                    _word(judged.get("final_main_emo")),
                    _word(turn.get("Text")),
                    _ratings(judged),
                )
    return found


def _ratings(judged: Mapping[str, Any]) -> tuple[Rating, ...]:
    """What each annotator named; several emotions of one stand in a list or apart by signs."""
    found = []
    for rater, value in judged.items():
        words = value if isinstance(value, list) else re.split(r"[^A-Za-z]+", _word(value))
        labels = tuple(_CLASSES[word] for word in words if isinstance(word, str) and word in _CLASSES)
        if rater.startswith(LISTENERS) and labels:
            found.append(Rating(rater, labels))
    return tuple(found)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of two, which one holds is not said. Raises ValueError otherwise."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError(f"a name stands twice in one object, first: {pairs[0][0]!r}")
    return made


def _named(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and objects in an object; nothing of what is none."""
    for name, each in (value if isinstance(value, dict) else {}).items():
        if isinstance(each, dict):
            yield name, each


def _objects(value: object) -> Iterator[dict[str, Any]]:
    for _, each in _named(value):
        yield each


def _word(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


example = _listed.m3ed

"""CREMA-D (Cao et al., IEEE Trans. Affective Computing 2014): 91 actors, twelve sentences, six emotions."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._files import child
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Rating, Subset, Utterance
from sercache.datasets._text import read_table

_CLASSES = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_VOTES = {code[0]: name for code, name in _CLASSES.items()}
_COUNTS = {code: 1087 if code == "NEU" else 1271 for code in _CLASSES}
_TABLE = "summaryTable.csv"
_FILE = "FileName"
_RATERS = ("VoiceVote", "FaceVote", "MultiModalVote")
"""Columns of the table of votes."""
_RESPONSES = "finishedResponses.csv"
"""Single answers of the listeners: 1 in its queryType is the voice alone, ``A_80`` in ans is anger at level 80."""
_WITHOUT = "no utterance has votes, and @voice-agreed labels none; take the table of the release"
_SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
# From VideoDemographics.csv.
_WOMEN = {
    1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028, 1029, 1030,
    1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075,
    1076, 1078, 1079, 1082, 1084, 1089, 1091,
}  # fmt: skip
_NAME = re.compile(
    rf"(?P<actor>10[0-8]\d|109[01])_(?P<text>{'|'.join(_SENTENCES)})_(?P<emotion>{'|'.join(_CLASSES)})_"
    r"(?P<level>XX?|LO|MD|HI)"
)


def _voice_agreed(utterance: Utterance) -> bool:
    """The listeners' vote on the voice alone is the acted emotion, without a tie."""
    votes = {r.rater: r.labels for r in utterance.ratings}
    return votes.get("VoiceVote") == (_CLASSES[utterance.raw_label],)


INFO = CorpusInfo(
    title="Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)",
    language="en",
    n_speakers=91,
    hours=5.26,
    licence="Open Database License, contents under the Database Contents License",
    licence_id="ODbL-1.0",
    access="https://github.com/CheyneyComputerScience/CREMA-D (clone with git-lfs)",
    tree="<root>/AudioWAV/1001_IEO_ANG_HI.wav ...\n<root>/processedResults/summaryTable.csv (for @voice-agreed)\n"
    "<root>/finishedResponses.csv (for single votes and shares)",
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    default_protocol="folds:emo-superb",
    expected_counts=_COUNTS,
    folds={
        # Blocks of eighteen actors; the dev part is the next block, --dev next.
        "emo-superb": {
            str(k + 1): [str(n) for n in range(1001 + 18 * k, 1019 + 18 * k + (k == 4))] for k in range(5)
        }
    },
    shares="share of the listeners to the voice alone who named each emotion, where finishedResponses.csv is",
    subsets={"voice-agreed": Subset("listeners of the voice named the acted emotion, no tie", _voice_agreed)},
    notes=(
        "Labels are the acted emotions; the votes of the listeners are kept as ratings.",
        "1076_MTI_SAD_XX has no signal. Only IEO is acted in three intensities.",
        "Twelve texts, spoken with every emotion.",
        "EMO-SUPERB: folds:emo-superb with --dev next.",
    ),
    published=(
        PublishedList(
            rows=7442,
            task="6class",
            counts={"raw_label": _COUNTS, "sex": {"F": 3512, "M": 3930}},
            sha256_ids="bb8248d8fd8a8d4197f3b675243304345679864bb4805f37ec08983cf9688210",
            sha256_labels="9dd46c53c3aea9f1ce353ac67de4b2bdd6af27465d5a3b3ba82fe4e120b390e9",
            spelling={"happiness": "happy", "sadness": "sad"},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``1001_IEO_ANG_HI.wav`` below ``root``, with votes where they are.

    Raises CorpusError where there are none.
    """
    corpus = read_named("cremad", root, INFO, "1001_IEO_ANG_HI.wav", _utterance, release="1.0")
    votes, remarks = _votes(root)
    single = _single_votes(root)
    rated = tuple(
        dataclasses.replace(
            u, ratings=(*votes.get(u.id, ()), *single.get(u.id, ())), soft_label=_shares(single.get(u.id, ()))
        )
        for u in corpus.utterances
    )
    if votes and not any(u.id in votes for u in rated):
        remarks = [f"{_TABLE} has votes of other recordings alone, first: {next(iter(votes))}; {_WITHOUT}"]
    return dataclasses.replace(corpus, utterances=rated, warnings=(*corpus.warnings, *remarks))


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=_whole(path.stem),
        path=path,
        raw_label=match["emotion"],
        speaker=match["actor"],
        transcript=_SENTENCES[match["text"]],
        language="en",
        sex="F" if int(match["actor"]) in _WOMEN else "M",
        sentence=match["text"],
    )


LISTENERS = ("voice:",)
"""Who heard the voice alone; the other ratings are votes that were counted already."""


def _single_votes(root: Path) -> dict[str, tuple[Rating, ...]]:
    """What each listener to the voice alone said, by id, from ``finishedResponses.csv``; of repeated ones the first."""
    table = child(root, _RESPONSES)
    if table is None:
        return {}
    columns, rows = read_table(table, columns=("localid", "ans", "queryType", "clipName"))
    if not {"localid", "ans", "queryType", "clipName"} <= set(columns):
        return {}
    found: dict[str, dict[str, Rating]] = {}
    for _, row in rows:
        label = _VOTES.get(row["ans"][:1])
        if row["queryType"] == "1" and label:
            rating = Rating(f"voice:{row['localid']}", (label,))
            found.setdefault(_whole(Path(row["clipName"]).stem), {}).setdefault(rating.rater, rating)
    return {id: tuple(own.values()) for id, own in found.items()}


def _shares(answers: Sequence[Rating]) -> dict[str, float] | None:
    """Share of the answers for each emotion that was named; None without any."""
    counted = Counter(label for answer in answers for label in answer.labels)
    return {label: n / counted.total() for label, n in counted.items()} or None


def _whole(name: str) -> str:
    """A name as newer copies spell it: older ones have ``1040_ITH_SAD_X`` for ``1040_ITH_SAD_XX``."""
    return f"{name}X" if name.endswith("_X") else name


def _votes(root: Path) -> tuple[dict[str, tuple[Rating, ...]], list[str]]:
    """Votes by id from ``processedResults/summaryTable.csv``, and what it lacks; ties (``A:D``) keep all emotions."""
    table = child(root, "processedResults", _TABLE) or child(root, _TABLE)
    if table is None:
        return {}, []
    found: dict[str, tuple[Rating, ...]] = {}
    columns, rows = read_table(table, columns=(_FILE, *_RATERS))
    missing = [name for name in (_FILE, _RATERS[0]) if name not in columns]
    if missing:
        shown = ", ".join(filter(None, columns))[:200] or "none"
        return {}, [f"{_TABLE} has no column {' and no column '.join(missing)} (it has {shown}); {_WITHOUT}"]
    for _, row in rows:
        ratings = []
        for column in _RATERS:
            letters = row.get(column, "").split(":")
            if all(letter in _VOTES for letter in letters):
                ratings.append(Rating(column, tuple(_VOTES[letter] for letter in letters)))
        found[_whole(row[_FILE])] = tuple(ratings)
    return found, []


example = _acted.cremad

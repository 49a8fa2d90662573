"""ASED (Retta et al., ACM TALLIP 2023): 65 speakers of Amharic, five emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"a": "anger", "f": "fear", "h": "happiness", "n": "neutral", "s": "sadness"}
_COUNTS = {"a": 486, "f": 510, "h": 486, "n": 522, "s": 470}
# One file says S4 for s4.
_NAME = re.compile(
    r"(?P<emotion>[afhns])(?P<folder>[1-5])-(?P<text>0[1-7])-0[12]-(?P<sex>0[12])-(?P<speaker>\d\d)",
    re.IGNORECASE,
)
_WOMEN = {"09", "15", "21", "23", "25"}
"""Speakers of whom a single file has the number of men, all others that of women."""

INFO = CorpusInfo(
    title="Amharic Speech Emotion Dataset (ASED)",
    language="am",
    n_speakers=65,
    hours=2.1,
    licence="none found in the repository of its owners; ask there",
    access="https://github.com/Ethio2021/ASED_V1",
    tree="<root>/[any folder/]05Angry/a5-07-01-01-21.wav ...\n(emotion-sentence-repetition-sex-speaker)",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "Of 70 recordings of each speaker those are in it that five of eight judges accepted: 4 to 70 remain.",
        "Most sentences belong to one emotion: words tell it. Two sentences are spoken in all of them; which numbers "
        "they have is not established, so that a text counts as one within its emotion only.",
        "One file each of the speakers 09, 15, 21, 23 and 25 has the number of the other sex; they count as women.",
        "EmoBox's single fold shares speakers between train and test.",
    ),
    published=(
        PublishedList(
            rows=2474,
            task="5class",
            counts={"raw_label": _COUNTS},
            sha256_ids="8f514fea9f782e755e15ab158aefa201a85166c5b1b1990c79aaf45b8212aee0",
            sha256_labels="716e6a14cf1ca8432e2bd4a77992950ca754321b159ac6f47cb11d3f195216ae",
            spelling={name: code for code, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``a5-07-01-01-21.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("ased", root, INFO, "05Angry/a5-07-01-01-21.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    emotion, speaker = match["emotion"].lower(), match["speaker"]
    return Utterance(
        id=path.stem.lower(),
        path=path,
        raw_label=emotion,
        speaker=speaker,
        language="am",
        sex="F" if match["sex"] == "01" or speaker in _WOMEN else "M",
        sentence=f"{emotion}-{match['text']}",
    )


example = _free.ased

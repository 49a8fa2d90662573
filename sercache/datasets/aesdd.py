"""AESDD (Vryzas et al., JAES 2018): Greek theatre actors, five emotions, no neutral."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}
_COUNTS = {"a": 121, "d": 122, "f": 120, "h": 119, "s": 122}
_SPEAKERS = {"1": 100, "2": 100, "3": 98, "4": 99, "5": 107, "6": 100}
# Five files write speaker 1 as (01); a letter behind the bracket is a further take.
_NAME = re.compile(r"(?P<emotion>[adfhs])(?P<text>\d\d)[ _]?(?P<rest>\(0?(?P<speaker>[1-6])\)[a-z]?)")

INFO = CorpusInfo(
    title="Acted Emotional Speech Dynamic Database (AESDD)",
    language="el",
    n_speakers=6,
    hours=0.7,
    licence="publicly available; terms of redistribution are not clear",
    access="http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/",
    tree="<root>/{anger,disgust,fear,happiness,sadness}/a01 (1).wav ... (folder names are not read)",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    expected_counts=_COUNTS,
    notes=(
        "No neutral: 4class has three classes here.",
        "sadness/s05 (3).wav of the download cannot be read; the published list is without it.",
        "The current download has six speakers (the paper says five); their sexes are not established.",
        "Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=604,
            task="5class",
            counts={"raw_label": _COUNTS, "speaker": _SPEAKERS},
            sha256_ids="5ebaef6d2d5066c6a39ae51e367831f81bf5c4d45cdb74b504e93c74d95a5c84",
            sha256_labels="e40ae03f5ea5795e30677413730a7ca010710e7ba0756c190b7943daf8d4d3f3",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``a01 (1).wav`` below ``root``. Raises CorpusError without any."""
    return read_named("aesdd", root, INFO, "anger/a01 (1).wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    emotion = match["emotion"]
    # Copies write an underscore, or nothing, for the space.
    name = f"{emotion}{match['text']} {match['rest']}"
    if name == "s05 (3)":
        return "cannot be read in the published download"
    return Utterance(
        id=f"{_CLASSES[emotion]}/{name}",
        path=path,
        raw_label=emotion,
        speaker=match["speaker"],
        language="el",
        # Whether emotions share texts is not established; utterance 20 is improvised by each speaker.
        sentence="" if match["text"] == "20" else emotion + match["text"],
    )


example = _acted.aesdd

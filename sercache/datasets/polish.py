"""Emotions in Polish speech recordings (Mięsikowska and Świsulski, 2020): five men say six words, three emotions."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"a": "anger", "n": "neutral", "s": "fear"}
_COUNTS = dict.fromkeys(_CLASSES, 150)
_SPEAKERS = ("m1", "m2", "m3", "m4", "m5")
_WORDS = ("nie", "oddaj", "podaj", "stop", "tak", "trzymaj")
_NAME = re.compile(rf"(?P<speaker>m[1-5])\.(?P<emotion>[ans])_(?P<word>{'|'.join(_WORDS)})_[1-5]")


def _ids() -> list[str]:
    names = product(_SPEAKERS, _CLASSES, _WORDS, range(1, 6))
    return [f"{speaker}.{emotion}_{word}_{take}" for speaker, emotion, word, take in names]


INFO = CorpusInfo(
    title="Emotions in Polish speech recordings",
    language="pl",
    n_speakers=5,
    hours=0.11,
    licence="the owners' terms; none found",
    access="https://doi.org/10.34808/h46c-hb44",
    tree="<root>/[any folder/]m1.a_nie_2.wav ...",
    tasks={"3class": _CLASSES},
    default_task="3class",
    expected_counts=_COUNTS,
    folds={"emobox": {"1": ["m3"], "2": ["m2"], "3": ["m4"], "4": ["m5"], "5": ["m1"]}},
    notes=(
        "Five young men; single words of less than a second, each spoken with every emotion five times.",
        "Three emotions: there is no 4class here.",
    ),
    published=(
        PublishedList(
            rows=450,
            task="3class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_SPEAKERS, 90)},
            sha256_ids="818626a1f97eee4fd1bafa9f8dd8ebed83591c10551cd8e737536f8eff74ced7",
            sha256_labels="3d51b9197928f86543ab2ea4d136c13891d68bfd13391e631f11013a0d45fc53",
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``m1.a_nie_2.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("polish", root, INFO, "m1.a_nie_2.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        transcript=match["word"],
        language="pl",
        sex="M",
        sentence=match["word"],
    )


example = _listed.polish

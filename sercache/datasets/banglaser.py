"""BanglaSER (Das et al., Data in Brief 2022): 34 speakers of Bangla, three sentences, five emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, Utterance

_CLASSES = {"01": "happiness", "02": "sadness", "03": "anger", "04": "surprise", "05": "neutral"}
# Modality, script, emotion, intensity, sentence, repetition, actor.
_NAME = re.compile(r"03-01-(?P<emotion>0[1-5])-0[12]-(?P<text>0[1-3])-0[1-3]-(?P<actor>0[1-9]|[12]\d|3[0-4])")

INFO = CorpusInfo(
    title="BanglaSER, a speech emotion recognition dataset for the Bangla language",
    language="bn",
    n_speakers=34,
    hours=None,
    licence="the owners' terms; none found",
    access="https://data.mendeley.com/datasets/t9h6p943xy/5",
    tree="<root>/[any folder/]03-01-01-01-01-01-01.wav ...",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    default_protocol="speaker-kfold:5",
    notes=(
        "Names look like those of RAVDESS, but the codes of emotions are others: 01 is happy here and neutral there.",
        "Versions 1 and 2 are BEASC: 1,224 recordings, 306 of each emotion, without neutral.",
        "Three sentences, spoken with every emotion; recorded by telephone.",
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``03-01-01-01-01-01-01.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("banglaser", root, INFO, "03-01-01-01-01-01-01.wav", _utterance, release="5")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["actor"],
        language="bn",
        sex="M" if int(match["actor"]) % 2 else "F",
        sentence=match["text"],
    )


example = _listed.banglaser

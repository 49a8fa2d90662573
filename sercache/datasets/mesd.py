"""MESD (Duville et al., EMBC 2021): single Mexican Spanish words, six emotions, adults and children."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance

_CLASSES = {
    "Anger": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happiness": "happiness",
    "Neutral": "neutral",
    "Sadness": "sadness",
}
_COUNTS = {name: 143 if name in ("Anger", "Neutral") else 144 for name in _CLASSES}
# Words may hold an underscore (abajo_arriba): they come last.
# Copies have names in small letters, and without the letter of the corpus.
_NAME = re.compile(
    rf"(?P<emotion>{'|'.join(_CLASSES)})_(?P<voice>[FMC])_(?:(?P<corpus>[AB])_)?(?P<word>\w+)", re.IGNORECASE
)
_OF_CORPUS = re.compile(r"[A-Za-z]+_[FMC]_(?P<corpus>[AB])_")


def _corpus(utterance: Utterance) -> str:
    """A or B; empty in copies whose names do not tell."""
    match = _OF_CORPUS.match(utterance.id)
    return match["corpus"] if match else ""


def _same_words(utterance: Utterance) -> bool:
    return _corpus(utterance) == "A"


def _own_words(utterance: Utterance) -> bool:
    return _corpus(utterance) == "B"


INFO = CorpusInfo(
    title="Mexican Emotional Speech Database (MESD)",
    language="es-MX",
    n_speakers=None,
    hours=0.2,
    licence="CC BY 4.0 (not confirmed)",
    access="https://doi.org/10.17632/cy34mh68j9",
    tree="<root>/Anger_F_A_tarde.wav ...",
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    default_protocol="kfold:5",
    expected_counts=_COUNTS,
    subsets={
        "same-words": Subset("corpus A: the same words in every emotion", _same_words),
        "own-words": Subset("corpus B: words of their own for each emotion", _own_words),
    },
    notes=(
        "No speaker ids (3 women, 2 men, 6 children): leave-one-speaker-out is impossible, kfold leaks.",
        "group is the kind of voice (F, M, C): leave-one-session-out separates the speakers.",
        "Words of 0.2 to 2.5 s. Corpus B tells the emotion by its words: use it for lexical dependence.",
        "862 of 864 planned files; Happiness_C_A_lento_dentro and Sadness_M_A_afuera are misnamed.",
        "Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=862,
            task="6class",
            counts={"raw_label": _COUNTS, "group": {"F": 288, "M": 288, "C": 286}},
            sha256_ids="75485974013a7bb93ffe6a78746c9d831f3a9d7540f6fa47b602251c7ef31cca",
            sha256_labels="f62a0e951aa6832901bc3d1f088ef92b5f330e3aa33df564e2d554361e484b56",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``Anger_F_A_tarde.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("mesd", root, INFO, "Anger_F_A_tarde.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    emotion, voice, word = match["emotion"].capitalize(), match["voice"].upper(), match["word"]
    letter = (match["corpus"] or "").upper()
    return Utterance(
        id="_".join(filter(None, (emotion, voice, letter, word))),
        path=path,
        raw_label=emotion,
        speaker="",
        group=voice,
        transcript=word.replace("_", " "),
        language="es-MX",
        sex=voice if voice in "FM" else "",
        sentence=word,
    )


example = _acted.mesd

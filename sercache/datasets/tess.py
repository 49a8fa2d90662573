"""TESS (Pichora-Fuller and Dupuis, University of Toronto 2010): two women, 200 words, seven emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
_COUNTS = dict.fromkeys(_CLASSES, 400)
# One file of re-packed copies is called OA_bite_neutral.
_NAME = re.compile(rf"(?P<who>O|Y)AF?_(?P<word>[a-z]+)_(?P<emotion>{'|'.join(_CLASSES)})", re.IGNORECASE)

INFO = CorpusInfo(
    title="Toronto Emotional Speech Set (TESS)",
    language="en",
    n_speakers=2,
    hours=1.6,
    licence="CC BY-NC-ND 4.0",
    licence_id="CC-BY-NC-ND-4.0",
    restricted=True,
    access="https://doi.org/10.5683/SP2/E8H2MF",
    tree="<root>/[any folder/]OAF_back_angry.wav ... (folder names are not read)",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    expected_counts=_COUNTS,
    notes=(
        "Two speakers: results by leave-one-speaker-out rest on one other woman.",
        "OAF_food_fear has 96 kHz, the others 24,414 Hz. ps is pleasant surprise. Hours are estimated.",
        "The text is 'Say the word X'; each word is spoken with every emotion.",
    ),
    published=(
        PublishedList(
            rows=2800,
            task="7class",
            counts={"raw_label": _COUNTS, "speaker": {"OAF": 1400, "YAF": 1400}},
            sha256_ids="06d0b7bb2a0abf9102c06fc8a51e8f0d750eba2f6539ac68d1926a2469373707",
            sha256_labels="beb53a8e97bd25c8690809127fd50ee98d809c4f2065728e7a2707f7ac28319a",
            spelling={
                "anger": "angry",
                "happiness": "happy",
                "sadness": "sad",
                "surprise": "pleasant_surprise",
            },
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``OAF_back_angry.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("tess", root, INFO, "OAF_back_angry.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    speaker, word, emotion = f"{match['who'].upper()}AF", match["word"].lower(), match["emotion"].lower()
    return Utterance(
        id=f"{speaker}_{word}_{emotion}",
        path=path,
        raw_label=emotion,
        speaker=speaker,
        transcript=f"Say the word {word}.",
        language="en",
        sex="F",
        sentence=word,
    )


example = _acted.tess

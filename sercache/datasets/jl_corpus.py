"""JL-Corpus (James, Tian and Watson, Interspeech 2018): four New Zealand English actors, ten emotions."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance

_PRIMARY = {
    "angry": "anger",
    "excited": "excitement",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
}
_SECONDARY = {name: name for name in ("anxious", "apologetic", "assertive", "concerned", "encouraging")}
_CLASSES = {**_PRIMARY, **_SECONDARY}
_COUNTS = dict.fromkeys(_CLASSES, 240)
_SPEAKERS = ("female1", "female2", "male1", "male2")
_NAME = re.compile(
    rf"(?P<speaker>{'|'.join(_SPEAKERS)})_(?P<emotion>{'|'.join(_CLASSES)})_(?:1[0-5]|[1-9])[ab]_[12]"
)


def _is_primary(utterance: Utterance) -> bool:
    return utterance.raw_label in _PRIMARY


def _is_secondary(utterance: Utterance) -> bool:
    return utterance.raw_label in _SECONDARY


def _ids() -> list[str]:
    return [
        f"{speaker}_{emotion}_{text}{session}_{take}"
        for speaker, emotion, text, session, take in product(_SPEAKERS, _CLASSES, range(1, 16), "ab", "12")
    ]


INFO = CorpusInfo(
    title="JL-Corpus, New Zealand English emotional speech",
    language="en-NZ",
    n_speakers=4,
    hours=1.4,
    licence="open, said to be CC0 1.0 (not confirmed)",
    access="https://www.kaggle.com/datasets/tli725/jl-corpus",
    tree=(
        "<root>/Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_1a_1.wav ...\n"
        "(folder names are not read)"
    ),
    tasks={
        "10class": _CLASSES,
        "5class": _PRIMARY,
        "5class-secondary": _SECONDARY,
        "4class": four_class(_CLASSES),
    },
    default_task="10class",
    expected_counts=_COUNTS,
    subsets={
        "primary": Subset("angry, excited, happy, neutral, sad (1200)", _is_primary),
        "secondary": Subset("anxious, apologetic, assertive, concerned, encouraging (1200)", _is_secondary),
    },
    notes=(
        "Two women and two men; EmoBox's four folds are leave-one-speaker-out.",
        "15 sentence numbers for each emotion; whether a number means the same words everywhere is not "
        "established, so that no two recordings count as the same text.",
        "The .txt files beside the recordings are not read.",
    ),
    published=(
        PublishedList(
            rows=2400,
            task="10class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_SPEAKERS, 600)},
            sha256_ids="6961d295ce5a035b6150c4d572e94a44fbeb0ee19a2bdb58ba44823edb195100",
            sha256_labels="5ab8e24c35a99850c8b3c8196f4907e4b3560392a409ef226b247d168f169e5d",
            spelling={common: name for name, common in _CLASSES.items()},
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``female1_angry_1a_1.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("jl-corpus", root, INFO, "female1_angry_1a_1.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        language="en-NZ",
        sex="F" if match["speaker"].startswith("female") else "M",
    )


example = _free.jl_corpus

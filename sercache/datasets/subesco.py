"""SUBESCO (Sultana et al., PLoS ONE 2021): twenty Bangla actors, ten sentences, seven emotions, five takes."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "ANGRY": "anger",
    "DISGUST": "disgust",
    "FEAR": "fear",
    "HAPPY": "happiness",
    "NEUTRAL": "neutral",
    "SAD": "sadness",
    "SURPRISE": "surprise",
}
_COUNTS = dict.fromkeys(_CLASSES, 1000)
_SPEAKERS = (
    "F_01_OISHI", "F_02_MONIKA", "F_03_SMITA", "F_04_SWARNALI", "F_05_MOUNI",
    "F_06_SIMI", "F_07_TITHI", "F_08_JOYEETA", "F_09_CHAITY", "F_10_FAHMEE",
    "M_01_BASHIR", "M_02_NIPUN", "M_03_ILIAS", "M_04_BIBHAS", "M_05_DURANTO",
    "M_06_SHUKANTO", "M_07_SIBLY", "M_08_PRASUN", "M_09_SHUMANTA", "M_10_EVAN",
)  # fmt: skip
_SENTENCES = [str(n) for n in range(1, 11)]
# One file of the release is called F_02_MONIKA_S_2_SURPRISE_3].wav.
_NAME = re.compile(
    rf"(?P<id>(?P<speaker>[FM]_\d\d)_[A-Z]+_S_(?P<text>[1-9]|10)_(?P<emotion>{'|'.join(_CLASSES)})_[1-5])\]?",
    re.IGNORECASE,
)


def _ids() -> list[str]:
    return [
        f"{speaker}_S_{text}_{emotion}_{take}"
        for speaker, text, emotion, take in product(_SPEAKERS, _SENTENCES, _CLASSES, range(1, 6))
    ]


INFO = CorpusInfo(
    title="SUST Bangla Emotional Speech Corpus (SUBESCO)",
    language="bn",
    n_speakers=20,
    hours=7.8,
    licence="CC BY 4.0",
    licence_id="CC-BY-4.0",
    access="https://zenodo.org/records/4526477",
    tree="<root>/[any folder/]F_01_OISHI_S_1_ANGRY_1.wav ...",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    default_protocol="folds:emobox",
    expected_counts=_COUNTS,
    folds={
        "emobox": {
            "1": ["F_03", "M_03", "M_08", "M_09"],
            "2": ["F_01", "F_04", "F_10", "M_07"],
            "3": ["F_06", "F_08", "M_05", "M_06"],
            "4": ["F_05", "F_07", "F_09", "M_04"],
            "5": ["F_02", "M_01", "M_02", "M_10"],
        }
    },
    notes=(
        "Ten texts, spoken with every emotion five times by every speaker.",
        "Two sampling rates (44.1 and 48 kHz) that differ by file.",
        "F_02_MONIKA_S_2_SURPRISE_3].wav is read without its bracket.",
    ),
    published=(
        PublishedList(
            rows=7000,
            task="7class",
            counts={"raw_label": _COUNTS, "speaker": {s[:4]: 350 for s in _SPEAKERS}},
            sha256_ids="ef4e8f7b91c03e6c7509f067552a26ad8a9e98c3b234279f3767e5b19a451450",
            sha256_labels="9e485cded0f7f9f398f3ce43ce3b8a5fb7e79d334824db33dae0c801ccc639c9",
            spelling={"anger": "angry", "happiness": "happy", "sadness": "sad"},
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``F_01_OISHI_S_1_ANGRY_1.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("subesco", root, INFO, "F_01_OISHI_S_1_ANGRY_1.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=match["id"].upper(),
        path=path,
        raw_label=match["emotion"].upper(),
        speaker=match["speaker"].upper(),
        language="bn",
        sex=match["speaker"][0].upper(),
        sentence=match["text"],
    )


example = _free.subesco

"""RESD (Aniemore, 2022): fifty acted Russian dialogues, seven emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "anger": "anger",
    "disgust": "disgust",
    "enthusiasm": "enthusiasm",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
}
_COUNTS = {
    "anger": 219, "disgust": 185, "enthusiasm": 198, "fear": 223, "happiness": 218, "neutral": 191, "sadness": 162,
}  # fmt: skip
_LETTERS = {name[0]: name for name in _CLASSES}
_WORD = "|".join(_CLASSES)
# 42_anger_fear_f_150 and 07_fear_neutral f_081: the dialogue, the emotions of its two roles, that of this turn.
_NAME = re.compile(rf"(?P<dialogue>\d\d)_(?P<one>{_WORD})_(?P<two>{_WORD})[_ ](?P<letter>[adefhns])_\d{{3}}")
_PARTS = ("train", "test")

INFO = CorpusInfo(
    title="Russian Emotional Speech Dialogs (RESD)",
    language="ru",
    n_speakers=None,
    hours=2.3,
    licence="open, said to be MIT (not confirmed)",
    access="https://huggingface.co/datasets/Aniemore/resd_annotated",
    tree="<root>/{train,test}/anger_fear_42/42_anger_fear_f_150.wav ...",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    default_protocol="group-kfold:5",
    official="train and test of the owners; every dialogue has turns in both",
    expected_counts=_COUNTS,
    notes=(
        "No speaker ids: a group is a dialogue, of two roles with one emotion each.",
        "All fifty dialogues have turns in train and in test, so that fixed:official shares voices; group-kfold shares "
        "no dialogue, and whether actors return in other dialogues is not known.",
        "Half of the files have 16 kHz, half 44.1 kHz.",
        "As Parquet of Hugging Face it is read with --dataset huggingface.",
    ),
    published=(
        PublishedList(
            rows=1396,
            task="7class",
            counts={"raw_label": _COUNTS, "partition": {"train": 1116, "test": 280}},
            sha256_ids="b1c16bc4b4c735e401ab2ba63a599e22469cd6008e3f36111ef4d1cb2f8495e0",
            sha256_labels="fa1bc88172dc60ae5244c35b1dae8d4f9de910353701bf0a9065dd4243a96103",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``42_anger_fear_f_150.wav`` below ``root``. Raises CorpusError without any."""
    example = "train/anger_fear_42/42_anger_fear_f_150.wav"
    return read_named("resd", root, INFO, example, _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    emotion = _LETTERS[match["letter"]]
    if emotion not in (match["one"], match["two"]):
        return f"its letter {match['letter']} is neither {match['one']} nor {match['two']}"
    parts = [folder.lower() for folder in path.parts[-3:-1] if folder.lower() in _PARTS]
    return Utterance(
        id=path.stem.replace(" ", "_"),
        path=path,
        raw_label=emotion,
        speaker="",
        group=match["dialogue"],
        partition=parts[0] if parts else "",
        language="ru",
    )


example = _free.resd

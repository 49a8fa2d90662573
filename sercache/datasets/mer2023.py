"""MER 2023 (Lian et al., ACM MM 2023): Chinese films and series, six emotions; a challenge with three tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._files import check_folder, not_found
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named, rows_of
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance
from sercache.errors import CorpusError

_CLASSES = {
    "angry": "anger",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
    "worried": "worry",
}
_COUNTS = {"angry": 1208, "happy": 1038, "neutral": 1248, "sad": 730, "surprise": 190, "worried": 616}
_PARTS = {
    "train-label.csv": "train",
    "test1-label.csv": "test",
    "test2-label.csv": "test2",
    "test3-label.csv": "test3",
}
"""Table of labels -> part."""
_NAME = re.compile(r"sample(?:new)?_\d{8}")

INFO = CorpusInfo(
    title="MER 2023 challenge, labelled parts",
    language="zh",
    n_speakers=None,
    hours=5.9,
    licence="end user licence: academic research, no redistribution",
    licence_id="LicenseRef-MER2023",
    restricted=True,
    access="https://huggingface.co/datasets/MERChallenge/MER2023",
    tree="<root>/mer2023train/{train-label.csv,train/,test3/}\n<root>/{test1,test2}/\n"
    "<root>/test-labels/test1-label.csv ...\nwhere sample_00002721.wav ... are made of the .avi and .mp4",
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    default_protocol="fixed:official",
    expected_counts=_COUNTS,
    official="Train and Test1 (MER-MULTI); fixed:test2 tests on MER-NOISE, fixed:test3 on MER-SEMI; no dev part, and "
    "which speakers parts share is not known",
    notes=(
        "The sound is in films, which are not read: make WAV of it first, find . -name '*.avi' -o -name '*.mp4' | "
        'while read -r f; do ffmpeg -nostdin -i "$f" -ac 1 -ar 16000 "${f%.*}.wav"; done',
        "No speaker is said: only the parts of the owners are a protocol, and they may share voices.",
        "Noise was added to Test2.",
        "EmoBox tests on Test1.",
    ),
    published=(
        PublishedList(
            rows=5030,
            task="6class",
            counts={
                "raw_label": _COUNTS,
                "partition": {"train": 3373, "test": 411, "test2": 412, "test3": 834},
            },
            sha256_ids="c859e634aa33428eda9f4720778e3dbc809d5db05b1159aa3bb18c01fe46956d",
            sha256_labels="d8acd2f42b9e5f461f489d658580f56b8cef8fae4120d8dbf391b9e3c7512336",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings below ``root`` that a table of labels names.

    Raises CorpusError where there are none, where no table is, or one lacks a column.
    """
    check_folder(root, "mer2023")
    said: dict[str, tuple[str, str]] = {}
    for table, part in _PARTS.items():
        for row in rows_of("mer2023", root, table, ("name", "discrete")):
            said.setdefault(row["name"], (row["discrete"], part))
    if not said:
        raise CorpusError(f"mer2023: {not_found(root, 'train-label.csv')}")
    example = "train/sample_00002721.wav (made of the .avi, as the notes of the corpus say)"
    return read_named("mer2023", root, INFO, example, lambda path: _utterance(path, said), release="1.0")


def _utterance(path: Path, said: Mapping[str, tuple[str, str]]) -> Utterance | str | None:
    if _NAME.fullmatch(path.stem) is None:
        return None
    if path.stem not in said:
        return "no table of labels has a row for it"
    emotion, part = said[path.stem]
    if emotion not in _CLASSES:
        return f"its emotion is none of the corpus: {emotion[:40]!r}"
    return Utterance(
        id=path.stem, path=path, raw_label=emotion, speaker="", partition=part, language="zh"
    )  # fmt: skip


example = _listed.mer2023

"""nEMO (Christop, LREC-COLING 2024): nine Polish actors, ninety sentences, six emotions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._files import check_folder, walk
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance
from sercache.datasets._text import read_lines

_CLASSES = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}
_COUNTS = {"anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769, "surprised": 669}
_SPEAKERS = {
    "EB0": 539, "IC0": 540, "KD0": 540, "KS0": 540, "MK0": 450, "MP0": 256, "SM0": 538, "TP0": 539, "WR0": 539,
}  # fmt: skip
_WOMEN = {"EB0", "IC0", "KD0", "MK0"}
_NAME = re.compile(rf"(?P<speaker>{'|'.join(_SPEAKERS)})_(?P<emotion>{'|'.join(_CLASSES)})_(?P<text>\d+)")

INFO = CorpusInfo(
    title="nEMO, Polish emotional speech",
    language="pl",
    n_speakers=9,
    hours=3.1,
    licence="CC BY-NC-SA 4.0",
    licence_id="CC-BY-NC-SA-4.0",
    access="https://github.com/amu-cai/nEMO",
    tree="<root>/samples/EB0_anger_1.wav ...\n<root>/data.tsv (texts)",
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    expected_counts=_COUNTS,
    notes=("Ninety texts, spoken with every emotion by most speakers. Hours are estimated.",),
    published=(
        PublishedList(
            rows=4481,
            task="6class",
            counts={"raw_label": _COUNTS, "speaker": _SPEAKERS},
            sha256_ids="a7bb9a4f6665a5ab4da9111ad9f2ac5211bfbd3fd3e84511f2077502bd2ee527",
            sha256_labels="d4d47d68ec8a6c43aaa1a425e2bbaebed4d30190d014ebbe99975215fc8d8e2c",
            spelling={"surprise": "surprised"},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``EB0_anger_1.wav`` below ``root``, with texts where ``data.tsv`` is.

    Raises CorpusError where there are none.
    """
    check_folder(root, "nemo")
    texts: dict[str, str] = {}
    for table in walk(root, frozenset({".tsv"})):
        # file_id, emotion, raw_text, ... ; the first line is the heading and names no file.
        rows = (line.split("\t") for line in read_lines(table))
        texts |= {Path(row[0]).stem: row[2].strip() for row in rows if len(row) > 2}
    return read_named(
        "nemo", root, INFO, "samples/EB0_anger_1.wav", lambda p: _utterance(p, texts), release="1.0"
    )


def _utterance(path: Path, texts: Mapping[str, str]) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        transcript=texts.get(path.stem),
        language="pl",
        sex="F" if match["speaker"] in _WOMEN else "M",
        sentence=match["text"],
    )


example = _acted.nemo

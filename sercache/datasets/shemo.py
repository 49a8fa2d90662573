"""ShEMO (Mohamad Nezami et al., Language Resources and Evaluation 2019): Persian radio plays."""

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
from sercache.datasets._text import read_text

_CLASSES = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}
_COUNTS = {"A": 1059, "F": 38, "H": 201, "N": 1028, "S": 449, "W": 225}
# The letter F is a woman at the beginning and fear after the number.
_NAME = re.compile(r"(?P<speaker>(?P<sex>[FM])\d\d)(?P<emotion>[AFHNSW])\d\d+")
_MARKS = str.maketrans("", "", "\ufeff\u200e\u200f")

INFO = CorpusInfo(
    title="Sharif Emotional Speech Database (ShEMO)",
    language="fa",
    n_speakers=87,
    hours=3.4,
    licence="free for research (not confirmed); terms of the owners",
    access="https://github.com/mansourehk/ShEMO (the archives there are git-lfs pointers)",
    tree="<root>/male/M01A01.wav ..., <root>/female/F01A01.wav ...\n<root>/transcript/final text/M01A01.ort",
    tasks={
        "6class": _CLASSES,
        "5class": {code: name for code, name in _CLASSES.items() if code != "F"},
        "4class": four_class(_CLASSES),
    },
    default_task="6class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "Fear has 38 utterances; 5class leaves it out, as most studies do.",
        "EmoBox holds 2838 of the 3000 utterances.",
    ),
    published=(
        PublishedList(
            rows=3000,
            task="6class",
            counts={"raw_label": _COUNTS, "sex": {"F": 1263, "M": 1737}},
            sha256_ids="b7e84d101a4527070b132441e1e0f9b11b9bb767a05893a87ba3d3577ff17d80",
            sha256_labels="c5b61b1a50d51fec058960ef057efbfcf98bfcae225744d43b908f0a9caf3d35",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``F03S02.wav`` below ``root``, with transcripts where they are.

    Raises CorpusError where there are none.
    """
    check_folder(root, "shemo")
    transcripts = {path.stem: path for path in walk(root, frozenset({".ort"}))}
    return read_named(
        "shemo", root, INFO, "female/F03S02.wav", lambda p: _utterance(p, transcripts), release="1.0"
    )


def _utterance(path: Path, transcripts: Mapping[str, Path]) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    text = transcripts.get(path.stem)
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        transcript=read_text(text).translate(_MARKS).strip() or None if text else None,
        language="fa",
        sex=match["sex"],
    )


example = _acted.shemo

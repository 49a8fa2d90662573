"""URDU (Latif et al., FIT 2018): 400 utterances of Urdu talk shows, four emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
_COUNTS = dict.fromkeys(_CLASSES, 100)
_NAME = re.compile(r"(?P<speaker>S(?P<sex>[FM])\d+)_F\d+_(?P<emotion>[AHNS])\d+")

INFO = CorpusInfo(
    title="URDU, emotional speech of talk shows",
    language="ur",
    n_speakers=38,
    hours=0.3,
    licence="research only; taken from public films",
    licence_id="LicenseRef-URDU",
    access="https://github.com/siddiquelatif/URDU-Dataset",
    tree="<root>/{Angry,Happy,Neutral,Sad}/SM1_F1_A01.wav ... (folder names are not read)",
    tasks={"4class": _CLASSES},
    default_task="4class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "The paper says 38 speakers (27 men, 11 women); the file names carry 29.",
        "One speaker has a fifth of all utterances: use speaker-kfold rather than leave-one-speaker-out.",
        "Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=400,
            task="4class",
            counts={"raw_label": _COUNTS},
            sha256_ids="0da9e78d87edf6b925a8c616265c2fc55679a8ffe2aebc79c8dff66400ef5bba",
            sha256_labels="f377783218588fa65d9ff966d56745e2240c3e254c2890f27c1d53deaafd66ab",
            spelling={name: code for code, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``SM1_F1_A01.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("urdu", root, INFO, "Angry/SM1_F1_A01.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        language="ur",
        sex=match["sex"],
    )


example = _acted.urdu

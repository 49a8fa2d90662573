"""Oréau (Kerkeni et al., 2020): 32 French speakers, seven emotions, everyday sentences of the classroom."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "C": "anger",
    "D": "disgust",
    "J": "happiness",
    "N": "neutral",
    "P": "fear",
    "S": "surprise",
    "T": "sadness",
}
_COUNTS = {"C": 67, "D": 67, "J": 62, "N": 70, "P": 51, "S": 62, "T": 55}
_NAME = re.compile(r"(?P<speaker>\d\d)(?P<text>[a-z]\d\d)(?P<emotion>[CDJNPST])[a-z]")

INFO = CorpusInfo(
    title="Oréau, French emotional speech",
    language="fr",
    n_speakers=32,
    hours=0.3,
    licence="open, said to be CC BY 4.0 (not confirmed)",
    access="https://zenodo.org/records/4405783",
    tree="<root>/OréauFR_02/{f,m}/sess{c,d,j,n,p,s,t}/13a06Sa.wav ...",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "Each emotion has sentences of its own (79 in all): the words tell it.",
        "Counts are of the second version, of the 434 recordings that listeners understood; the first has 502.",
        "The sex is that of the folder, f or m (7 women, 25 men); elsewhere 8 and 24 are told.",
    ),
    published=(
        PublishedList(
            rows=434,
            task="7class",
            counts={"raw_label": _COUNTS},
            sha256_ids="fc60568e59129d748d08fa80482a67cd3fdf3e1ec12a62c67906ff4a143fd818",
            sha256_labels="574d3cc7f0d69f07ecdbf7d95acdb70a6400237f7980efb2c944dc912cbc6b11",
            spelling={name: code for code, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``13a06Sa.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("oreau", root, INFO, "f/sesss/13a06Sa.wav", _utterance, release="2.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    sexes = [folder.upper() for folder in path.parts[-3:-1] if folder in ("f", "m")]
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        language="fr",
        sex=sexes[0] if sexes else "",
        sentence=match["emotion"] + match["text"],
    )


example = _free.oreau

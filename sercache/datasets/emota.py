"""EmoTa (Thevakumar et al., CHiPSAL 2025): 22 speakers of Sri Lankan Tamil, nineteen sentences, five emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"ang": "anger", "fea": "fear", "hap": "happiness", "neu": "neutral", "sad": "sadness"}
# From speaker_details.csv of the owners.
_MEN = {1, 3, 4, 7, 11, 12, 13, 16, 17, 18, 19}
_NAME = re.compile(
    rf"(?P<speaker>[1-9]|1\d|2[0-2])_(?P<text>[1-9]|1\d)_(?P<emotion>{'|'.join(_CLASSES)})", re.IGNORECASE
)

INFO = CorpusInfo(
    title="EmoTa, a Tamil Emotional Speech Dataset",
    language="ta",
    n_speakers=22,
    hours=0.8,
    licence="EmoTa Academic-Commercial License 1.0: CC BY-NC 4.0 for research, by agreement, no redistribution",
    licence_id="LicenseRef-EACL-1.0",
    restricted=True,
    access="https://github.com/aaivu/EmoTa",
    tree="<root>/[any folder/]{angry,fear,happy,neutral,sad}/19_18_ang.wav ...",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    default_protocol="speaker-kfold:5",
    notes=(
        "936 recordings, fewer than every speaker, sentence and emotion would be: not every sentence is there in every "
        "emotion.",
        "Nineteen sentences, spoken with every emotion.",
    ),
    published=(PublishedList(rows=936),),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``19_18_ang.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("emota", root, INFO, "angry/19_18_ang.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem.lower(),
        path=path,
        raw_label=match["emotion"].lower(),
        speaker=match["speaker"],
        language="ta",
        sex="M" if int(match["speaker"]) in _MEN else "F",
        sentence=match["text"],
    )


example = _listed.emota

"""MEAD (Wang et al., ECCV 2020): 48 actors speak English with eight emotions at three intensities."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "angry": "anger",
    "contempt": "contempt",
    "disgusted": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
_COUNTS = {
    "angry": 4193, "contempt": 4215, "disgusted": 4284, "fear": 4251, "happy": 4294, "neutral": 1916, "sad": 4306,
    "surprised": 4270,
}  # fmt: skip
_PLACE = re.compile(
    rf"(?P<speaker>[MW]\d{{3}})/(?:audio/)?(?P<emotion>{'|'.join(_CLASSES)})/level_(?P<level>[123])/(?P<text>\d{{3}})"
)

INFO = CorpusInfo(
    title="Multi-view Emotional Audio-visual Dataset (MEAD), its sound",
    language="en",
    n_speakers=48,
    hours=37.3,
    licence="the owners' terms; none found in their repository",
    access="https://wywu.github.io/projects/MEAD/MEAD.html",
    tree="<root>/M003/audio/angry/level_1/001.wav ... (made of the .m4a)",
    tasks={"8class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="8class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "The sound is M4A, which is not read: make WAV of it first, find . -name '*.m4a' -exec sh -c "
        '\'ffmpeg -i "$1" -ac 1 -ar 16000 "${1%.m4a}.wav"\' _ {} \\;',
        "File names are numbers: speaker, emotion and intensity are read from the folders.",
        "Of sixty actors that the owners name 48 are in the part that is given out.",
        "Neutral has one intensity and half as many recordings.",
        "Which numbers are the same sentence is not established, so that no two recordings count as the same text.",
        "EmoBox's single fold shares speakers between train and test.",
    ),
    published=(
        PublishedList(
            rows=31729,
            task="8class",
            counts={"raw_label": _COUNTS},
            sha256_ids="52133e0425237bc260577f81ac9b5b161c4083b79895a9b434528304d3c82041",
            sha256_labels="fc08169ff711f8bf33bea66ad15d24a17aec6e9e9c956e35c1c3bb8f7af36de8",
            spelling={name: raw for raw, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings that lie like ``M003/audio/angry/level_1/001.wav`` below ``root``.

    Raises CorpusError where there are none.
    """
    example = "M003/audio/angry/level_1/001.wav (made of the .m4a, as the notes of the corpus say)"
    return read_named("mead", root, INFO, example, _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    for depth in (5, 4):
        match = _PLACE.fullmatch("/".join(path.with_suffix("").parts[-depth:]))
        if match is not None:
            break
    else:
        return None
    return Utterance(
        id=f"{match['speaker']}_{match['emotion']}_{match['level']}_{match['text']}",
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        language="en",
        sex="M" if match["speaker"][0] == "M" else "F",
    )


example = _free.mead

"""eNTERFACE'05 (Martin et al., 2006): 43 speakers of English from many countries, six emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "an": "anger",
    "di": "disgust",
    "fe": "fear",
    "ha": "happiness",
    "sa": "sadness",
    "su": "surprise",
}
_COUNTS = {code: 208 if code == "ha" else 211 for code in _CLASSES}
# s1_an_1, but s_3_an_1 of subject 3, s6_an of subject 6 and s16_su_3avi.
_NAME = re.compile(
    rf"s_?(?P<speaker>\d+)_(?P<emotion>{'|'.join(_CLASSES)})(?:_(?P<text>[1-5]))?(?:avi)?", re.IGNORECASE
)

INFO = CorpusInfo(
    title="eNTERFACE'05 Audio-Visual Emotion Database",
    language="en",
    n_speakers=43,
    hours=1.1,
    licence="free for research (not confirmed); terms of the owners",
    access="https://enterface.net/enterface05/main.php?frame=emotion",
    tree="<root>/subject 1/anger/sentence 1/s1_an_1.wav ... (made of the .avi; folder names are not read)",
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "The release is films: take out the sound first, find . -name '*.avi' -exec sh -c "
        '\'ffmpeg -i "$1" -ac 1 -ar 16000 "${1%.avi}.wav"\' _ {} \\;',
        "No neutral: 4class has three classes here.",
        "Each emotion has five sentences of its own: the words tell it. Few speakers are native.",
        "The films of subject 6 are not cut: six recordings of one emotion each, up to 107 s.",
        "Subject 3 is spelt s_3_an_1, and one file of subject 16 s16_su_3avi; ids are s3_an_1 and s16_su_3.",
        "Sexes of the speakers are not established.",
    ),
    published=(
        PublishedList(
            rows=1263,
            task="6class",
            counts={"raw_label": _COUNTS},
            sha256_ids="fb528692b9b7f398f4e8ed3d583a5e532c26a631d8f94d90b641c92922a7f938",
            sha256_labels="8d3168c6530e6e403d80dbc91c40bbb5a56c9a8783b2177c79870d101aea7d25",
            spelling={name: code for code, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``s1_an_1.wav`` below ``root``. Raises CorpusError without any."""
    example = "s1_an_1.wav (made of the .avi, as the notes of the corpus say)"
    return read_named("enterface", root, INFO, example, _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    speaker, emotion, text = str(int(match["speaker"])), match["emotion"].lower(), match["text"]
    return Utterance(
        id="_".join(filter(None, (f"s{speaker}", emotion, text))),
        path=path,
        raw_label=emotion,
        speaker=speaker,
        language="en",
        sentence=f"{emotion}{text}" if text else "",
    )


example = _free.enterface

"""CASIA, Mandarin (Institute of Automation, 2005): four speakers, fifty sentences, six emotions."""

from __future__ import annotations

from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "angry": "anger",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
_COUNTS = dict.fromkeys(_CLASSES, 200)
_SPEAKERS = ("liuchanhg", "wangzhe", "zhaoquanyin", "zhaozuoxiang")


def _ids() -> list[str]:
    return [
        f"{speaker}/{emotion}/{n}" for speaker in _SPEAKERS for emotion in _CLASSES for n in range(201, 251)
    ]


INFO = CorpusInfo(
    title="CASIA Chinese emotional corpus (the free part)",
    language="zh",
    n_speakers=4,
    hours=0.6,
    licence="research only (not confirmed); terms of the owners",
    licence_id="LicenseRef-CASIA",
    access="http://www.chineseldc.org",
    tree="<root>/liuchanhg/angry/201.wav ... (spellings of the folders matter)",
    tasks={"6class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="6class",
    expected_counts=_COUNTS,
    folds={
        "emobox": {"1": ["wangzhe"], "2": ["zhaozuoxiang"], "3": ["liuchanhg"], "4": ["zhaoquanyin"]},
    },
    notes=(
        "1200 of the 9600 recordings of the full corpus are in circulation.",
        "File names are numbers: speaker and emotion come from the folders.",
        "Equal numbers are taken to be equal sentences; that and the speakers' sexes are not confirmed.",
        "Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=1200,
            task="6class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_SPEAKERS, 300)},
            sha256_ids="9001c469bccf8c08d178fb032ff82533f4b2e8c0f2f87c2226a882e375e064d3",
            sha256_labels="f7fe8297a4d7991e982009d95ba87c417b43b3258680ba9088850620e3a05dac",
            spelling={name: raw for raw, name in _CLASSES.items()},
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings ``<speaker>/<emotion>/201.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("casia", root, INFO, "liuchanhg/angry/201.wav", _utterance, release="1200")


def _utterance(path: Path) -> Utterance | None:
    speaker, emotion = (folder.lower() for folder in path.parts[-3:-1])
    if speaker not in _SPEAKERS or emotion not in _CLASSES or not path.stem.isdigit():
        return None
    return Utterance(
        id=f"{speaker}/{emotion}/{path.stem}",
        path=path,
        raw_label=emotion,
        speaker=speaker,
        language="zh",
        sentence=path.stem,
    )


example = _acted.casia

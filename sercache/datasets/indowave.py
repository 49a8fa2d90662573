"""IndoWaveSentiment (Bustamin et al., Data in Brief 2024): ten Indonesian actors, five emotions, two intensities."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"01": "neutral", "02": "happiness", "03": "surprise", "04": "disgust", "05": "disappointment"}
_COUNTS = dict.fromkeys(_CLASSES, 60)
_ACTORS = [f"{actor:02d}" for actor in range(1, 11)]
_NAME = re.compile(r"(?P<actor>0[1-9]|10)-(?P<emotion>0[1-5])-0[12]-0[1-3]")


def _ids() -> list[str]:
    names = product(_ACTORS, _CLASSES, ("01", "02"), ("01", "02", "03"))
    return ["-".join(parts) for parts in names]


INFO = CorpusInfo(
    title="IndoWaveSentiment, an Indonesian audio dataset for emotion classification",
    language="id",
    n_speakers=10,
    hours=None,
    licence="open, said to be CC BY 4.0 (not confirmed)",
    access="https://data.mendeley.com/datasets/j9ytfdzy27/1",
    tree="<root>/[any folder/]07-03-02-03.wav ...",
    tasks={"5class": _CLASSES},
    default_task="5class",
    expected_counts=_COUNTS,
    notes=(
        "Happy, surprised, disgusted, disappointed and neutral: there is no 4class here.",
        "The ids are those that the owners' rule makes of 300 recordings; no list of them was at hand.",
        "Whether all say the same sentence is not in the names, so that no two recordings count as the same text.",
    ),
    published=(
        PublishedList(
            rows=300,
            task="5class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_ACTORS, 30)},
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``07-03-02-03.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("indowave", root, INFO, "07-03-02-03.wav", _utterance, release="1")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["actor"],
        language="id",
        sex="M" if int(match["actor"]) % 2 else "F",
    )


example = _listed.indowave

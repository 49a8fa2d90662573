"""TurEV-DB (Canpolat et al., SLTU-CCURL 2020): Turkish words by six amateur actors, four emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {"hl": "sadness", "kz": "anger", "mt": "happiness", "sk": "calm"}
_COUNTS = {"hl": 483, "kz": 487, "mt": 357, "sk": 408}
_SPEAKERS = {"1157": 150, "1234": 328, "1358": 328, "1984": 328, "6783": 328, "7895": 273}
_NAME = re.compile(rf"(?P<speaker>{'|'.join(_SPEAKERS)})_(?P<emotion>{'|'.join(_CLASSES)})_(?P<word>\w+)")

INFO = CorpusInfo(
    title="Turkish Emotion-Voice Database (TurEV-DB)",
    language="tr",
    n_speakers=6,
    hours=0.5,
    licence="CC BY-NC-ND 4.0",
    licence_id="CC-BY-NC-ND-4.0",
    restricted=True,
    access="https://github.com/Xeonen/TurEV-DB",
    tree="<root>/Sound Source/{Angry,Calm,Happy,Sad}/1157_kz_beste.wav ... (folder names are not read)",
    tasks={"4emotions": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="4emotions",
    expected_counts=_COUNTS,
    notes=(
        "Calm takes the place of neutral: 4class has three classes here, 4emotions has calm.",
        "The filtered copies under 'Model Output for Test Data' carry the same names and are not used.",
        "Sexes of the speakers are not established. Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=1735,
            task="4emotions",
            counts={"raw_label": _COUNTS, "speaker": _SPEAKERS},
            sha256_ids="35cea4f3e748afe22dd6fe2457cac99869ad1992e0462145d74dfc6b55ff94c7",
            sha256_labels="f4fa994eb8bbfca0ee7ea7e4339c4c77c180905d2c854c70dffc26ed383a0a7d",
            spelling={name: code for code, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``1157_kz_beste.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("turev", root, INFO, "Sound Source/Angry/1157_kz_beste.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    if any(folder.name == "Model Output for Test Data" for folder in path.parents):
        return "filtered copy"
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        transcript=match["word"],
        language="tr",
        sentence=match["word"],
    )


example = _acted.turev

"""SAVEE (Jackson and Haq, University of Surrey 2014): four British men, seven emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
_COUNTS = {code: 120 if code == "n" else 60 for code in _CLASSES}
_SPEAKERS = ("DC", "JE", "JK", "KL")
# "sa" and "su" first: "s" alone is no emotion, but "a" would match inside them.
_NAME = re.compile(rf"(?:(?P<speaker>{'|'.join(_SPEAKERS)})_)?(?P<emotion>sa|su|[adfhn])(?P<number>\d\d)")


def _ids() -> list[str]:
    """All ids: 15 sentences per emotion and speaker, 30 of neutral."""
    return [
        f"{speaker}_{code}{n:02d}"
        for speaker in _SPEAKERS
        for code in _CLASSES
        for n in range(1, 31 if code == "n" else 16)
    ]


INFO = CorpusInfo(
    title="Surrey Audio-Visual Expressed Emotion Database (SAVEE)",
    language="en",
    n_speakers=4,
    hours=0.5,
    licence="registration; research only, no redistribution",
    licence_id="LicenseRef-SAVEE",
    restricted=True,
    access="http://kahlan.eps.surrey.ac.uk/savee/",
    tree="<root>/AudioData/DC/a01.wav ... or flat, <root>/DC_a01.wav ...",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    expected_counts=_COUNTS,
    folds={"emobox": {"1": ["JE"], "2": ["KL"], "3": ["DC"], "4": ["JK"]}},
    notes=(
        "File names repeat from speaker to speaker: ids carry the speaker, DC_a01.",
        "Four men only. Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=480,
            task="7class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_SPEAKERS, 120)},
            sha256_ids="8578989df3e9f2f66ba74c593011035ca4d47707b6064739deb3b9358ccc39b9",
            sha256_labels="7c064fdbd4396d8756a55f6f3b8f2ee5a159dc89f66c5e1e5ffab09da72833c2",
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings ``DC/a01.wav`` or ``DC_a01.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("savee", root, INFO, "DC/a01.wav or DC_a01.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    speaker = (match["speaker"] or path.parent.name.upper()) if match else ""
    if match is None or speaker not in _SPEAKERS:
        return None
    return Utterance(
        id=f"{speaker}_{match['emotion']}{match['number']}",
        path=path,
        raw_label=match["emotion"],
        speaker=speaker,
        language="en",
        sex="M",
    )


example = _acted.savee

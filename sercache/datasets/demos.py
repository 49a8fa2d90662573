"""DEMoS (Parada-Cabaleiro et al., Language Resources and Evaluation 2019): elicited moods of 68 Italian students."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance

_CLASSES = {
    "col": "guilt",
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_COUNTS = {
    "col": 1129,
    "dis": 1678,
    "gio": 1395,
    "neu": 332,
    "pau": 1156,
    "rab": 1477,
    "sor": 1000,
    "tri": 1530,
}
# PR_m_23_tri00a: prototypical or not, sex, speaker, emotion and number; neutral speech has no first part.
_NAME = re.compile(
    rf"(?:(?:NP|PR)_)?(?P<sex>[fm])_(?P<speaker>\d\d)_(?P<emotion>{'|'.join(_CLASSES)})\d\d[a-z]"
)


def _is_prototypical(utterance: Utterance) -> bool:
    return utterance.id.startswith("PR_")


INFO = CorpusInfo(
    title="Database of Elicited Mood in Speech (DEMoS)",
    language="it",
    n_speakers=68,
    hours=None,
    licence="end user licence, signed by a professor: no redistribution",
    licence_id="LicenseRef-DEMoS",
    restricted=True,
    access="https://zenodo.org/records/2544829",
    tree="<root>/DEMOS/PR_m_23_tri00a.wav ...\n<root>/NEU/m_13_neu05b.wav ...",
    tasks={
        "8class": _CLASSES,
        "7class": {raw: name for raw, name in _CLASSES.items() if raw != "neu"},
        "4class": four_class(_CLASSES),
    },
    default_task="8class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    subsets={"prototypical": Subset("chosen as typical by self-assessment and listeners", _is_prototypical)},
    notes=(
        "Moods are elicited, not acted: the label is what was induced.",
        "Neutral speech is rare, 332 of 9,697; 7class leaves it out.",
        "@prototypical are the 1,564 samples, of 59 speakers, that the owners chose; none of them is neutral.",
        "Numbers 01 to 69 without 35; a number is one speaker, whatever the sex before it.",
    ),
    published=(
        PublishedList(
            rows=9697,
            task="8class",
            counts={"raw_label": _COUNTS, "sex": {"F": 3444, "M": 6253}},
            sha256_ids="c74c58dd3a4e52369ac3a882b81b6fe12a108ec983d6bf1efc85fc11cf7d9f48",
            sha256_labels="9f22083efe875ff56cccb1e496ea938d52b25439769c0397723b6970509b4fea",
        ),
        PublishedList(
            rows=1564,
            task="8class@prototypical",
            sha256_ids="3ca630dfe93b0c26af933d0069a4a25e956211c42f93ac7b6b6716e311eef723",
            sha256_labels="efc254a6ef5ea23c927f09fc65a56316272294752c152d864867fd8ee8c2850c",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``PR_m_23_tri00a.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("demos", root, INFO, "DEMOS/PR_m_23_tri00a.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        language="it",
        sex=match["sex"].upper(),
    )


example = _listed.demos

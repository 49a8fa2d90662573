"""ASVP-ESD (Landry, He and Wei, 2020): speech and other sounds of emotion, from films and the web."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance

_CLASSES = {
    "01": "boredom",
    "02": "neutral",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
    "09": "excitement",
    "10": "pleasure",
    "11": "pain",
    "12": "disappointment",
}
_COUNTS = {
    "01": 548, "02": 1598, "03": 1868, "04": 2694, "05": 1453, "06": 1180, "07": 899, "08": 1586, "09": 401, "10": 365,
    "11": 834, "12": 365, "13": 172, "17": 1,
}  # fmt: skip
_LANGUAGES = {"01": "zh", "02": "en", "04": "fr"}
# Modality, vocal channel, emotion, intensity, statement, actor, age, source, and mostly language and more.
_NAME = re.compile(
    r"03-(?P<channel>0[12])-(?P<emotion>0[1-9]|1[0-3]|17)-\d+-\d+-(?P<actor>\d{1,3})-\d+-\d+(?:-(?P<language>\d+)[-\d]*)?"
)


def _is_speech(utterance: Utterance) -> bool:
    return utterance.id.startswith("03-01-")


INFO = CorpusInfo(
    title="Audio, Speech and Vision Processing Lab Emotional Sound database (ASVP-ESD)",
    language="zh, en, fr and others",
    n_speakers=131,
    hours=18.0,
    licence="the owners' terms: cite it",
    access="https://zenodo.org/records/7132783",
    tree="<root>/Audio/actor_36/03-01-09-01-06-36-02-02-01-39.wav ...\n<root>/Bonus/actor_150/... (infants)",
    tasks={"12class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="12class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    subsets={
        "speech": Subset("words are spoken; the others are laughter, cries, sighs and the like", _is_speech)
    },
    notes=(
        "8,824 of 13,964 recordings are sounds without words; @speech keeps the 5,140 with words.",
        "A speaker is the number in the name. Recordings come from films and the web, so that whether a number is one "
        "voice, and whether one voice has two numbers, is not known: 150 has 1,073 recordings.",
        "41 pairs of folder and number disagree, most of them in a folder actor_ without a number.",
        "Breath (13) and one unknown (17) are in no task.",
        "EmoBox's single fold trains on all 130 speakers of its test part.",
    ),
    published=(
        PublishedList(
            rows=13791,
            task="12class",
            counts={"raw_label": {raw: n for raw, n in _COUNTS.items() if raw in _CLASSES}},
            sha256_labels="c43169e1ebf9a27f2735b720e29466f1adc27f5f0ca4124cf2e4056f17af283c",
        ),
        PublishedList(
            rows=13964,
            counts={"raw_label": _COUNTS},
            sha256_ids="4359d2da418c876103a3e86e295aaf99b65e468158b3e12d83a03a531cccc04e",
        ),
        PublishedList(
            rows=5139,
            task="12class@speech",
            sha256_labels="3ec93afe4ffbeee66aac237c8ce9c325ca1b00f0abbfb017d7079aa3508ed733",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``03-01-09-01-06-36-02-02-01-39.wav`` below ``root``.

    Raises CorpusError where there are none.
    """
    return read_named("asvp-esd", root, INFO, "03-01-09-01-06-36-02-02-01-39.wav", _utterance, release="2")


def _utterance(path: Path) -> Utterance | None:
    # Five files of the release have a blank before the last number.
    name = path.stem.replace(" ", "")
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    actor = int(match["actor"])
    return Utterance(
        id=name,
        path=path,
        raw_label=match["emotion"],
        speaker=str(actor),
        language=_LANGUAGES.get(match["language"] or "", ""),
        sex="F" if actor % 2 else "M",
    )


example = _listed.asvp_esd

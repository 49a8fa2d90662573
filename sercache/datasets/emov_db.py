"""EmoV-DB (Adigwe et al., 2018): four English speakers, five styles, sentences of CMU Arctic."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "amused": "amusement",
    "anger": "anger",
    "disgust": "disgust",
    "neutral": "neutral",
    "sleepiness": "sleepiness",
}
_COUNTS = {"amused": 1315, "anger": 1267, "disgust": 1019, "neutral": 1566, "sleepiness": 1720}
_SPEAKERS = {"bea": 1784, "jenie": 1790, "josh": 861, "sam": 2452}
_NAME = re.compile(rf"(?P<emotion>{'|'.join(_CLASSES)})_\d+[-_]\d+_(?P<text>\d+)", re.IGNORECASE)
# bea_Amused, bea-amused, or Amused below bea.
_FOLDER = re.compile(rf"(?P<speaker>{'|'.join(_SPEAKERS)})(?:[-_ ].*)?", re.IGNORECASE)

INFO = CorpusInfo(
    title="Emotional Voices Database (EmoV-DB)",
    language="en",
    n_speakers=4,
    hours=9.5,
    licence="the owners' terms: no commercial use",
    licence_id="LicenseRef-EmoV-DB",
    access="https://www.openslr.org/115/",
    tree="<root>/[any folder/]bea_Amused/amused_1-15_0001.wav ... (bea, jenie, josh, sam; or bea/Amused/...)",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    expected_counts=_COUNTS,
    notes=(
        "File names repeat between speakers: the speaker is read from the folder, and the id is sam_neutral_0381.",
        "josh has no anger and no disgust: leave-one-speaker-out tests on him without these classes. 4class has two "
        "classes here.",
        "bea has 44.1 kHz, the others 16 kHz: a model can tell her by it.",
        "The owners' page counts 7000 files; the list of EmoBox, which is compared with, has 6887.",
        "The four digits are the sentence of CMU Arctic, spoken with each style.",
    ),
    published=(
        PublishedList(
            rows=6887,
            task="5class",
            counts={"raw_label": _COUNTS, "speaker": _SPEAKERS},
            sha256_ids="de8795046dca6b3bc3258533f0ae811e40126359c34d4af69728438f19a8f747",
            sha256_labels="cc7afc39a40863fddb3e3e9091dd491c886c6d6c83d7ab7ab6b71793ff48733d",
            spelling={
                "amusement": "Amused",
                "anger": "Angry",
                "disgust": "Disgust",
                "neutral": "Neutral",
                "sleepiness": "Sleepy",
            },
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``bea_Amused/amused_1-15_0001.wav`` below ``root``.

    Raises CorpusError where there are none.
    """
    example = "bea_Amused/amused_1-15_0001.wav"
    return read_named("emov-db", root, INFO, example, lambda p: _utterance(p, root), release="1.0")


def _utterance(path: Path, root: Path) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    # The folder itself may be the root: of one speaker alone.
    inner = path.parts[max(len(root.parts) - 1, 0) : -1]
    speakers = [found["speaker"].lower() for part in inner if (found := _FOLDER.fullmatch(part))]
    if not speakers:
        return "no folder above it names the speaker (bea, jenie, josh or sam)"
    speaker, emotion = speakers[-1], match["emotion"].lower()
    return Utterance(
        id=f"{speaker}_{emotion}_{match['text']}",
        path=path,
        raw_label=emotion,
        speaker=speaker,
        language="en",
        sex="F" if speaker in ("bea", "jenie") else "M",
        sentence=match["text"],
    )


example = _free.emov_db

"""Thorsten-Voice 2021.06 emotional (Müller and Kreutz, 2021): one German speaker, 300 sentences in eight styles."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "amused": "amusement",
    "angry": "anger",
    "disgusted": "disgust",
    "drunk": "drunk",
    "neutral": "neutral",
    "sleepy": "sleepiness",
    "surprised": "surprise",
    "whisper": "whisper",
}
_COUNTS = {style: 299 if style == "whisper" else 300 for style in _CLASSES}
_PLACE = re.compile(rf"(?P<style>{'|'.join(_CLASSES)})/(?P<text>[0-9a-f]{{32}})", re.IGNORECASE)

INFO = CorpusInfo(
    title="Thorsten-Voice Dataset 2021.06 (emotional)",
    language="de",
    n_speakers=1,
    hours=None,
    licence="CC0",
    licence_id="CC0-1.0",
    access="https://www.openslr.org/110/ or https://doi.org/10.5281/zenodo.5525023",
    tree="<root>/[thorsten-emotional_v02/]angry/f64b86e0c3ff6561d5c5968bd8135a34.wav ...",
    tasks={
        "8class": _CLASSES,
        "5class": {raw: _CLASSES[raw] for raw in ("amused", "angry", "disgusted", "neutral", "surprised")},
    },
    default_task="8class",
    default_protocol="group-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "One speaker: no result on it is speaker-independent.",
        "Every sentence is spoken in every style, in a file of the same name in another folder: a group is a sentence, "
        "so that group-kfold tests on sentences that training has not heard.",
        "Whisper, drunk and sleepy are styles more than emotions; 5class leaves them out. There is no 4class here.",
        "One sentence is not whispered.",
    ),
    published=(
        PublishedList(
            rows=2399,
            task="8class",
            counts={"raw_label": _COUNTS},
            sha256_ids="7acd217dcdf9a20248f5b9fb2995928eae021fe8d8de7ac003f47e23ba393147",
            sha256_labels="8321036191d7d5787e6d1fabf629c460dd1c00600ecff1f18029beb2df9371fb",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings that lie like ``angry/f64b86e0c3ff6561d5c5968bd8135a34.wav`` below ``root``.

    Raises CorpusError where there are none.
    """
    example = "angry/f64b86e0c3ff6561d5c5968bd8135a34.wav"
    return read_named("thorsten-emotional", root, INFO, example, _utterance, release="0.2")


def _utterance(path: Path) -> Utterance | None:
    match = _PLACE.fullmatch("/".join(path.absolute().with_suffix("").parts[-2:]))
    if match is None:
        return None
    style, text = match["style"].lower(), match["text"].lower()
    return Utterance(
        id=f"{style}_{text}",
        path=path,
        raw_label=style,
        speaker="thorsten",
        group=text,
        language="de",
        sex="M",
        sentence=text,
    )


example = _listed.thorsten_emotional

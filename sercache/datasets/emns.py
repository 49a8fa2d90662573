"""EMNS (Noriy, Yang and Zhang, 2023): one British woman tells stories in eight emotions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._files import check_folder, not_found
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named, rows_of
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance
from sercache.errors import CorpusError

_CLASSES = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Excited": "excitement",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Sarcastic": "sarcasm",
    "Surprised": "surprise",
}
_COUNTS = {
    "Angry": 126, "Disgust": 162, "Excited": 150, "Happy": 157, "Neutral": 149, "Sad": 147, "Sarcastic": 139,
    "Surprised": 151,
}  # fmt: skip
_COLUMNS = ("utterance", "emotion", "audio_recording")

INFO = CorpusInfo(
    title="Emotive Narrative Storytelling corpus (EMNS)",
    language="en-GB",
    n_speakers=1,
    hours=1.9,
    licence="open, said to be Apache 2.0 (not confirmed)",
    access="https://www.openslr.org/136/",
    tree="<root>/metadata.csv\n<root>/cleaned_webm/recorded_audio_0a1B2c3.wav ... (made of the .webm)",
    tasks={"8class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="8class",
    default_protocol="kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "The release is WebM, which is not read: make WAV of it first, "
        'for f in *.webm; do ffmpeg -i "$f" -ac 1 -ar 16000 "${f%.webm}.wav"; done',
        "One speaker: no result on it is speaker-independent.",
        "No sentence is spoken twice: emotions differ in their words too.",
        "metadata.csv has 1205 rows for 1181 recordings; EmoBox writes Surprise for Surprised.",
    ),
    published=(
        PublishedList(
            rows=1181,
            task="8class",
            counts={"raw_label": _COUNTS},
            sha256_ids="dfd10a080e8a2ff66bb85b7b865eee19960c03730250fe2a16d953973538bcf0",
            sha256_labels="18a757195d1d25f7b695f9c698f439aac2d4cafb3e63b4d6a349cb638df611ec",
            spelling={
                **{name: raw for raw, name in _CLASSES.items()},
                "surprise": "Surprise",
            },
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings below ``root`` that ``metadata.csv`` names.

    Raises CorpusError where there are none, where that table is missing or lacks a column.
    """
    check_folder(root, "emns")
    rows = rows_of("emns", root, "metadata.csv", _COLUMNS)
    if not rows:
        raise CorpusError(f"emns: {not_found(root, 'metadata.csv')}")
    said = {Path(cells["audio_recording"]).stem: cells for cells in rows}
    example = "recorded_audio_0a1B2c3.wav (made of the .webm, as the notes of the corpus say)"
    return read_named("emns", root, INFO, example, lambda path: _utterance(path, said), release="1.0")


def _utterance(path: Path, said: Mapping[str, Mapping[str, str]]) -> Utterance | str | None:
    if not path.stem.startswith("recorded_audio"):
        return None
    cells = said.get(path.stem)
    if cells is None:
        return "metadata.csv has no row for it"
    if cells["emotion"] not in _CLASSES:
        return f"its emotion in metadata.csv is none of the corpus: {cells['emotion'][:40]!r}"
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=cells["emotion"],
        speaker="emns",
        transcript=cells["utterance"] or None,
        language="en-GB",
        sex="F",
    )


example = _free.emns

"""Emozionalmente (Catania, 2022): 431 Italian amateurs, eighteen sentences, seven emotions, recorded at home."""

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
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutrality": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
_COUNTS = dict.fromkeys(_CLASSES, 986)
_SAMPLES = ("file_name", "actor", "sentence", "emotion_expressed")
_USERS = ("username", "gender")
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}

INFO = CorpusInfo(
    title="Emozionalmente, Italian emotional speech of a crowd",
    language="it",
    n_speakers=431,
    hours=6.3,
    licence="open, said to be CC BY 4.0 (not confirmed)",
    access="https://zenodo.org/records/6569824",
    tree="<root>/audio/1613655062436.wav ...\n<root>/metadata/samples.csv\n<root>/metadata/users.csv (sexes)",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "The label is what the actor was to express; listeners agreed in two of three recordings.",
        "EmoBox's single fold is drawn without regard to speakers.",
        "Eighteen sentences; equal words in samples.csv count as one text.",
        "150 recordings have 44.1 kHz, the others 16 kHz.",
    ),
    published=(
        PublishedList(
            rows=6902,
            task="7class",
            counts={"raw_label": _COUNTS},
            sha256_ids="a2f36a8453f5268b27a4e8819b4c90552424b7381ce3a9736934668d79473170",
            sha256_labels="d94890cbdb019573d0f000123c7018cad3e6536b481748df7f0144506a796d24",
            spelling={"happiness": "joy", "neutral": "neutrality"},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings below ``root`` that ``metadata/samples.csv`` names.

    Raises CorpusError where there are none, where that table is missing or lacks a column.
    """
    check_folder(root, "emozionalmente")
    samples = {
        Path(row["file_name"]).stem: row for row in rows_of("emozionalmente", root, "samples.csv", _SAMPLES)
    }
    if not samples:
        raise CorpusError(f"emozionalmente: {not_found(root, 'metadata/samples.csv')}")
    sexes = {
        row["username"]: _SEXES.get(row["gender"].lower(), "")
        for row in rows_of("emozionalmente", root, "users.csv", _USERS)
    }
    return read_named(
        "emozionalmente",
        root,
        INFO,
        "audio/1613655062436.wav",
        lambda path: _utterance(path, samples, sexes),
        release="1.0",
    )


def _utterance(
    path: Path, samples: Mapping[str, Mapping[str, str]], sexes: Mapping[str, str]
) -> Utterance | str | None:
    if not path.stem.isdecimal():
        return None
    row = samples.get(path.stem)
    if row is None:
        return "samples.csv has no row for it"
    if row["emotion_expressed"] not in _CLASSES:
        return f"its emotion in samples.csv is none of the corpus: {row['emotion_expressed'][:40]!r}"
    words = " ".join(row["sentence"].split())
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=row["emotion_expressed"],
        speaker=row["actor"],
        transcript=words or None,
        language="it",
        sex=sexes.get(row["actor"], ""),
        sentence=words,
    )


example = _free.emozionalmente

"""MSP-Podcast (Lotfian and Busso, IEEE Trans. Affective Computing 2019), releases 1.8 to 2.0."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sercache.datasets import _msp_podcast_text as text
from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import child, entries, find_root, visible
from sercache.datasets._labels import canonical, four_class
from sercache.datasets._records import CorpusInfo, Rating, Skipped, Utterance
from sercache.datasets._text import WESTERN, read_text
from sercache.errors import CorpusError

_CLASSES = {
    "A": "anger",
    "C": "contempt",
    "D": "disgust",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "O": "other",
    "S": "sadness",
    "U": "surprise",
}
_EIGHT = {code: name for code, name in _CLASSES.items() if code != "O"}
_ROWS = {73042: "1.8", 104267: "1.10", 151654: "1.11", 207136: "1.12", 264705: "2.0"}
"""Number of labelled turns by release."""
_PARTS = {
    "train": "train", "validation": "dev", "development": "dev", "test1": "test", "test2": "test2", "test3": "test3",
}  # fmt: skip

_PLACES = (("Audios",), ("Audio",), ("Audios", "Audio"), ("Audios", "Audios"), ("Audio", "Audio"))
"""Folders of the recordings, in releases and in archives that were unpacked into folders of their name."""

INFO = CorpusInfo(
    title="MSP-Podcast",
    language="en",
    n_speakers=None,
    hours=None,
    licence="academic licence of UT Dallas, no redistribution",
    licence_id="LicenseRef-MSP-Podcast",
    restricted=True,
    access="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    tree=(
        "<root>/Labels/labels_consensus.csv (1.8: labels_concensus.csv) or labels.txt with Partitions.txt\n"
        "<root>/Audios/MSP-PODCAST_0001_0008.wav ...\n"
        "<root>/Transcripts/MSP-PODCAST_0001_0008.txt (from about 1.10 on)"
    ),
    tasks={"8class": _EIGHT, "9class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="8class",
    default_protocol="fixed:official",
    official="Train, Development (1.8: Validation), Test1; fixed:test2 tests on Test2",
    notes=(
        "Labels change from release to release: the release is part of the corpus' identity.",
        "fixed:official tests on Test1, fixed:test2 on Test2; some of their speakers are the same.",
        "Test3 has no labels. X (no agreement) belongs to no task.",
        "Transcripts are many small files: msp_podcast.transcripts(corpus) reads them when asked.",
        "msp_podcast.ratings(root) reads the single raters.",
    ),
    attribute_range=(1.0, 7.0),
)


def read(root: Path) -> Corpus:
    """The labelled turns of the release at ``root``.

    Raises CorpusError where labels or all recordings are missing, or where the release cannot be told.
    """
    folder = find_root(root, "msp-podcast", "Labels/labels_consensus.csv or Labels/labels.txt", _has_labels)
    labels = _label_file(folder)
    assert labels is not None
    skipped: list[Skipped] = []
    rows = text.read_rows(labels, _lists(folder), skipped)
    recordings = _recordings(folder)
    utterances = []
    for row in rows:
        if row.id in recordings:
            utterances.append(_utterance(row, recordings[row.id]))
        else:
            skipped.append(
                Skipped(row.id, f"no recording {row.id}.wav in {' or '.join(map('/'.join, _PLACES))}")
            )
    release, warnings = _release(folder, len(rows))
    return assemble("msp-podcast", folder, INFO, utterances, skipped, release=release, warnings=warnings)


def transcripts(corpus: Corpus) -> dict[str, str]:
    """Human transcripts by id, read from ``Transcripts/``; empty where the release has none."""
    folder = child(corpus.root, "Transcripts")
    found = {}
    for utterance in corpus.utterances if folder else ():
        path = folder / f"{utterance.id}.txt" if folder else None
        if path is not None and path.is_file():
            found[utterance.id] = read_text(path, WESTERN).strip()
    return found


def ratings(root: Path) -> dict[str, tuple[Rating, ...]]:
    """Single raters by id, from ``labels_detailed.json``. Raises CorpusError where there is no such file."""
    folder = find_root(root, "msp-podcast", "Labels/labels_detailed.json", _has_labels)
    path = child(folder, "Labels", "labels_detailed.json") or child(folder, "label", "labels_detailed.json")
    if path is None:
        raise CorpusError(f"msp-podcast: {folder} has no Labels/labels_detailed.json")
    try:
        record = json.loads(read_text(path, WESTERN))
        return {
            name.removesuffix(".wav"): tuple(_rating(worker, said) for worker, said in workers.items())
            for name, workers in record.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"msp-podcast: cannot read {path}: {error}") from None


def _rating(worker: str, said: Mapping[str, str]) -> Rating:
    # Free text follows "Other-".
    label = said["EmoClass_Major"].partition("-")[0]
    names = {"arousal": "EmoAct", "valence": "EmoVal", "dominance": "EmoDom"}
    values = {name: float(said[column]) for name, column in names.items()}
    return Rating(worker, (canonical(label) or label.lower(),), values)


def _label_file(folder: Path) -> Path | None:
    """The consensus labels of a release: the table, or the text of later releases."""
    names = ("labels_consensus.csv", "labels_concensus.csv", "labels.txt")
    places = (p for name in names for place in ("Labels", "label") if (p := child(folder, place, name)))
    return next(places, None)


def _has_labels(folder: Path) -> bool:
    return _label_file(folder) is not None


def _lists(folder: Path) -> list[Path]:
    """Partition and speaker lists beside the labels, needed where the labels are a text."""
    wanted = ("partition.txt", "partitions.txt", "speaker_ids.txt")
    return [p for p in entries(folder) if p.name.lower() in wanted]


def _recordings(folder: Path) -> dict[str, Path]:
    """Recordings by id."""
    return {path.stem: path for path in _wavs(folder)}


def _wavs(folder: Path) -> Iterator[Path]:
    for place in _PLACES:
        here = child(folder, *place)
        if here is not None:
            # One flat folder of some hundred thousand files: no sorting, no stat.
            yield from (p for p in visible(here) if p.suffix.lower() == ".wav")


def _release(folder: Path, n_rows: int) -> tuple[str, list[str]]:
    """Release by the number of rows, else by the folder's name, with a warning."""
    if n_rows in _ROWS:
        return _ROWS[n_rows], []
    named = re.search(r"(?<!\d)(1\.\d+|2\.\d)(?!\d)", folder.name)
    known = ", ".join(f"{release} {n}" for n, release in _ROWS.items())
    if named is None:
        raise CorpusError(
            f"msp-podcast: cannot tell the release of {folder}: {n_rows} label rows, known are {known}; "
            "name the folder by its release, as in MSP-PODCAST-Publish-1.11"
        )
    return named[1], [f"{n_rows} label rows are not those of a known release ({known}); taken as {named[1]}"]


def _utterance(row: text.Consensus, path: Path) -> Utterance:
    names = ("arousal", "valence", "dominance")
    values = dict(zip(names, row.scores, strict=True)) if row.scores else {}
    return Utterance(
        id=row.id,
        path=path,
        raw_label=row.label,
        speaker="" if row.speaker == "Unknown" else row.speaker,
        partition=_PARTS.get(row.part.lower().replace(" ", ""), ""),
        language="en",
        sex={"male": "M", "female": "F"}.get(row.sex.lower(), ""),
        attributes={name: v for name, v in values.items() if not math.isnan(v)} or None,
    )


example = _tables.msp_podcast

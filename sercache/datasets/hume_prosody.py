"""Hume-Prosody as in ComParE 2023, Emotion Share (Schuller et al., ACM MM 2023): nine shares per clip."""

from __future__ import annotations

import hashlib
from math import isfinite
from pathlib import Path

from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import child, find_root, shown, walk
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Utterance
from sercache.datasets._text import read_table

EMOTIONS = (
    "Anger",
    "Boredom",
    "Calmness",
    "Concentration",
    "Determination",
    "Excitement",
    "Interest",
    "Sadness",
    "Tiredness",
)
"""In the order of the columns."""
_TABLES = {"train": "train.csv", "dev": "devel.csv", "test": "test.csv"}

INFO = CorpusInfo(
    title="Hume-Prosody, ComParE 2023 Emotion Share",
    language="en",
    n_speakers=None,
    hours=None,
    licence="end-user agreement of the challenge; research only, no redistribution",
    licence_id="LicenseRef-Hume-Prosody",
    restricted=True,
    access="http://www.compare.openaudio.eu",
    tree="<root>/[data/]lab/{train,devel,test}.csv\n<root>/[data/]wav/00001.wav ... (or raw/wav)",
    tasks={
        "9class": {name: name.lower() for name in EMOTIONS},
        "4class": {"Anger": "anger", "Excitement": "happiness", "Sadness": "sadness"},
    },
    default_task="9class",
    default_protocol="group-kfold:5",
    official="train, devel, test; the labels of test are held back by the organisers",
    notes=(
        "soft_label holds the nine shares as published (the greatest is 1, they do not sum to 1).",
        "The task 9class takes the emotion with the greatest share, the first of equals; 4class counts "
        "excitement as happiness and has no neutral.",
        "Clips that imitate one seed have equal shares: group is a key of them, never split randomly.",
        "Labels of the test part are held back by the organisers (fixed:official needs them). "
        "Speakers are not published.",
    ),
    published=(
        PublishedList(rows=51813, counts={"partition": {"train": 31745, "dev": 9925, "test": 10143}}),
    ),
    shares="nine shares as published: the greatest is 1, they do not sum to 1",
)


def read(root: Path) -> Corpus:
    """The clips of the three tables. Raises CorpusError where the tables or all clips are missing."""
    folder = find_root(
        root,
        "hume-prosody",
        "the tables lab/train.csv, lab/devel.csv",
        lambda p: child(p, "lab", "devel.csv") is not None,
    )
    clips = {path.stem: path for path in walk(folder)}
    utterances: dict[str, Utterance] = {}
    skipped: list[Skipped] = []
    for part, name in _TABLES.items():
        table = child(folder, "lab", name)
        if table is None:
            skipped.append(Skipped(f"lab/{name}", "no such table"))
            continue
        for number, row in read_table(table, columns=("filename", *EMOTIONS))[1]:
            made = _utterance(row, part, clips)
            if isinstance(made, str) or made.id in utterances:
                why = made if isinstance(made, str) else f"{made.id} occurs twice"
                skipped.append(Skipped(f"{shown(table, folder)}: line {number}", why))
            else:
                utterances[made.id] = made
    return assemble("hume-prosody", folder, INFO, utterances.values(), skipped, release="compare-2023")


def _utterance(row: dict[str, str], part: str, clips: dict[str, Path]) -> Utterance | str:
    """The utterance of a row, or why there is none. Shares written ``?`` are not known."""
    name = Path(row.get("filename", "")).stem
    cells = [row.get(emotion, "") for emotion in EMOTIONS]
    if not name or not all(cells):
        return f"expected filename and {len(EMOTIONS)} shares"
    if name not in clips:
        return f"no clip {name}.wav"
    shares: dict[str, float] | None = None
    if cells != ["?"] * len(cells):
        try:
            shares = {e.lower(): float(cell) for e, cell in zip(EMOTIONS, cells, strict=True)}
        except ValueError:
            shares = {"": float("nan")}
        if not all(isfinite(value) for value in shares.values()):
            return f"{name}: shares must be numbers"
    return Utterance(
        id=name,
        path=clips[name],
        raw_label=max(EMOTIONS, key=lambda e: shares[e.lower()]) if shares else "",
        speaker="",
        group=hashlib.sha256(",".join(cells).encode()).hexdigest()[:12] if shares else "",
        partition=part,
        language="en",
        soft_label=shares,
    )


example = _tables.hume_prosody

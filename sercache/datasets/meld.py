"""MELD (Poria et al., ACL 2019): dialogues of the series Friends."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._check import assemble
from sercache.datasets._files import find_root, walk
from sercache.datasets._labels import four_class
from sercache.datasets._records import Corpus, CorpusInfo, Published, Skipped, Utterance
from sercache.datasets._text import WESTERN, read_table

_CLASSES = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
_COUNTS = {
    "anger": 1607, "disgust": 361, "fear": 358, "joy": 2308, "neutral": 6436, "sadness": 1002, "surprise": 1636,
}  # fmt: skip
_PARTS = {"train": 9989, "dev": 1109, "test": 2610}
_FOLDERS = {"train_splits": "train", "dev_splits_complete": "dev", "output_repeated_splits_test": "test"}
_CLIP = re.compile(r"dia(\d+)_utt(\d+)")
_SUFFIXES = (".wav", ".flac", ".mp4")
"""In order of preference."""

INFO = CorpusInfo(
    title="Multimodal EmotionLines Dataset (MELD)",
    language="en",
    n_speakers=None,
    hours=12.1,
    licence="labels GPL-3; the sound belongs to the owners of the series, no redistribution",
    access="https://github.com/declare-lab/MELD",
    tree=(
        "<root>/train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv\n"
        "<root>/**/train_splits/dia0_utt0.wav, dev_splits_complete/, output_repeated_splits_test/"
    ),
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    default_protocol="fixed:official",
    official="train, dev, test; main characters talk in all",
    expected_counts=_COUNTS,
    notes=(
        "The clips are mp4 films: take out the sound first, "
        'for f in *.mp4; do ffmpeg -i "$f" -ac 1 -ar 16000 "${f%.mp4}.wav"; done',
        "Ids carry the part, since dialogue numbers repeat: train_dia0_utt0.",
        "train_dia125_utt3 is corrupt, dev_dia110_utt7 is missing; two test clips last minutes.",
        "Main characters talk in all parts: fixed:official is not speaker-independent.",
        "Hours are estimated.",
    ),
    published=(
        Published(
            rows=13708,
            task="7class",
            counts={"raw_label": _COUNTS, "partition": _PARTS},
            sha256_ids="317c1178e35f8549eafd3d9776c97ac66badae418d3b229633a571ccca00e468",
            sha256_labels="44b15ff7217329ed66f9e76d530c47dd9ca9b1bc8b6460eb75b7141cad6fcde6",
            spelling={"happiness": "joy"},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The utterances of the three tables whose clips are below ``root``.

    Raises CorpusError where the tables or all clips are missing.
    """
    folder = find_root(root, "meld", "train_sent_emo.csv", lambda p: (p / "train_sent_emo.csv").is_file())
    clips = _clips(root)
    utterances: list[Utterance] = []
    skipped: list[Skipped] = []
    for part in _PARTS:
        table = folder / f"{part}_sent_emo.csv"
        if not table.is_file():
            skipped.append(Skipped(table.name, "no such table"))
            continue
        for number, row in read_table(table, WESTERN, ("Utterance", "Emotion"))[1]:
            made = _utterance(row, part, clips)
            if isinstance(made, Utterance):
                utterances.append(made)
            else:
                skipped.append(Skipped(f"{table.name}: line {number}", made))
    films = sum(u.path.suffix.lower() == ".mp4" for u in utterances)
    warnings = [f"{films} clips are mp4 films, which cannot be read; {INFO.notes[0]}"] if films else []
    return assemble("meld", root, INFO, utterances, skipped, release="1.0", warnings=warnings)


def _clips(root: Path) -> dict[str, Path]:
    """Clips by id; of several forms of one clip the sound file."""
    found: dict[str, Path] = {}
    paths = walk(root, frozenset(_SUFFIXES))
    for path in sorted(paths, key=lambda p: _SUFFIXES.index(p.suffix.lower())):
        part = next((_FOLDERS[f.name] for f in path.parents if f.name in _FOLDERS), "")
        if part and _CLIP.fullmatch(path.stem):
            found.setdefault(f"{part}_{path.stem}", path)
    return found


def _utterance(row: dict[str, str], part: str, clips: dict[str, Path]) -> Utterance | str:
    """The utterance of a row, or why there is none."""
    dialogue, number = row.get("Dialogue_ID", ""), row.get("Utterance_ID", "")
    name = f"{part}_dia{dialogue}_utt{number}"
    label = row.get("Emotion", "")
    if label not in _CLASSES or _CLIP.fullmatch(f"dia{dialogue}_utt{number}") is None:
        return f"{name}: no dialogue, number or known emotion"
    if name not in clips:
        return f"{name}: no clip"
    return Utterance(
        id=name,
        path=clips[name],
        raw_label=label,
        speaker=row.get("Speaker", ""),
        group=f"{part}_dia{dialogue}",
        partition=part,
        transcript=row.get("Utterance") or None,
        language="en",
    )

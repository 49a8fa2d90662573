"""MELD (Poria et al., ACL 2019): dialogues of the series Friends."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import check_folder, not_found, shown, walk
from sercache.datasets._labels import four_class
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Utterance
from sercache.datasets._text import WESTERN, read_table
from sercache.errors import CorpusError
from sercache.units import listed

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
_FOLDER = re.compile(r"(?:.*[_\W])?(?P<part>train|dev|test)(?:[_\W].*)?", re.IGNORECASE)
"""Folders of clips, by any word of their name: ``train_splits``, ``dev_splits_complete_wav``,
``output_repeated_splits_test``, ``train``."""
_CLIP = re.compile(r"dia(\d+)_utt(\d+)")
_SUFFIXES = (".wav", ".flac", ".mp4")
"""In order of preference."""

INFO = CorpusInfo(
    title="Multimodal EmotionLines Dataset (MELD)",
    language="en",
    n_speakers=None,
    hours=12.1,
    licence="labels GPL-3; the sound belongs to the owners of the series, no redistribution",
    licence_id="LicenseRef-MELD",
    restricted=True,
    access="https://github.com/declare-lab/MELD",
    tree=(
        "<root>/train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv\n"
        "<root>/**/train_splits/dia0_utt0.wav, dev_splits_complete/, output_repeated_splits_test/\n"
        "(or any folders with train, dev and test in their names)"
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
        PublishedList(
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
    check_folder(root, "meld")
    tables = _part_tables(root)
    if not tables:
        raise CorpusError(f"meld: {not_found(root, 'the tables train_sent_emo.csv, dev_…, test_…')}")
    clips, places = _clips(root)
    utterances: list[Utterance] = []
    skipped: list[Skipped] = []
    for part in _PARTS:
        if part not in tables:
            skipped.append(Skipped(f"{part}_sent_emo.csv", "no such table"))
            continue
        looked = places.get(part) or f"folders called {part} or {part}_splits: there is none"
        for number, row in read_table(tables[part], WESTERN, ("Utterance", "Emotion"))[1]:
            made = _utterance(row, part, clips, looked)
            if isinstance(made, Utterance):
                utterances.append(made)
            else:
                skipped.append(Skipped(f"{tables[part].name}: line {number}", made))
    films = sum(u.path.suffix.lower() == ".mp4" for u in utterances)
    warnings = [f"{films} clips are mp4 films, which cannot be read; {INFO.notes[0]}"] if films else []
    return assemble("meld", root, INFO, utterances, skipped, release="1.0", warnings=warnings)


def _part_tables(root: Path) -> dict[str, Path]:
    """The table of each part, wherever below ``root`` an archive left it; of several the one nearest the root."""
    found: dict[str, Path] = {}
    for path in sorted(walk(root, frozenset({".csv"})), key=lambda p: (len(p.parts), p)):
        part = path.stem.lower().removesuffix("_sent_emo")
        if part in _PARTS and path.stem.lower() != part:
            found.setdefault(part, path)
    return found


def _clips(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Clips by id, of several forms of one the sound file; and by part the folders that hold some, for people."""
    found: dict[str, Path] = {}
    folders: dict[str, dict[str, None]] = {}
    paths = walk(root, frozenset(_SUFFIXES))
    for path in sorted(paths, key=lambda p: _SUFFIXES.index(p.suffix.lower())):
        part = _part(path.parent, root)
        if part and _CLIP.fullmatch(path.stem):
            found.setdefault(f"{part}_{path.stem}", path)
            folders.setdefault(part, {})[shown(path.parent, root)] = None
    return found, {part: listed(names) for part, names in folders.items()}


def _part(folder: Path, root: Path) -> str:
    """The part that a folder, or the nearest above it below ``root``, is named after; empty for none."""
    for name in reversed(folder.relative_to(root).parts):
        if match := _FOLDER.fullmatch(name):
            return match["part"].lower()
    return ""


def _utterance(row: dict[str, str], part: str, clips: dict[str, Path], looked: str) -> Utterance | str:
    """The utterance of a row, or why there is none."""
    dialogue, number = row.get("Dialogue_ID", ""), row.get("Utterance_ID", "")
    name = f"{part}_dia{dialogue}_utt{number}"
    label = row.get("Emotion", "")
    if label not in _CLASSES or _CLIP.fullmatch(f"dia{dialogue}_utt{number}") is None:
        return f"{name}: no dialogue, number or known emotion"
    if name not in clips:
        suffixes = ", ".join(_SUFFIXES)
        return f"{name}: no clip dia{dialogue}_utt{number} ({suffixes}) in {looked}"
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


example = _tables.meld

"""The label and transcript files of IEMOCAP, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from sercache.datasets._labels import canonical
from sercache.datasets._records import Rating
from sercache.datasets._text import WESTERN, read_lines

CODES = frozenset(("ang", "dis", "exc", "fea", "fru", "hap", "neu", "oth", "sad", "sur", "xxx"))
_ID = re.compile(r"Ses0([1-5])[MF]_(?:impro|script)\d\d[a-z]?(?:_\d[a-z]?)?_[MF]\d{3}")
_TURN = re.compile(
    r"\[\s*[\d.]+\s*-\s*[\d.]+\s*\]\s+(?P<id>\S+)\s+(?P<label>\S+)\s+\[(?P<attributes>[^\]]*)\]\s*"
)
_CATEGORY = re.compile(r"(?P<rater>C-[EFM]\w*):\s*(?P<labels>[^(]*)(?:\(.*)?")
_ATTRIBUTE = re.compile(r"(?P<rater>A-[EFM]\w*):\s*(?P<values>[^(]*)(?:\(.*)?")
_VALUE = re.compile(r"(val|act|dom)\s+(\d+(?:\.\d+)?)\s*;")
_TRANSCRIPT = re.compile(r"(?P<id>Ses0\w+)\s*\[[^\]]*\]\s*:\s*(?P<text>.*)")
_DIMENSIONS = {"val": "valence", "act": "arousal", "dom": "dominance"}


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """One block of a label file: the majority label and what the raters said."""

    id: str
    label: str
    attributes: Mapping[str, float] | None
    """Mean of the external raters, 1 to 5."""
    ratings: tuple[Rating, ...] = field(default=())

    def shares(self) -> dict[str, float] | None:
        """Share of the external raters per category; a rater of several categories is divided equally."""
        said = [r.labels for r in self.ratings if r.rater.startswith("C-E") and r.labels]
        shares: dict[str, float] = {}
        for labels in said:
            for label in labels:
                shares[label] = shares.get(label, 0.0) + 1 / (len(labels) * len(said))
        return shares or None


def read_turns(path: Path, session: str) -> tuple[dict[str, LabelBlock], list[tuple[str, str]]]:
    """Turns of a label file by id, and (line, reason) of what cannot be used.

    A turn that occurs twice with different labels is left out: neither label can be trusted.
    """
    turns: dict[str, LabelBlock] = {}
    left_out: list[tuple[str, str]] = []
    conflicts: set[str] = set()
    for number, block in _blocks(read_lines(path, WESTERN)):
        turn = _parse(block, path.stem, session)
        if isinstance(turn, str):
            left_out.append((f"line {number}", turn))
        elif turn.id in turns and turns[turn.id].label != turn.label:
            left_out.append((f"line {number}", f"{turn.id} is labelled twice, differently; left out"))
            conflicts.add(turn.id)
        else:
            turns.setdefault(turn.id, turn)
    return {i: turn for i, turn in turns.items() if i not in conflicts}, left_out


def read_transcripts(path: Path) -> dict[str, str]:
    """Transcripts by id. Turns without audio (``..._MXX0``) and free lines are no utterances."""
    matches = (_TRANSCRIPT.match(line.strip()) for line in read_lines(path, WESTERN))
    return {m["id"]: m["text"].strip() for m in matches if m and _ID.fullmatch(m["id"])}


def has_words(path: Path) -> bool:
    """Whether a ``.wdseg`` file lists a word: a line whose last field is not silence or a boundary mark."""
    for line in read_lines(path, WESTERN):
        fields = line.split()
        # Numbers first: the heading and the closing total have none.
        if len(fields) >= 4 and fields[0].isdigit() and not re.fullmatch(r"<.*>|\+\+.*\+\+", fields[-1]):
            return True
    return False


def _blocks(lines: list[str]) -> list[tuple[int, list[str]]]:
    """(number of its first line, lines) of each block, which a line with a time in brackets begins."""
    blocks: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("["):
            blocks.append((number, [line.strip()]))
        elif blocks and line.strip():
            blocks[-1][1].append(line.strip())
    return blocks


def _parse(block: list[str], dialogue: str, session: str) -> LabelBlock | str:
    """The turn of a block, or why there is none."""
    match = _TURN.fullmatch(block[0])
    if match is None:
        return "not a turn: expected [start - end] name label [v, a, d]"
    name, label = match["id"], match["label"]
    parts = _ID.fullmatch(name)
    if parts is None or parts[1] != session or name.rpartition("_")[0] != dialogue:
        return f"{name} is not a turn of {dialogue}"
    if label not in CODES:
        return f"{name} has the label {label}, which the corpus does not use"
    ratings = [rating for line in block[1:] if (rating := _rating(line)) is not None]
    return LabelBlock(name, label, _consensus(match["attributes"]), tuple(ratings))


def _consensus(text: str) -> dict[str, float] | None:
    """Valence, arousal, dominance in the order of the file; None where they cannot be read."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    if len(values) != 3 or not all(isfinite(v) for v in values):
        return None
    return dict(zip(("valence", "arousal", "dominance"), values, strict=True))


def _rating(line: str) -> Rating | None:
    """One rater's line; None for anything else."""
    if match := _CATEGORY.fullmatch(line):
        words = [word.strip() for word in match["labels"].split(";")]
        return Rating(match["rater"], tuple(canonical(word) or word.lower() for word in words if word))
    if match := _ATTRIBUTE.fullmatch(line):
        values = {_DIMENSIONS[key]: float(value) for key, value in _VALUE.findall(match["values"])}
        return Rating(match["rater"], attributes=values or None)
    return None

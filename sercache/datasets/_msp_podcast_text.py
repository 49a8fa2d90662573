"""The label tables and texts of MSP-Podcast."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from sercache.datasets._records import Skipped
from sercache.datasets._text import WESTERN, read_lines, read_table
from sercache.errors import CorpusError

_CODES = frozenset("ASHUFDCNOX")
_ID = re.compile(r"MSP-PODCAST_\w+")
_NUMBER = r"\s*(NaN|\d+(?:\.\d+)?)\s*"
_TURN = re.compile(
    rf"(?P<file>MSP-PODCAST_\w+)\.(?i:wav)\s*;\s*(?P<label>\w)\s*;\s*A:{_NUMBER};\s*V:{_NUMBER};\s*D:{_NUMBER};?"
)
_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom")


@dataclass(frozen=True, slots=True)
class Consensus:
    """Consensus of one turn."""

    id: str
    label: str
    scores: tuple[float, float, float] | None
    """Activation, valence, dominance, 1 to 7."""
    speaker: str = ""
    sex: str = ""
    part: str = ""


def read_rows(labels: Path, lists: list[Path], skipped: list[Skipped]) -> list[Consensus]:
    """Rows of the labels at ``labels``; ``lists`` complete a text, which lacks partition and speaker.

    What cannot be used is added to ``skipped``.
    """
    rows = _table(labels, skipped) if labels.suffix.lower() == ".csv" else _text(labels, skipped)
    unique: dict[str, Consensus] = {}
    for row in rows:
        if row.id in unique:
            skipped.append(Skipped(row.id, f"stands twice in {labels.name}; the first line counts"))
        unique.setdefault(row.id, row)
    if labels.suffix.lower() == ".csv":
        return list(unique.values())
    parts, speakers = _pairs(lists, "partition"), _pairs(lists, "speaker")
    return [
        dataclasses.replace(row, part=parts.get(row.id, ""), speaker=speakers.get(row.id, ""))
        for row in unique.values()
    ]


def _table(path: Path, skipped: list[Skipped]) -> list[Consensus]:
    header, table = read_table(path, WESTERN, _COLUMNS)
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise CorpusError(f"msp-podcast: {path} has no column {missing[0]}")
    rows = []
    for number, cells in table:
        name = _stem(cells["FileName"])
        if not _ID.fullmatch(name) or cells["EmoClass"] not in _CODES:
            skipped.append(Skipped(f"{path.name}: line {number}", "no file name or no known label"))
            continue
        extra = (cells.get("SpkrID", ""), cells.get("Gender", ""), cells.get("Split_Set", ""))
        rows.append(Consensus(name, cells["EmoClass"], _scores([cells[c] for c in _COLUMNS[2:]]), *extra))
    return rows


def _stem(name: str) -> str:
    """A file name without its suffix, in whatever case that is."""
    return re.sub(r"\.wav$", "", name, flags=re.IGNORECASE)


def _text(path: Path, skipped: list[Skipped]) -> list[Consensus]:
    """Turns of a label text; the lines of single raters follow each turn and are passed over."""
    rows = []
    for number, line in enumerate(read_lines(path, WESTERN), start=1):
        match = _TURN.fullmatch(line.strip())
        if match and match["label"] in _CODES:
            rows.append(Consensus(match["file"], match["label"], _scores(match.groups()[2:])))
        elif line.startswith("MSP-PODCAST_"):
            skipped.append(Skipped(f"{path.name}: line {number}", "not a label line"))
    return rows


def _scores(cells: tuple[str, ...] | list[str]) -> tuple[float, float, float] | None:
    try:
        activation, valence, dominance = (float(cell) for cell in cells)
    except ValueError:
        return None
    return activation, valence, dominance


def _pairs(lists: list[Path], kind: str) -> dict[str, str]:
    """Value by id from ``Partitions.txt`` (``Test1; file``) or ``Speaker_ids.txt`` (``file; speaker``)."""
    found: dict[str, str] = {}
    for path in lists:
        if not path.name.lower().startswith(kind):
            continue
        for line in read_lines(path, WESTERN):
            fields = [part.strip() for part in line.split(";") if part.strip()]
            files = [f for f in fields if f.startswith("MSP-PODCAST_")]
            others = [f for f in fields if f not in files]
            if len(files) == len(others) == 1:
                found[_stem(files[0])] = others[0]
    return found

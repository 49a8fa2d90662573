"""Folds that a folder lists: ``fold_1`` and so on with a JSON line for each utterance, as EmoBox publishes its own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sercache import text
from sercache.datasets import Corpus, Utterance
from sercache.errors import ProtocolError, TextError
from sercache.protocols._fold import Listed
from sercache.text import natural
from sercache.units import listed

LONGEST = 30.0
"""Seconds: what is longer has no features in EmoBox and so lies in no part."""
_PARTS = {"train": "train", "valid": "dev", "test": "test"}
_FOLDERS = 4
"""So many above a recording may tell it from another of its name."""
_SOUND = re.compile(r"\.(wav|flac|mp3|m4a|webm|avi|mp4|ogg)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Line:
    """A recording as a list has it."""

    key: str
    """Its name there, folded."""
    path: tuple[str, ...]
    """Folders and name without a suffix, folded."""
    seconds: float
    speaker: str
    """Folded; empty where the list names none."""


def read_folds(folder: Path, corpus: Corpus, utterances: Mapping[str, Utterance]) -> dict[str, Listed]:
    """Parts of ``utterances``, those of the task, in every fold, by the number of the fold.

    Recordings are found by their key, else by as many folders as tell their name from others of the lists; those that
    the corpus lacks are passed over, for a list may be longer than a copy, and utterances that no list names lie in
    no part. Raises ProtocolError where there are no lists, a line cannot be read, or no recording is found.
    """
    folds = {each.name.partition("_")[2]: _parts(each) for each in sorted(folder.glob("fold_*"))}
    folds = {name: parts for name, parts in folds.items() if parts}
    if not folds:
        raise ProtocolError(
            f"{folder} has no lists fold_1/<name>_train_fold_1.jsonl; name the folder of one corpus, as data/emodb in "
            "a copy of EmoBox: git clone https://github.com/emo-box/EmoBox"
        )
    lines = {line.key: line for parts in folds.values() for some in parts.values() for line in some}
    found = _ids(lines.values(), utterances)
    if not found:
        raise ProtocolError(
            f"{folder} names no utterance of {corpus.name}; an id is like {next(iter(utterances))}, a name there like "
            f"{next(iter(lines))}"
        )
    # Found among all utterances a line may be ambiguous that is not among the task's: it is there all the same.
    there = found.keys() | _ids(lines.values(), corpus.by_id())
    made = {}
    for name in sorted(folds, key=natural):
        parts = folds[name]
        lacking = [part for part in ("train", "test") if part not in parts]
        if lacking:
            raise ProtocolError(
                f"{folder} has no list of fold {name} for {listed(lacking)}; its copy is not whole"
            )
        short = {
            part: [line for line in parts.get(theirs, ()) if line.seconds <= LONGEST]
            for theirs, part in _PARTS.items()
        }
        made[name] = Listed(
            {part: [found[line.key] for line in some if line.key in found] for part, some in short.items()},
            {part: ["/".join(line.path) for line in some] for part, some in short.items()},
            tuple("/".join(line.path) for some in short.values() for line in some if line.key not in there),
        )
    return made


def read_names(path: Path, utterances: Mapping[str, Utterance]) -> list[str]:
    """Ids of the utterances that one list names, found as in ``read_folds``. Raises ProtocolError."""
    lines = _lines(path)
    found = _ids(lines, utterances)
    return [found[line.key] for line in lines if line.key in found]


def _parts(fold: Path) -> dict[str, list[_Line]]:
    """The lines of a fold by the part that the name of their file says."""
    found: dict[str, list[_Line]] = {}
    for path in sorted(fold.glob("*.jsonl")):
        match = re.search(rf"_({'|'.join(_PARTS)})_fold_\w+$", path.stem)
        if match:
            found[match[1]] = _lines(path)
    return found


def _lines(path: Path) -> list[_Line]:
    try:
        rows = text.split(text.read(path).removeprefix("\ufeff"))
    except TextError as fault:
        raise ProtocolError(f"cannot read the list {path}: {fault}") from None
    return [_line(row, f"{path} line {number}") for number, row in enumerate(rows, start=1) if row.strip()]


def _line(row: str, where: str) -> _Line:
    try:
        told: Any = json.loads(row)
        wav = told.get("wav") or told["wav_filename"]
        key = str(told.get("key") or wav).removeprefix(f"{told.get('dataset', '')}-")
        speaker = _folded(str(told.get("speaker") or ""))
        return _Line(_folded(key), _path(PurePosixPath(wav)), float(told.get("length") or 0), speaker)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProtocolError(f"{where}: expected an object with key and wav, got {row[:60]!r}") from None


def _ids(lines: Iterable[_Line], utterances: Mapping[str, Utterance]) -> dict[str, str]:
    """Our id of every line that is one utterance of ours and no other, by its key.

    Of several that a path may mean, the one of the line's speaker, where it names one.
    """
    lines = list(lines)
    by_id = _named((_folded(i), i) for i in utterances)
    by_path = _named(
        ("/".join(end), i) for i, each in utterances.items() for end in _ends(_path(PurePosixPath(each.path)))
    )
    listed_ends = Counter("/".join(end) for line in lines for end in _ends(line.path))
    found: dict[str, str] = {}
    for line in lines:
        # What the lists have twice tells nothing: in part of a corpus a name may be there that stands for another.
        ends = [end for each in reversed(_ends(line.path)) if listed_ends[end := "/".join(each)] == 1]
        meant = by_id.get(line.key) or next((by_path[end] for end in ends if end in by_path), set())
        if len(meant) > 1:
            meant = {i for i in meant if line.speaker and _folded(utterances[i].speaker) == line.speaker}
        if len(meant) == 1:
            [found[line.key]] = meant
    several = Counter(found.values())
    return {key: i for key, i in found.items() if several[i] == 1}


def _named(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Ids by a name that they have."""
    named: dict[str, set[str]] = {}
    for name, i in pairs:
        named.setdefault(name, set()).add(i)
    return named


def _ends(path: Sequence[str]) -> list[tuple[str, ...]]:
    """The name of a recording, then with one folder more each time."""
    return [tuple(path[-n:]) for n in range(1, min(len(path), _FOLDERS + 1) + 1)]


def _path(path: PurePosixPath) -> tuple[str, ...]:
    return tuple(_folded(part) for part in path.parts if part != "/")


def _folded(name: str) -> str:
    """Letters and digits alone, in one case: lists write a name with spaces, brackets and hyphens of their own."""
    return re.sub(r"[\W_]+", "", _SOUND.sub("", text.composed(name)).casefold())

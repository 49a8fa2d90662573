"""Splits and orders of utterances that a user has as a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from sercache import text
from sercache.datasets import Corpus, Utterance
from sercache.errors import ProtocolError, TextError
from sercache.protocols._fold import Listed

_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SUFFIXES = (".tsv", ".csv", ".txt")


def is_list(name: str) -> bool:
    """Whether the argument of ``fixed:`` is a file and not the name of a split."""
    return Path(name).suffix.lower() in _SUFFIXES


def read_split(path: Path, corpus: Corpus, utterances: Mapping[str, Utterance]) -> Listed:
    """Parts of ``utterances``, those of the task, by the lines of a file: a name, a tab or comma, a part.

    A name is an utterance's id, else a group, else a speaker; names that the corpus lacks are passed over,
    for a list may be longer than a copy, and utterances that no line places are left out. Raises
    ProtocolError for a file or line that cannot be read, an utterance in two parts, or no known name.
    """
    members = _by_name(utterances)
    place: dict[str, str] = {}
    named: dict[str, list[str]] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, part = line.replace(",", "\t").rpartition("\t")
        if not name.strip() or part.strip().lower() not in _PARTS:
            raise ProtocolError(
                f"{path} line {number}: expected a name, a tab, and train, dev or test, got {line[:60]!r}"
            )
        named.setdefault(_PARTS[part.strip().lower()], []).append(name.strip())
        for i in members.get(text.composed(name.strip()), ()):
            if place.setdefault(i, _PARTS[part.strip().lower()]) != _PARTS[part.strip().lower()]:
                raise ProtocolError(f"{path} line {number}: {i} is in the part {place[i]} already")
    if not place:
        raise ProtocolError(
            f"{path} names no utterance, session or speaker of {corpus.name}; an id is like {next(iter(utterances))}"
        )
    parts = {part: [i for i in utterances if place.get(i) == part] for part in ("train", "dev", "test")}
    return Listed(parts, named, lacking(named, corpus))


def lacking(named: Mapping[str, Sequence[str]], corpus: Corpus) -> tuple[str, ...]:
    """Names that are no utterance, group or speaker of the corpus."""
    there = _by_name(corpus.by_id())
    return tuple(name for names in named.values() for name in names if text.composed(name) not in there)


def read_order(path: Path) -> list[str]:
    """Ids in the order of a file: one a line, or the recordings of s3prl's JSON; of a folder: all its JSON.

    Of a folder, ``Session1/test_meta_data.json`` and so on count, which together list every utterance once.
    Raises ProtocolError where it cannot be read.
    """
    if path.is_dir():
        files = sorted(path.glob("Session*/test_meta_data.json"))
        if not files:
            raise ProtocolError(
                f"{path} has no files Session1/test_meta_data.json; name a file or that folder"
            )
        return [i for file in files for i in read_order(file)]
    if path.suffix.lower() != ".json":
        return [_id(line) for line in _lines(path) if line.strip()]
    try:
        return [_id(entry["path"]) for entry in json.loads("\n".join(_lines(path)))["meta_data"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProtocolError(
            f"{path} is not an s3prl list: expected meta_data with a path for each entry"
        ) from None


def _id(text: str) -> str:
    """The id in a line or path: its last component without the suffix of a recording."""
    return re.sub(r"\.(?:wav|flac)$", "", PurePosixPath(text.strip()).name, flags=re.IGNORECASE)


def _by_name(utterances: Mapping[str, Utterance]) -> dict[str, list[str]]:
    """Ids by every name that a line may hold; an id goes before a group, a group before a speaker."""
    by_group: dict[str, list[str]] = {}
    by_speaker: dict[str, list[str]] = {}
    for i, utterance in utterances.items():
        by_group.setdefault(utterance.group, []).append(i)
        by_speaker.setdefault(utterance.speaker, []).append(i)
    found = by_speaker | by_group | {i: [i] for i in utterances}
    found.pop("", None)
    # A list and a corpus may come from machines that compose letters otherwise.
    return {text.composed(name): ids for name, ids in found.items()}


def _lines(path: Path) -> list[str]:
    try:
        return text.split(text.read(path).removeprefix("\ufeff"))
    except TextError as fault:
        raise ProtocolError(f"cannot read the list {path}: {fault}") from None

"""A corpus as a table of JSON values, without its recordings: what a store carries so that it can be trained from.

The first value says what the corpus is, each further one an utterance; empty fields of an utterance are left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sercache import transcripts
from sercache.datasets import _table_schema as schema
from sercache.datasets._corpus import Corpus
from sercache.datasets._records import CorpusInfo, Rating, Skipped, Subset, Utterance
from sercache.errors import CorpusError, SercacheError

TABLE = 1
"""Version of the table."""
_LEFT_OUT = {"subsets", "published", "licence_id"}
"""Fields of CorpusInfo that are code, or are of use beside the recordings alone."""
_RENAMED = {"raw_label": "label"}
_OWN_WAY = {"id", "path", "transcript", "ratings"}
_DIGITS = 16
_NOWHERE = "recordings-are-not-here"
"""Folder of what has no path: whoever tries to read it anyway says so."""


def to_values(corpus: Corpus, *, texts: bool) -> Iterator[dict[str, Any]]:
    """The corpus, then its utterances, as JSON values; transcripts as digests, unless ``texts``.

    Raises CorpusError for numbers that are not finite.
    """
    subsets, unknown = _members(corpus)
    info = {
        field.name: _plain(getattr(corpus.info, field.name))
        for field in dataclasses.fields(CorpusInfo)
        if field.name not in _LEFT_OUT
    }
    yield {
        "table": TABLE,
        "name": corpus.name,
        "release": corpus.release,
        "reader": corpus.reader,
        "reader_sha256": corpus.reader_sha256,
        "n_utterances": len(corpus.utterances),
        "texts": texts,
        "info": info,
        "subsets": {name: each.description for name, each in corpus.info.subsets.items()},
        "subsets_not_known": unknown,
        "warnings": list(corpus.warnings),
        "skipped": [[each.what, each.reason] for each in corpus.skipped],
    }
    for utterance in corpus.utterances:
        row = _row(utterance, corpus.root, texts=texts)
        if belongs := [name for name, ids in subsets.items() if utterance.id in ids]:
            row["subsets"] = belongs
        yield row


def from_values(values: Iterable[Any], source: Path) -> Corpus:
    """The corpus of a table in the store at ``source``. Raises CorpusError, in one line, where it is none."""
    rows = iter(values)
    found: list[Utterance] = []
    members: dict[str, set[str]] = {}
    with schema.named(f"{source}: the table of its corpus"):
        head = schema.head(next(rows, None), TABLE)
        build = _Building(source / _NOWHERE)
        for number, value in enumerate(
            rows, start=1
        ):  # none is held longer: as JSON they take a kilobyte each
            row = schema.row(value, number)
            found.append(build.utterance(row))
            for name in row.get("subsets", ()):
                members.setdefault(name, set()).add(found[-1].id)
        schema.complete(head, [each.id for each in found], members)
    info = CorpusInfo(
        **{name: _deep(tuple, value) for name, value in head["info"].items()},
        subsets=_subsets(head, members),
    )
    return Corpus(
        head["name"],
        head["release"],
        source,
        info,
        tuple(found),
        tuple(Skipped(what, reason) for what, reason in head["skipped"]),
        tuple(head["warnings"]),
        head["reader"],
        reader_sha256=head["reader_sha256"],
        from_store=source,
    )


def transcript_digests(values: Iterable[Any]) -> dict[str, str]:
    """By id, what tells whether two utterances of a table say the same words; none of one that holds the texts."""
    return {row["id"]: row["transcript_digest"] for row in values if "transcript_digest" in row}


def holds_texts(values: Iterable[Any]) -> bool:
    """Whether transcripts stand in a table as texts."""
    return bool(next(iter(values))["texts"])


def _members(corpus: Corpus) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Ids of each subset, and why those of some cannot be told."""
    found: dict[str, set[str]] = {}
    unknown: dict[str, str] = {}
    for name, subset in corpus.info.subsets.items():
        try:
            found[name] = {u.id for u in corpus.utterances if subset.holds(u)}
        except SercacheError as fault:  # a file beside the recordings is missing
            unknown[name] = str(fault)
    return found, unknown


def _row(utterance: Utterance, root: Path, *, texts: bool) -> dict[str, Any]:
    fields = {
        _RENAMED.get(field.name, field.name): _plain(value)
        for field in dataclasses.fields(Utterance)
        if field.name not in _OWN_WAY and (value := getattr(utterance, field.name)) not in (None, "", ())
    }
    row: dict[str, Any] = {"id": utterance.id, **fields}
    if utterance.path.is_relative_to(root):
        row["file"] = utterance.path.relative_to(root).as_posix()
    if utterance.transcript:
        key, said = ("transcript", utterance.transcript) if texts else _digest(utterance.transcript)
        row |= {key: said} if said else {}
    if utterance.ratings:
        row["ratings"] = [
            {"rater": each.rater, "labels": list(each.labels), "attributes": _plain(each.attributes)}
            for each in utterance.ratings
        ]
    return row


def _digest(transcript: str) -> tuple[str, str]:
    words = transcripts.normalised(transcript)
    return "transcript_digest", hashlib.sha256(words.encode()).hexdigest()[:_DIGITS] if words else ""


class _Building:
    """Utterances of rows; texts and paths that stand in many rows are kept once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fields = {
            _RENAMED.get(each.name, each.name): each.name for each in dataclasses.fields(Utterance)
        }
        self._texts: dict[str, str] = {}
        self._paths: dict[str, Path] = {}

    def utterance(self, row: Mapping[str, Any]) -> Utterance:
        """Of a row that was checked."""
        own = self._fields
        fields = {own[name]: self._once(name, value) for name, value in row.items() if name in own}
        fields["ratings"] = tuple(
            Rating(each["rater"], tuple(each["labels"]), each["attributes"])
            for each in row.get("ratings", ())
        )
        file = PurePosixPath(row.get("file", row["id"])).name
        if file not in self._paths:
            self._paths[file] = self._folder / file
        return Utterance(**{"raw_label": "", "speaker": "", **fields, "path": self._paths[file]})

    def _once(self, name: str, value: Any) -> Any:
        return self._texts.setdefault(value, value) if isinstance(value, str) and name != "id" else value


def _subsets(head: Mapping[str, Any], members: Mapping[str, set[str]]) -> dict[str, Subset]:
    unknown = head["subsets_not_known"]
    return {
        name: Subset(
            text, _refusing(unknown[name]) if name in unknown else partial(_is_in, members.get(name, set()))
        )
        for name, text in head["subsets"].items()
    }


def _is_in(ids: set[str], utterance: Utterance) -> bool:
    return utterance.id in ids


def _refusing(reason: str) -> Callable[[Utterance], bool]:
    def refuse(utterance: Utterance) -> bool:
        raise CorpusError(reason)

    return refuse


def _plain(value: Any) -> Any:
    """Mappings and sequences as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _deep(kind: Callable[[list], Any], value: Any) -> Any:
    """The lists in a value, also inside mappings, as another kind."""
    if isinstance(value, dict):
        return {key: _deep(kind, each) for key, each in value.items()}
    return kind(value) if isinstance(value, list) else value

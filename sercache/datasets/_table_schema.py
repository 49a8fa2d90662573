"""What the table of a corpus in a store may say, checked before any of it is used: it may come from anybody."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sercache.datasets._records import CorpusInfo
from sercache.errors import CorpusError

Check = Callable[[Any], bool]

_LONGEST = 200
_DIGEST = re.compile(r"[0-9a-f]{16,64}")


class _NoTable(ValueError):
    """What is wrong, in words."""


@contextmanager
def named(what: str) -> Iterator[None]:
    """Turn what is wrong into a CorpusError of ``what``, with what to do."""
    try:
        yield
    except _NoTable as fault:
        raise CorpusError(
            f"{what} is not what sercache writes: {fault}; get the store again, or extract into it beside the "
            "recordings, which writes its table anew"
        ) from fault


def head(value: Any, version: int) -> dict[str, Any]:
    """The first value of a table, checked. Raises inside ``named`` alone."""
    if not isinstance(value, dict) or "table" not in value:
        raise _NoTable("its first record says nothing of a corpus")
    if value["table"] != version:
        raise _NoTable(f"its version is {_shown(value['table'])}, this sercache reads {version}")
    _fields("the corpus", value, _HEAD, needed=set(_HEAD))
    _fields("info", value["info"], _INFO, needed={*_INFO})
    info = value["info"]
    if info["attribute_range"] and not info["attribute_range"][0] < info["attribute_range"][1]:
        raise _NoTable(f"its attributes have the scale {_shown(info['attribute_range'])}")
    if not set(value["subsets_not_known"]) <= set(value["subsets"]):
        raise _NoTable("it lacks subsets that it says are not known")
    return value


def row(value: Any, number: int) -> dict[str, Any]:
    """An utterance of a table, checked. Raises inside ``named`` alone."""
    _fields(f"utterance {number}", value, _ROW, needed={"id"})
    start, end = value.get("start"), value.get("end")
    if start is not None and end is not None and not 0 <= start < end:
        raise _NoTable(f"utterance {number} lies from {start} to {end} s")
    found: dict[str, Any] = value
    return found


def complete(head: Mapping[str, Any], ids: Sequence[str], subsets: Iterable[str]) -> None:
    """Raises inside ``named`` alone where utterances are missing or double, or of a subset that there is not."""
    if len(ids) != head["n_utterances"] or not ids:
        raise _NoTable(f"it has {len(ids)} utterances and says {_shown(head['n_utterances'])}")
    if len(set(ids)) < len(ids):
        raise _NoTable("an id occurs twice")
    strange = set(subsets) - set(head["subsets"])
    if strange:
        raise _NoTable(f"it has utterances of {_shown(min(strange))}, which is none of its subsets")


def _fields(what: str, value: Any, known: Mapping[str, Check], needed: set[str]) -> None:
    if not isinstance(value, dict):
        raise _NoTable(f"{what} is {_shown(value)}")
    for name, each in value.items():
        if name not in known:
            raise _NoTable(f"{what} has the field {_shown(name)}, which this version does not know")
        if not known[name](each):
            raise _NoTable(f"{name} of {what} is {_shown(each)}")
    if missing := sorted(needed - set(value)):
        raise _NoTable(f"{what} lacks {missing[0]}")


def _shown(value: Any) -> str:
    return repr(value)[:60]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _word(value: Any) -> bool:
    """A name: of a corpus, task, subset, split or fold. It stands in messages and in names of files."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() and "/" not in value


def _id(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _or(empty: Any, check: Check) -> Check:
    """Also ``empty``, where nothing is known."""
    return lambda value: (value == empty and type(value) is type(empty)) or check(value)


def _list(of: Check, least: int = 0, most: float = math.inf) -> Check:
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(of, value))


def _map(key: Check, of: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(key, value)) and all(map(of, value.values()))


def _rating(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"rater", "labels", "attributes"}
        and _text(value["rater"])
        and _list(_text)(value["labels"])
        and _or(None, _map(_text, _number))(value["attributes"])
    )


_NAMED_PARTS = _map(_word, _map(_word, _list(_text)))
_INFO: dict[str, Check] = {
    "title": _text,
    "language": _text,
    "n_speakers": _or(None, _count),
    "hours": _or(None, _number),
    "licence": _text,
    "access": _text,
    "tree": _text,
    "tasks": _map(_word, _map(_text, _text)),
    "default_task": _word,
    "expected_counts": _map(_text, _count),
    "splits": _NAMED_PARTS,
    "notes": _list(_text),
    "folds": _NAMED_PARTS,
    "setups": _map(_word, _word),
    "default_protocol": _word,
    "attribute_range": _or(None, _list(_number, 2, 2)),
    "shares": _text,
    "official": _text,
    "generated": _flag,
    "own": _flag,
    "restricted": _flag,
}
assert set(_INFO) == {field.name for field in dataclasses.fields(CorpusInfo)} - {
    "subsets",
    "published",
    "licence_id",
}
_HEAD: dict[str, Check] = {
    "table": _count,
    "name": _word,
    "release": _or("", _word),
    "reader": _or("", _word),
    "reader_sha256": _or("", _digest),
    "n_utterances": _count,
    "texts": _flag,
    "info": lambda value: isinstance(value, dict),
    "subsets": _map(_word, _text),
    "subsets_not_known": _map(_word, _text),
    "warnings": _list(_text),
    "skipped": _list(_list(_text, 2, 2)),
}
_ROW: dict[str, Check] = {
    "id": _id,
    "file": _text,
    "start": _number,
    "end": _number,
    "label": _text,
    "speaker": _text,
    "group": _text,
    "partition": _text,
    "language": _text,
    "sex": _text,
    "sentence": _text,
    "transcript": _text,
    "transcript_digest": _digest,
    "soft_label": _map(_text, _number),
    "attributes": _map(_text, _number),
    "ratings": _list(_rating),
    "subsets": _list(_word),
}

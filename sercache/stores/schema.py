"""What the JSON of a store may say, checked before a number in it is used: a crafted record costs nothing.

The checksum of a record finds accidents; these rules find what somebody, or another program, made up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from sercache.stores.spec import DType

if TYPE_CHECKING:
    from sercache.stores.commits import Record

MOST = 2**40
"""Frames, samples, rows and bytes stay below it, so that no product of two of them with a size overflows."""
MOST_NUMBER = 10**8
"""Numbers of commits stay below it: a store of so many commits would be beyond every disk."""
_CRCS = re.compile(r"(?:[0-9a-f]{8})+")
_CRC = re.compile(r"[0-9a-f]{8}")
FOLDERS = ("frames", "pooled_mean", "pooled_std", "shards")
"""Folders of a store in which features lie."""


class SchemaError(ValueError):
    """What is wrong, in words."""


def check_record(fields: Any) -> None:
    """Raise SchemaError unless ``fields`` are those of a commit record that can be believed."""
    _keys(fields, "record", (*_HEAD, *_COLUMNS))
    _check_head(fields)
    for name, is_right in _COLUMNS.items():
        _each(name, fields[name], is_right)
    _check_columns(fields)


def check_head(fields: Any) -> None:
    """Raise SchemaError unless ``fields`` are those of a record that are no columns, and can be believed."""
    _keys(fields, "record", _HEAD)
    _check_head(fields)


def _check_head(fields: Mapping[str, Any]) -> None:
    if not _is_count(fields["number"], MOST_NUMBER):
        raise SchemaError(f"number is {_shown(fields['number'])}")
    _each("drops", fields["drops"], _is_drop)
    for name, kind in (("blocks", _BLOCK), ("files", _FILE)):
        _each(name, fields[name], lambda value: isinstance(value, dict))
        for entry in fields[name]:
            shared = {"begin": _is_count} if name == "files" and "begin" in entry else {}
            _entry(name, entry, kind | shared)
    tables = fields["tables"]
    if not isinstance(tables, dict) or set(tables) not in ({"mean", "std"}, set()):
        raise SchemaError(f"tables are {_shown(tables)}")
    for entry in tables.values():
        _entry("tables", entry, _TABLE)
    used = {entry["file"] for entry in (*fields["blocks"], *tables.values())}
    named = [entry["name"] for entry in fields["files"]]
    if len(set(named)) < len(named) or set(named) != used:
        raise SchemaError("files are not those that hold its features")
    if any(block["stride"] < block["n_frames"] for block in fields["blocks"]):
        raise SchemaError("states of a block overlap")


def check_packed(records: Iterable[Record]) -> None:
    """Raise SchemaError where columns of records, kept as arrays, cannot be believed; heads are checked before."""
    for record in records:
        n_rows = len(record.ids)
        n_framed = n_rows if record.blocks else 0
        counts, starts = np.asarray(record.n_frames), np.asarray(record.first_frame)
        for name in ("n_frames", "n_samples", "audio_digest", "pooled_crcs"):
            _length(name, getattr(record, name), n_rows)
        for name in ("first_frame", "frame_crcs"):
            _length(name, getattr(record, name), n_framed)
        if bool(record.tables) != bool(n_rows):
            raise SchemaError("tables without utterances, or utterances without tables")
        if not n_rows:
            continue
        numbers = (counts, np.asarray(record.n_samples), starts)
        if any(len(each) and (each.min() < 0 or each.max() >= MOST) for each in numbers) or not counts.all():
            raise SchemaError("frames or samples are out of range")
        if n_framed and (np.diff(starts) != counts[:-1]).any():
            raise SchemaError("utterances do not follow each other")
        if n_framed and counts.sum() != sum(block.n_frames for block in record.blocks):
            raise SchemaError("blocks do not hold as many frames as the utterances have")
        if getattr(record.pooled_crcs, "values").shape[1:] != (2,):  # noqa: B009
            raise SchemaError("pooled_crcs are of another length")
        # Texts are decoded here once: what cannot be is no record of ours.
        if not all(record.ids) or len(set(record.ids)) < n_rows or len(list(record.audio_digest)) < n_rows:
            raise SchemaError("an id is empty or there twice")


def _check_columns(fields: Mapping[str, Any]) -> None:
    n_rows = len(fields["ids"])
    if bool(fields["tables"]) != bool(n_rows) or (fields["blocks"] and not n_rows):
        raise SchemaError("features without utterances, or utterances without features")
    for name in ("n_frames", "n_samples", "audio_digest", "pooled_crcs"):
        _length(name, fields[name], n_rows)
    n_framed = n_rows if fields["blocks"] else 0
    for name in ("first_frame", "frame_crcs"):
        _length(name, fields[name], n_framed)
    if len(set(fields["ids"])) < n_rows:
        raise SchemaError("an id is there twice")
    if 0 in fields["n_frames"]:
        raise SchemaError("an utterance has no frames")
    for name, n_each in (("frame_crcs", None), ("pooled_crcs", 16)):
        sizes = {len(row) for row in fields[name]}
        if len(sizes) > 1 or (n_each and sizes - {n_each}):
            raise SchemaError(f"{name} are of different lengths")
    if n_framed:
        total = sum(block["n_frames"] for block in fields["blocks"])
        if total != sum(fields["n_frames"]):
            raise SchemaError("blocks do not hold as many frames as the utterances have")
        at = fields["first_frame"][0]
        for first, count in zip(fields["first_frame"], fields["n_frames"], strict=True):
            if first != at:
                raise SchemaError("utterances do not follow each other")
            at += count


def check_spec(record: Any) -> None:
    """Raise SchemaError unless ``record`` is that of a ``spec.json`` that can be believed."""
    _keys(record, "spec.json", dict.fromkeys(("layout", "sercache", "format", "sizes", "digest", "spec")))
    sizes, spec = record["sizes"], record["spec"]
    _keys(sizes, "sizes", dict.fromkeys(("shard_frames", "chunk_frames", "shard_utterances")))
    for name, value in sizes.items():
        if not _is_count(value, 2**31) or value == 0:
            raise SchemaError(f"{name} is {_shown(value)}")
    if sizes["shard_frames"] % sizes["chunk_frames"]:
        raise SchemaError("shard_frames is no multiple of chunk_frames")
    if not isinstance(spec, dict):
        raise SchemaError(f"spec is {_shown(spec)}")
    for name in ("sample_rate", "hop", "dim"):
        if not _is_count(spec.get(name), 2**31) or spec[name] == 0:
            raise SchemaError(f"{name} is {_shown(spec.get(name))}")
    for name in ("encoder", "corpus", "release", "dtype", "clip", "transcripts", "through", "speech"):
        if not isinstance(spec.get(name, ""), str):
            raise SchemaError(f"{name} is {_shown(spec[name])}")
    if spec.get("dtype", "float16") not in get_args(DType):
        raise SchemaError(f"dtype is {_shown(spec['dtype'])}")
    if not isinstance(spec.get("frames", True), bool):
        raise SchemaError(f"frames is {_shown(spec['frames'])}")
    if not isinstance(spec.get("identity"), dict):
        raise SchemaError(f"identity is {_shown(spec.get('identity'))}")
    if not isinstance(spec.get("augment", {}), dict):
        raise SchemaError(f"augment is {_shown(spec['augment'])}")
    for name in ("states", "encoder_states"):
        _each(name, spec.get(name, []), _is_name)
    if not spec.get("states") or len(set(spec["states"])) < len(spec["states"]):
        raise SchemaError(f"states are {_shown(spec.get('states'))}")
    if len(spec["states"]) * spec["dim"] * sizes["shard_frames"] >= MOST:
        raise SchemaError("a shard is beyond every disk")
    try:
        json.dumps(spec, ensure_ascii=False).encode()
    except UnicodeEncodeError as fault:  # half a character, of which no digest can be taken
        raise SchemaError("spec holds text that is no Unicode") from fault


def is_inside(name: Any) -> bool:
    """Whether a file's name stays in one of the folders of a store in which features lie."""
    if not isinstance(name, str) or "\0" in name or "\\" in name:
        return False
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[0] in FOLDERS and parts[1] not in ("", ".", "..")


def _is_count(value: Any, most: int = MOST) -> bool:
    return type(value) is int and 0 <= value < most


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_crcs(value: Any) -> bool:
    return isinstance(value, str) and _CRCS.fullmatch(value) is not None


def _is_crc(value: Any) -> bool:
    return isinstance(value, str) and _CRC.fullmatch(value) is not None


def _is_drop(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and _is_count(value[0], MOST_NUMBER)
        and _is_name(value[1])
    )


Rule = Callable[[Any], bool]
_HEAD = ("number", "blocks", "tables", "files", "drops")
_COLUMNS: dict[str, Rule] = {
    "ids": _is_name,
    "first_frame": _is_count,
    "n_frames": _is_count,
    "n_samples": _is_count,
    "audio_digest": lambda value: isinstance(value, str),
    "frame_crcs": _is_crcs,
    "pooled_crcs": _is_crcs,
}
_BLOCK: dict[str, Rule] = {
    "file": is_inside,
    "offset": _is_count,
    "n_frames": _is_count,
    "stride": _is_count,
}
_TABLE: dict[str, Rule] = {"file": is_inside, "offset": _is_count}
_FILE: dict[str, Rule] = {"name": is_inside, "size": _is_count, "rest_crc": _is_crc}


def _keys(value: Any, what: str, expected: Iterable[str]) -> None:
    if not isinstance(value, dict):
        raise SchemaError(f"{what} is {_shown(value)}")
    names = set(expected)
    if odd := sorted(names.symmetric_difference(value)):
        verb = "is unknown" if odd[0] in value else "is missing"
        raise SchemaError(f"{_shown(odd[0])} {verb} in {what}")


def _each(name: str, values: Any, is_right: Rule) -> None:
    if not isinstance(values, list | tuple):
        raise SchemaError(f"{name} is {_shown(values)}")
    for value in values:
        if not is_right(value):
            raise SchemaError(f"{name} holds {_shown(value)}")


def _entry(what: str, entry: Any, rules: Mapping[str, Rule]) -> None:
    _keys(entry, what, rules)
    for name, is_right in rules.items():
        if not is_right(entry[name]):
            if is_right is is_inside:
                raise SchemaError(f"it names a file outside of its folders, {_shown(entry[name])}")
            raise SchemaError(f"{name} of {what} is {_shown(entry[name])}")


def _length(name: str, values: Sequence[Any], expected: int) -> None:
    if len(values) != expected:
        raise SchemaError(f"{name} has {len(values)} entries, expected {expected}")


def _shown(value: Any) -> str:
    """A value for people, on one line and never long."""
    text = (
        f"a number of {value.bit_length()} bits"
        if isinstance(value, int) and value.bit_length() > 200
        else repr(value)
    )
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "…"

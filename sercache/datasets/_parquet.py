"""A Parquet file of recordings: which column they are, what stands beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sercache import tables, text
from sercache.errors import CorpusError

USUAL = ("audio", "speech", "file", "wav")
"""What columns of recordings are called that say nothing of themselves."""


_GROUP = 100
"""Rows of a row group: what is read for one recording."""


@dataclass(frozen=True)
class Shard:
    """What a file says, without the recordings."""

    sound: str
    """The column of recordings."""
    paths: list[str | None]
    """What the column says of each recording beside its bytes."""
    columns: list[str]
    """Other columns of texts and numbers."""
    values: list[dict[str, Any]]
    """These of each row."""
    class_names: dict[str, list[str]]
    """Names of the numbers of each column of classes."""
    is_packed: bool
    """Whether recordings stand in the file as bytes, not as paths alone."""
    group_bytes: int
    """Of the recordings in its largest row group."""


def read(path: Path) -> Shard:
    """What a file says. Raises MissingExtraError without pyarrow, CorpusError where it cannot be read."""
    pa, pq = tables.arrow()
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            sound = _sound(schema, path)
            is_struct = pa.types.is_struct(schema.field(sound).type)
            plain = [field.name for field in schema if _is_plain(pa, field.type) and field.name != sound]
            table = file.read(columns=[*plain, *([f"{sound}.path"] if is_struct else [])])
            is_packed, group_bytes = _held(file.metadata, f"{sound}.bytes" if is_struct else sound)
            n_rows = file.metadata.num_rows
    except (pa.ArrowException, OSError) as fault:
        raise CorpusError(f"{path} cannot be read: {text.one_line(fault)[:200]}; get a whole copy") from None
    values = table.select(plain).to_pylist() if plain else [{} for _ in range(n_rows)]
    paths: list[str | None] = [None] * n_rows
    if is_struct:
        paths = [(each or {}).get("path") for each in table.column(sound).to_pylist()]
    return Shard(sound, paths, plain, values, _class_names(schema), is_packed, group_bytes)


def write(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    numbers: Collection[str],
    done: Callable[[int], object],
) -> None:
    """A file of a column ``audio`` (bytes and path) and ``columns`` of texts, or of numbers, as ``datasets`` writes it.

    Raises MissingExtraError without pyarrow.
    """
    pa, pq = tables.arrow()
    kinds = {name: ("float64" if name in numbers else "string") for name in columns}
    features = {"audio": {"_type": "Audio"}}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()}
    sound = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [pa.field("audio", sound)]
    fields += [pa.field(name, pa.float64() if name in numbers else pa.string()) for name in columns]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema(fields, metadata=metadata)
    with pq.ParquetWriter(path, schema) as writer:
        for some in _some(rows, _GROUP):
            named = [
                {**row, "audio": dict(zip(("bytes", "path"), row["audio"], strict=True))} for row in some
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(named, schema=schema))
            done(len(some))


def _some(rows: Iterable[Mapping[str, Any]], n: int) -> Iterator[list[Mapping[str, Any]]]:
    """Rows, ``n`` at a time."""
    rest = iter(rows)
    while some := list(islice(rest, n)):
        yield some


def _sound(schema: Any, path: Path) -> str:
    """The column of recordings. Raises CorpusError where none can be told."""
    pa, _ = tables.arrow()
    features = _features(schema)
    marked = [
        name for name, each in features.items() if isinstance(each, dict) and each.get("_type") == "Audio"
    ]
    shaped = [
        field.name
        for field in schema
        if (pa.types.is_struct(field.type) and {"bytes", "path"} <= {each.name for each in field.type})
        or ((pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)) and field.name in USUAL)
    ]
    able = [name for name in marked if name in schema.names] or shaped
    if len(able) != 1:
        has = (
            f"{len(able)} of them: {', '.join(able)}"
            if able
            else f"the columns {', '.join(schema.names)[:150]}"
        )
        raise CorpusError(
            f"{path}: expected one column of recordings (a struct of bytes and path), got {has}"
        )
    return able[0]


def _is_plain(pa: Any, kind: Any) -> bool:
    """Whether values of a column are texts or numbers."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    )


def _held(metadata: Any, name: str) -> tuple[bool, int]:
    """Whether recordings stand in a file as bytes, not as paths alone, and bytes of its largest row group of them."""
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    found = [
        (group.num_rows, group.column(k))
        for group in groups
        for k in range(group.num_columns)
        if group.column(k).path_in_schema == name
    ]
    empty = [column.statistics is not None and column.statistics.null_count == n for n, column in found]
    return not (empty and all(empty)), max((column.total_uncompressed_size for _, column in found), default=0)


def _features(schema: Any) -> Mapping[str, Any]:
    """What ``datasets`` says of the columns; empty where it wrote no such file."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Names of the numbers of each column of classes."""
    classes = {
        name: each.get("names")
        for name, each in _features(schema).items()
        if isinstance(each, dict) and each.get("_type") == "ClassLabel"
    }
    return {name: list(map(str, names)) for name, names in classes.items() if isinstance(names, list)}

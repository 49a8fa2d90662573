"""JSON files that know whether a byte of them was changed: the first line checks all that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sercache.errors import DamagedStoreError
from sercache.stores.durable import crc32c, read_whole


def dump(value: Any, indent: int | None = None) -> bytes:
    """``value`` as one JSON object, ``{"crc32c": ..., "record": value}``, the checksum on its own line."""
    body = f'"record": {json.dumps(value, indent=indent)}}}\n'.encode()
    return _head(body) + b"\n" + body


def load(path: Path, remedy: str) -> Any:
    """The value that ``dump`` wrote. Raises DamagedStoreError, with ``remedy``, where a single byte differs."""
    return _checked(path, read_whole(path), remedy)


def load_note(path: Path, remedy: str) -> dict[str, Any]:
    """The object that ``dump`` wrote, or plain JSON as earlier versions kept their notes. Raises DamagedStoreError."""
    try:
        data = read_whole(path)
    except FileNotFoundError as fault:
        raise DamagedStoreError(f"{path} is missing; {remedy}") from fault
    if data.startswith(b'{"crc32c"'):
        found = _checked(path, data, remedy)
    else:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as fault:
            raise DamagedStoreError(f"{path} is damaged: it is no JSON; {remedy}") from fault
    if not isinstance(found, dict) or "record" in found:  # of a checked one whose first line was hit
        raise DamagedStoreError(f"{path} is damaged: it is not what was written; {remedy}")
    return found


def _checked(path: Path, data: bytes, remedy: str) -> Any:
    head, _, body = data.partition(b"\n")
    if head != _head(body):
        raise DamagedStoreError(f"{path} is damaged: its checksum does not fit; {remedy}")
    try:
        return json.loads(b"{" + body)["record"]
    except (ValueError, RecursionError, KeyError) as fault:  # crafted: its checksum fits
        raise DamagedStoreError(f"{path} is damaged: it is not what was written; {remedy}") from fault


def _head(body: bytes) -> bytes:
    return b'{"crc32c": "%08x",' % crc32c(body)

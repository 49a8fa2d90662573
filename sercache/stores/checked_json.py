"""JSON files that know whether a byte of them was changed: the first line checks all that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sercache.errors import DamagedStoreError
from sercache.stores.durable import crc32c


def dump(value: Any, indent: int | None = None) -> bytes:
    """``value`` as one JSON object, ``{"crc32c": ..., "record": value}``, the checksum on its own line."""
    body = f'"record": {json.dumps(value, indent=indent)}}}\n'.encode()
    return _head(body) + b"\n" + body


def load(path: Path, remedy: str) -> Any:
    """The value that ``dump`` wrote. Raises DamagedStoreError, with ``remedy``, where a single byte differs."""
    head, _, body = path.read_bytes().partition(b"\n")
    if head != _head(body):
        raise DamagedStoreError(f"{path} is damaged: its checksum does not fit; {remedy}")
    return json.loads(b"{" + body)["record"]


def _head(body: bytes) -> bytes:
    return b'{"crc32c": "%08x",' % crc32c(body)

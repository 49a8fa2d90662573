"""Small files, written and read whole."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sercache.errors import FileError
from sercache.files._faults import in_words, write_faults_named
from sercache.system import sync, sync_path


def write_bytes(path: Path, data: bytes, remedy: str = "") -> None:
    """Put ``data`` at ``path`` in one step: readers, and a power cut, see the old file or the new one.

    Raises as ``write_faults_named``.
    """
    write_pieces(path, (data,), remedy)


def write_pieces(path: Path, pieces: Iterable[bytes], remedy: str = "") -> None:
    """``write_bytes`` of what need not be held whole."""
    temporary = _temporary(path)
    with write_faults_named(path, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                sync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_path(path.parent)


def write_text(path: Path, text: str, remedy: str = "") -> None:
    """``write_bytes`` of a text in UTF-8."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), remedy)


def write_output(path: Path, text: str, remedy: str = "") -> None:
    """``write_text`` to where a user said: through links, and straight into a device or pipe, which stay in place.

    Raises as ``write_faults_named``.
    """
    with write_faults_named(path, remedy):
        path = Path(os.path.realpath(path))
        try:
            mode = path.stat().st_mode  # a link that leads to itself is refused here
        except FileNotFoundError:
            mode = stat.S_IFREG
        straight = not stat.S_ISREG(mode)
        if straight:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
    if not straight:
        write_text(path, text, remedy)


def check_output(path: Path, remedy: str = "") -> None:
    """What ``write_output`` would say of a place that cannot be written, before there is anything to write.

    Raises as ``write_faults_named``.
    """
    with write_faults_named(path, remedy):
        path = Path(os.path.realpath(path))
        for place in (
            _temporary(path),
            path,
        ):  # a name too long, a file on the way, a link that leads to itself
            with suppress(FileNotFoundError):
                place.stat()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        there = path if path.exists() else next(parent for parent in path.parents if parent.exists())
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_json(path: Path, value: Any, remedy: str = "") -> None:
    """``write_bytes`` of a value as JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", remedy)


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """``write_bytes`` of a table, its heading first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file. Raises FileError, with ``remedy``, where it is anything else."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as fault:
        raise FileError(f"{path} cannot be read: {in_words(fault)}; {remedy}") from fault
    except (ValueError, RecursionError) as fault:
        raise FileError(f"{path} is damaged: it is no JSON; {remedy}") from fault
    if not isinstance(found, dict):
        raise FileError(
            f"{path} is damaged: it holds {type(found).__name__}, expected a JSON object; {remedy}"
        )
    return found

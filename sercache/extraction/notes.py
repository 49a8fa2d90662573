"""Small files beside a store: what could not be encoded, and whether an extraction came to its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sercache.datasets import Skipped
from sercache.errors import DamagedStoreError
from sercache.stores import notes_folder, read_note, write_note

_SKIPS = "skipped.json"
_UNFINISHED = "unfinished"


def mark_begun(folder: Path) -> None:
    """Say that an extraction into ``folder`` is on its way."""
    (notes_folder(folder) / _UNFINISHED).touch()


def mark_finished(folder: Path) -> None:
    """Say that everything asked for is in the store; an extraction that has nothing to do says so too."""
    path = notes_folder(folder) / _UNFINISHED
    if path.exists():  # else nothing is touched: the disk may be read-only
        path.unlink(missing_ok=True)


def is_finished(folder: Path) -> bool:
    """Whether the last extraction into ``folder`` came to its end.

    Without that, a recording that is split may lack its last pieces, which nothing else would tell.
    """
    return not (notes_folder(folder) / _UNFINISHED).exists()


def record_skips(folder: Path, skipped: Sequence[Skipped]) -> None:
    """Write what could not be encoded, and why, beside the features; nothing skipped leaves no file."""
    path = notes_folder(folder) / _SKIPS
    reasons = {item.what: item.reason for item in skipped}
    with suppress(DamagedStoreError):
        if skips(folder) == reasons:  # nothing is touched: the disk may be read-only
            return
    if reasons:
        write_note(folder, _SKIPS, reasons)
    else:
        path.unlink(missing_ok=True)


def skips(folder: Path) -> dict[str, str]:
    """Entries that the last extraction into ``folder`` could not encode: id -> reason. Raises DamagedStoreError."""
    return read_note(folder, _SKIPS)

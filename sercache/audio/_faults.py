"""Why a recording cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sercache.audio import _packed
from sercache.errors import AudioError

_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_MID_STREAM = re.compile("lost sync|crc mismatch|bad header|malformed", re.IGNORECASE)
"""What libsndfile says of a stream that it began to decode."""
_SNIFFED = 64
"""Bytes of a file that is no audio which tell what it is."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Faults of reading and decoding as AudioError, in words."""
    import soundfile

    if not _packed.is_file(path):
        raise AudioError(f"{path}: there is no such file" if not path.exists() else f"{path}: is not a file")
    try:
        yield
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as fault:
        reason, kind = _why_unreadable(path, fault)
        raise AudioError(f"{path}: {reason}", kind) from fault
    except MemoryError as fault:
        raise AudioError(f"{path}: does not fit the memory; use --clip split:30", "too-long") from fault


def _why_unreadable(path: Path, fault: Exception) -> tuple[str, str]:
    """What is wrong with a file that libsndfile refuses, in words and as a kind of AudioError."""
    try:
        with _packed.opened(path) as file:
            head = file.read(_SNIFFED)
    except OSError as denied:
        return f"cannot be read ({denied.strerror})", "unreadable"
    if head.startswith(_LFS):
        return "is a git-LFS pointer, not audio; run `git lfs pull` in its repository", "lfs-pointer"
    if not head:
        return "is an empty file", "unreadable"
    if head.lstrip().lower().startswith(_PAGES):
        return (
            "is a web page or XML, not audio; get the file again",
            "unreadable",
        )
    reason = str(fault).rpartition(": ")[2].rstrip(".") or type(fault).__name__
    if _MID_STREAM.search(reason):
        return f"is cut short or damaged ({reason}); get a whole copy", "damaged"
    if "does not exist" in reason:  # what libsndfile says of an mp3 that it cannot open; the file is there
        reason = "Format not recognised"
    return f"cannot be read as audio ({reason}); get a whole copy, or write it as WAV or FLAC", "unreadable"

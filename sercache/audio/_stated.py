"""What the headers of plain containers state beside what is there: files that are cut, joined, or cannot tell.

libsndfile reads what is there, and says in its log what the header stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sercache.audio import _packed
from sercache.audio._records import Remark
from sercache.errors import AudioError

_SIZE = re.compile(
    r"^\s*(?:data|SSND|BODY|Data Size|Data length|riff)\s*:? (\d+) \(?should be (\d+)", re.MULTILINE
)
"""Of bytes. RIFF in capitals is left out: many writers of WAV get it wrong beside a right ``data``."""
_SAMPLES = re.compile(r"value from 'ds64' chunk of (\d+)|COMM' chunk \((\d+)\) not equal")
_LISTED = re.compile(r"\b(?:Frames|Cols)\s*: (\d+)")
_VALID = re.compile(r"Valid frames\s*: (\d+)")
"""Of CAF with packets of varying size."""
_BLOCKS = re.compile(r"Blocks\s*: (\d+)\s*Samples/Block\s*: (\d+)")
"""Of SDS: what is there, while the number of samples is the header's."""
_SPEED = re.compile(r"Bytes/sec\s*: (\d+) \(should be (\d+)\)")
_ALIGNED = re.compile(r"Block Align\s*: (\d+)\s*$", re.MULTILINE)
_STREAMED = 0x7FFF0000
"""Bytes from which a stated length means "unknown": writers to a pipe put 2^31 or 2^32 less a little."""
_LEAST = 0.99
"""Share of what is stated that has to be there: some writers count a little wrong."""

_LISTING = ("AVR", "MPC2K", "MAT4", "MAT5")
_WORDY = ("VOC", "PAF", "MAT4")
_SILENT = ("IRCAM", "PAF", "PVF", "SD2", "XI")
"""Kinds whose header states no length."""
_DENSE = "DWVW"
"""A coding whose samples are of varying size, so that their number stands in the header alone."""
_UNCHUNKED = ("AU", "AVR", "MPC2K", "MAT4", "MAT5", "SVX")
_WIDTHS = {
    "PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1,
}  # fmt: skip
"""Bytes a sample."""
_HEADER = 4096
_MARKED = {
    "AU": 8, "AVR": 12, "CAF": 8, "IRCAM": 12, "MAT4": 32, "MAT5": 10, "NIST": 16, "PAF": 12, "PVF": 12, "RF64": 16,
    "VOC": 19, "W64": 16, "WVE": 15, "XI": 20,
}  # fmt: skip
"""Bytes with which a file of this kind begins, as others with the same rate do: where they come again, another
recording begins."""
_WINDOW = 2**20


def checked(path: Path, file: Any, size: int) -> Iterator[Remark]:
    """Remarks on an open SoundFile. Raises AudioError where less or more is there than the header states."""
    log, kind, n = file.extra_info, file.format, file.frames
    for stated, held in _pairs(path, file):
        if held < _LEAST * stated:
            raise AudioError(
                f"{path}: is cut short, {held} of {stated} {'samples' if held == n else 'bytes of samples'} are "
                "there; get a whole copy",
                "truncated",
            )
        if held > 1.01 * stated:
            raise AudioError(
                f"{path}: continues past the end that its header states ({stated}, and {held} are there); are "
                "several files joined? split them",
                "unreadable",
            )
        if held != stated:
            yield Remark("header", f"its header states {stated} where {held} are there, which are read")
    if kind in _WORDY and "truncated" in log:
        raise AudioError(f"{path}: is cut short; get a whole copy", "truncated")
    width = file.channels * _WIDTHS.get(file.subtype, 0)
    if (aligned := _ALIGNED.search(log)) is not None and width and int(aligned[1]) != width:
        text = f"its header contradicts itself ({aligned[1]} bytes for {file.channels} x {file.subtype})"
        yield Remark("header", text)
    if (found := _SPEED.search(log)) is not None:
        text = f"its header contradicts itself ({found[1]} bytes a second where {file.samplerate} Hz need {found[2]})"
        yield Remark("header", text)
    if kind in _SILENT or file.subtype.startswith(_DENSE):
        yield Remark(
            "unverified", f"files of kind {kind} {file.subtype} state no length that could be checked"
        )
    yield from _behind_samples(path, file, size)


def behind(size: int) -> str:
    """What to add where a file is said to hold no samples."""
    if size <= _HEADER:
        return ""
    return (
        f" by its header, and is {size} bytes long: it was never finished, or is damaged; write it anew from the "
        "source (for WAV: `sox --ignore-length`)"
    )


def _pairs(path: Path, file: Any) -> Iterator[tuple[int, int]]:
    """Stated and held lengths, of bytes or of samples."""
    log, kind, subtype, n = file.extra_info, file.format, file.subtype, file.frames
    for stated, held in ((int(m[1]), int(m[2])) for m in _SIZE.finditer(log)):
        if stated < _STREAMED:
            yield stated, held
    if subtype in _WIDTHS:  # others are counted in blocks
        for found in _SAMPLES.finditer(log):
            yield int(found[1] or found[2]), n
    if kind in _LISTING and (listed := _LISTED.findall(log)):
        yield int(listed[-1]), n
    if kind == "SDS" and (counted := _BLOCKS.search(log)) is not None:
        yield -(-n // max(1, int(counted[2]))), int(counted[1])
    if kind == "CAF" and (valid := _VALID.search(log)) is not None:
        yield int(valid[1]), n
    if kind == "NIST":
        with _packed.opened(path) as file:
            count = re.search(rb"sample_count -i (\d{1,18})", file.read(1024))
        if count is not None:
            yield int(count[1]), n


def _behind_samples(path: Path, file: Any, size: int) -> Iterator[Remark]:
    """Sound that libsndfile does not come to. Raises AudioError where another recording begins in the file."""
    n_marked = _MARKED.get(file.format)
    if n_marked is not None and (at := _again(path, n_marked)) is not None:
        raise AudioError(f"{path}: another recording begins at byte {at}; split them", "unreadable")
    width = _WIDTHS.get(file.subtype)
    if file.format in _UNCHUNKED and width is not None:
        rest = size - file.frames * file.channels * width
        if rest > _HEADER:
            yield Remark(
                "trailing", f"{rest} of its {size} bytes are none of the samples that its header states"
            )


def _again(path: Path, n: int) -> int | None:
    """Where the first ``n`` bytes of a file come a second time."""
    with _packed.opened(path) as file:
        mark = file.read(n)
        at, window = 1, b""
        while True:
            file.seek(at)
            window = file.read(_WINDOW)
            k = window.find(mark)
            if k >= 0:
                return at + k
            if len(window) < _WINDOW:
                return None
            at += _WINDOW - n + 1

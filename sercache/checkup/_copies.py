"""Utterances that hold the same sound: by their samples, or by the bytes of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from sercache import audio
from sercache.checkup._files import AudibleUtterance, Examined, shown
from sercache.checkup._records import Finding, some
from sercache.parallel import spread

_EDGE = 4096
"""Bytes at either end of a file that are compared before all of it is."""
_CROSSED = {"speaker": "speakers", "raw_label": "labels", "group": "groups", "partition": "partitions"}
"""Fields of Utterance -> what equal sound under several of their values leaks across."""

Item = TypeVar("Item")


def same_audio(examined: Iterable[Examined]) -> list[Finding]:
    """Utterances with equal samples, whatever the file format; needs the digests of a deep check-up."""
    stretches = [s for file in examined for s in file.stretches if s.digest]
    return [_finding(group) for group in _groups(stretches, lambda s: s.digest)]


def same_bytes(examined: Sequence[Examined], root: Path, workers: int) -> list[Finding]:
    """Utterances that are the same stretch of files with equal bytes.

    Files of equal size are compared by their ends, and those that agree there by all they hold.
    """
    files = {file.path: file for file in examined if file.stretches}
    contents: dict[Path, Hashable] = {}
    unread: dict[Path, str] = {}
    alike = [list(files)]
    for fingerprint in (_size, _ends, _content):
        paths = [path for group in alike for path in group]
        found = dict(zip(paths, spread(_guarded(fingerprint), paths, workers), strict=True))
        unread |= {path: value.strerror or "" for path, value in found.items() if isinstance(value, OSError)}
        readable = [[path for path in group if path not in unread] for group in alike]
        alike = [part for group in readable for part in _groups(group, found.__getitem__)]
        contents = {path: found[path] for group in alike for path in group}
    stretches = [s for path, file in files.items() if path not in unread for s in file.stretches]
    return [
        Finding(
            "unreadable",
            f"cannot be read ({reason})",
            files[path].ids,
            shown(path, root),
        )
        for path, reason in unread.items()
    ] + [_finding(group) for group in _groups(stretches, lambda s: _place(s, contents))]


def _groups(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Items with equal keys, two and more, in the order of their first."""
    found: dict[Hashable, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return [group for group in found.values() if len(group) > 1]


def _place(stretch: AudibleUtterance, contents: dict[Path, Hashable]) -> Hashable:
    """Bytes and times that an utterance is made of; a file that has no copy stands for its bytes."""
    utterance = stretch.utterance
    content = contents.get(utterance.path, utterance.path)
    return content, utterance.start or 0.0, round(stretch.seconds, 6)


def _guarded(fingerprint: Callable[[Path], Hashable]) -> Callable[[Path], Hashable]:
    """``fingerprint`` whose failure to read is its value: one bad sector must not end a check-up."""

    def guarded(path: Path) -> Hashable:
        try:
            return fingerprint(path)
        except OSError as fault:
            return fault

    return guarded


def _size(path: Path) -> Hashable:
    return audio.n_bytes(path)


def _ends(path: Path) -> Hashable:
    with audio.opened(path) as file:
        first = file.read(_EDGE)
        file.seek(max(0, audio.n_bytes(path) - _EDGE))
        return hashlib.blake2b(first + file.read(_EDGE)).digest()


def _content(path: Path) -> Hashable:
    with audio.opened(path) as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _finding(group: Sequence[AudibleUtterance]) -> Finding:
    """Equal sound as a leak, where it lies on both sides of what folds keep apart, or as a duplicate."""
    utterances = sorted((s.utterance for s in group), key=lambda u: u.id)
    ids = tuple(u.id for u in utterances)
    crossed = {
        name: values
        for field, name in _CROSSED.items()
        if len(values := sorted({getattr(u, field) for u in utterances} - {""})) > 1
    }
    if not crossed:
        return Finding("duplicate", f"{len(ids)} ids, {group[0].seconds:.2f} s", ids)
    return Finding("leak", "; ".join(f"{name} {some(v)}" for name, v in crossed.items()), ids)

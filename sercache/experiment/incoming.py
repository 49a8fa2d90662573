"""Recordings that a user names: files, folders, a table, or a folder that is watched; whole or by windows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sercache import audio, settings
from sercache.datasets import Utterance, manifest
from sercache.errors import AudioError, SettingsError

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
    ".sph", ".nist", ".voc", ".wv",
)  # fmt: skip
"""Of files that are taken from a folder; a file that is named itself may be called as it likes."""
_PAUSE = 0.5
"""Seconds between two looks at a watched folder."""
_QUIET = 10.0
"""Seconds after which a file that no longer grows and cannot be read is taken for damaged, not for unfinished."""


def recordings(paths: Sequence[str | Path], table: Path | None = None) -> list[Utterance]:
    """The recordings below files and folders, each once, then those of a manifest.

    A path that does not exist is kept: reading it gives the reason. Raises SettingsError for a folder without
    recordings and where nothing is named, CorpusError for a table that cannot be read.
    """
    found = {str(path): path for given in paths for path in _files(settings.expanded(given))}
    own = [Utterance(name, path, "", "") for name, path in found.items()]
    if table is not None:
        taken = set(found)
        rows = manifest.read(settings.expanded(table)).utterances
        own += [dataclasses.replace(u, id=f"{u.id} (manifest)") if u.id in taken else u for u in rows]
    if not own:
        raise SettingsError(
            "no recordings are named; give files, folders, - for paths on standard input, or --manifest"
        )
    return own


def in_windows(
    utterances: Iterable[Utterance], seconds: float | None, step: float | None = None
) -> list[Utterance]:
    """Each recording as stretches of ``seconds``, one every ``step``; the last one ends with the recording.

    Those that are no longer than one window, or cannot be read, stay whole. Raises SettingsError.
    """
    if seconds is None:
        if step is not None:
            raise SettingsError("a step is between windows; name their length with --window")
        return list(utterances)
    step = seconds if step is None else step
    if not 0 < step <= seconds < float("inf"):
        raise SettingsError(
            f"windows of {seconds:g} s every {step:g} s leave gaps or have no length; expected 0 < step <= window"
        )
    return [each for utterance in utterances for each in _windows(utterance, seconds, step)]


def _windows(utterance: Utterance, seconds: float, step: float) -> list[Utterance]:
    begin = utterance.start or 0.0
    try:
        info = audio.probe(utterance.path)
    except AudioError:
        return [utterance]
    end = min(info.n_samples / info.rate, float("inf") if utterance.end is None else utterance.end)
    if end - begin <= seconds:
        return [utterance]
    n = int((end - begin - seconds) / step + 1e-9) + 1
    starts = [begin + k * step for k in range(n)]
    if starts[-1] + seconds < end - 1 / info.rate:
        starts.append(end - seconds)
    spans = [(round(a, 6), round(min(a + seconds, end), 6)) for a in starts]
    return [
        dataclasses.replace(utterance, id=f"{utterance.id}[{a:.3f}-{b:.3f}]", start=a, end=b)
        for a, b in spans
    ]


def arriving(folder: Path, pause: float = _PAUSE) -> Iterator[list[Utterance]]:
    """Recordings that come to lie in a folder from now on, as they are complete; without an end.

    A file is complete when two looks at it find the same and its audio can be read; one that stays unreadable is
    given after ten seconds, for its reason to be told. Raises SettingsError for what is no folder.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder; --watch takes the folder that recordings come to")
    done = {path: _stamp(path) for path in _inside(folder)}
    seen: dict[Path, tuple[tuple[int, int], float]] = {}
    while True:
        ready = []
        for path in _inside(folder):
            stamp, now = _stamp(path), time.monotonic()
            if done.get(path) == stamp:
                continue
            before, since = seen.get(path, (None, now))
            seen[path] = (stamp, since if before == stamp else now)
            if before == stamp and (_readable(path) or now - since > _QUIET):
                done[path] = stamp
                ready.append(Utterance(str(path), path, "", ""))
        if ready:
            yield ready
        time.sleep(pause)


def _readable(path: Path) -> bool:
    try:
        audio.probe(path)
    except AudioError:
        return False
    return True


def _stamp(path: Path) -> tuple[int, int]:
    """What changes where a file does; of one that is gone nothing."""
    try:
        state = path.stat()
    except OSError:
        return (0, 0)
    return state.st_size, state.st_mtime_ns


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = _inside(path)
    if not found:
        raise SettingsError(
            f"{path} holds no recordings; expected files that end with {', '.join(SUFFIXES[:5])}, …"
        )
    return found


def _inside(folder: Path) -> list[Path]:
    """Recordings below a folder, by name; hidden ones (as of programs that are still writing) are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )

"""Recordings that steps take: noise, impulse responses, and utterances of the corpus for babble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from blake3 import blake3

from sercache import audio
from sercache.augment._grammar import Augmentation
from sercache.errors import AudioError, SettingsError

BABBLE_POOL = 100
"""Utterances of the corpus, at most, that babble is made of."""
_SECONDS = 10.0
"""Of each of them that are kept at most."""
_SUFFIXES = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".sph"))


@dataclass(frozen=True)
class SourceStretch:
    """Where a recording lies."""

    path: Path
    start: float | None = None
    """Seconds, as the next; None: from its beginning, or to its end."""
    end: float | None = None


@dataclass(frozen=True)
class AddedRecordings:
    """The recordings that an augmentation takes, and digests of them."""

    folders: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """By folder its recordings, in the order of their digests."""
    babble: tuple[SourceStretch, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    """By folder, and of ``babble``: what decides the bits in its place."""


def needs_corpus(augmentation: Augmentation) -> bool:
    """Whether utterances of the corpus are mixed in."""
    return any(each.kind == "noise" and each.what == "babble" for each in augmentation.steps)


def added_recordings(
    augmentation: Augmentation, corpus: Sequence[SourceStretch], rate: int
) -> AddedRecordings:
    """The recordings that an augmentation takes at ``rate`` Hz, read once for their digests.

    ``corpus`` are all stretches that babble is drawn from, in an order that is always the same. Raises SettingsError
    for a folder without recordings, AudioError where one cannot be read.
    """
    folders, digests = dict[str, tuple[Path, ...]](), dict[str, str]()
    for folder in dict.fromkeys(filter(None, (each.folder for each in augmentation.steps))):
        by_digest = {_digest_of_file(path): path for path in _recordings(folder)}
        for path in by_digest.values():
            audio.probe(path)
        if not any(_is_heard(path, rate) for path in by_digest.values()):
            raise SettingsError(f"all recordings in {folder} are silent; name a folder with one that is not")
        folders[folder] = tuple(by_digest[each] for each in sorted(by_digest))
        digests[folder] = blake3("".join(sorted(by_digest)).encode()).hexdigest()[:16]
    babble = tuple(_drawn(corpus, augmentation.seed)) if needs_corpus(augmentation) else ()
    if babble:
        waves = babble_waves(babble, rate)
        if len(waves) < 2:
            raise SettingsError(
                f"babble needs 2 audible utterances of the corpus or more, there are {len(waves)}"
            )
        digests["babble"] = blake3("".join(digest for digest, _ in waves).encode()).hexdigest()[:16]
    return AddedRecordings(folders, babble, digests)


def folder_of(folder: str) -> str:
    """A folder as it is looked for from anywhere."""
    return str(Path(folder).expanduser().absolute())


def _recordings(folder: str) -> list[Path]:
    where = Path(folder).expanduser()
    if not where.is_dir():
        raise SettingsError(f"{folder} is no folder; name white, pink or babble, or a folder of recordings")
    found = sorted(path for path in where.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not found:
        raise SettingsError(f"{folder} holds no recordings ({', '.join(sorted(_SUFFIXES))})")
    return found


def _is_heard(path: Path, rate: int) -> bool:
    try:
        return bool(np.any(audio.read(path, rate)))
    except AudioError as fault:
        if fault.kind != "silent":
            raise
        return False


def _digest_of_file(path: Path) -> str:
    state = blake3()
    try:
        state.update_mmap(path)
    except OSError as fault:
        raise AudioError(f"{path}: cannot be read ({fault.strerror})") from fault
    return state.hexdigest()


def _drawn(corpus: Sequence[SourceStretch], seed: int) -> list[SourceStretch]:
    chosen = np.random.RandomState(seed).permutation(len(corpus))[:BABBLE_POOL]
    return [corpus[k] for k in sorted(chosen)]


@cache
def babble_waves(babble: tuple[SourceStretch, ...], rate: int) -> tuple[tuple[str, np.ndarray], ...]:
    """Digest and samples of each stretch at ``rate`` Hz that can be read and heard, once each, by digest."""
    found: dict[str, np.ndarray] = {}
    for each in babble:
        try:
            wave = audio.read(each.path, rate, each.start, each.end)
        except AudioError:  # it is told of where it is encoded
            continue
        if np.any(kept := wave[: round(_SECONDS * rate)]):
            found.setdefault(audio.digest(wave), kept)
    return tuple(sorted(found.items()))

"""Utterances as tables for other tools take them: what is said of each, where its recording lies, its bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from sercache import audio
from sercache.datasets._corpus import Corpus
from sercache.datasets._records import Utterance
from sercache.datasets._rows import ATTRIBUTES

SHARD_BYTES = 500_000_000
"""Of recordings in a file that holds several."""
_PLAIN = ("label", "speaker", "group", "transcript", "language", "partition", "sex", "sentence")
_PCM = 2**15
"""What samples of 16 bits are divided by to be numbers from -1 to 1."""

Done = Callable[[int], object]
"""Is told how many more utterances are written."""


@dataclass(frozen=True)
class WrittenUtterance:
    """An utterance, and its recording as a table is to name it."""

    utterance: Utterance
    path: str
    """Absolute, or relative to the folder of the table."""
    info: audio.AudioInfo
    """Of the recording."""

    @property
    def start(self) -> float:
        """Seconds into the recording."""
        return self.utterance.start or 0.0

    @property
    def end(self) -> float:
        """Seconds into the recording, its end at most."""
        whole = self.info.n_samples / self.info.rate
        return whole if self.utterance.end is None else min(self.utterance.end, whole)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its recording."""
        return self.utterance.start is None and self.utterance.end is None

    @property
    def file_name(self) -> str:
        """What a file of its sound is called."""
        path = self.utterance.path
        return path.name if self.is_whole else f"{path.stem}-{self.start:.3f}-{self.end:.3f}.wav"

    def sound(self) -> bytes:
        """The bytes of its recording as they are, or its stretch as WAV of the same samples, channels averaged."""
        u = self.utterance
        if self.is_whole:
            with audio.opened(u.path) as file:
                return file.read()
        import numpy as np
        import soundfile

        wave = audio.read(u.path, self.info.rate, u.start, u.end)
        scaled = wave * _PCM
        fits = bool(np.all(scaled == np.rint(scaled)) and np.all(np.abs(scaled) < _PCM))
        into = io.BytesIO()
        soundfile.write(into, wave, self.info.rate, subtype="PCM_16" if fits else "FLOAT", format="WAV")
        return into.getvalue()


class CorpusWriter(Protocol):
    """The file of a corpus of one's own that writes its format too."""

    def write(self, corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
        """Write a corpus to the folder ``out``, so that ``read`` gives the same; ``done`` is told of each utterance.

        Raises CorpusError for what the format cannot say.
        """
        ...


def told(corpus: Corpus, utterance: Utterance) -> dict[str, Any]:
    """What is known of an utterance but for its recording, by our columns; what is empty is left out."""
    values: dict[str, Any] = {"id": utterance.id, "label": utterance.raw_label}
    values |= {name: getattr(utterance, name) for name in _PLAIN if name != "label"}
    known = utterance.attributes or {}
    values |= {name: known[name] for name in ATTRIBUTES if name in known}
    if known and corpus.info.attribute_range is not None:
        values["scale"] = "{:g}..{:g}".format(*corpus.info.attribute_range)
    values["corpus"] = corpus.name
    return {name: value for name, value in values.items() if value not in (None, "")}


def by_part(utterances: Sequence[WrittenUtterance]) -> dict[str, list[WrittenUtterance]]:
    """Utterances by part (train, dev, test, or empty), in order."""
    found: dict[str, list[WrittenUtterance]] = {}
    for each in utterances:
        found.setdefault(each.utterance.partition, []).append(each)
    return found


def sharded(utterances: Sequence[WrittenUtterance]) -> Iterator[list[WrittenUtterance]]:
    """As many at a time as fit a file of SHARD_BYTES; at least one."""
    some: list[WrittenUtterance] = []
    filled = 0
    for each in utterances:
        n = 4 * round((each.end - each.start) * each.info.rate)
        n = audio.n_bytes(each.utterance.path) if each.is_whole else n
        if some and filled + n > SHARD_BYTES:
            yield some
            some, filled = [], 0
        some.append(each)
        filled += n
    if some:
        yield some


def suffix_of(name: str) -> str:
    """The kind of a file of sound, for a name that is to have one dot: ``wav`` of ``a.b.WAV``."""
    return PurePosixPath(name).suffix.lower().lstrip(".") or "wav"

"""Recordings that are called SPEAKER-LABEL-NUMBER.wav."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets import Corpus, CorpusInfo, Utterance, read_named, write_tone

_LABELS = {"ang": "anger", "hap": "happiness", "neu": "neutral"}
_NAME = re.compile(r"(?P<speaker>[a-z]+)-(?P<label>ang|hap|neu)-\d+")

INFO = CorpusInfo(
    title="Mine: acted speech in three emotions",
    language="en",
    n_speakers=4,
    hours=None,
    licence="mine",
    access="ask me",
    tree="<root>/ann-ang-1.wav ...",
    tasks={"3class": _LABELS},
    default_task="3class",
)


def read(root: Path) -> Corpus:
    """The corpus below ``root``. Raises CorpusError where there is none."""
    return read_named("my-corpus", root, INFO, "ann-ang-1.wav", _utterance, release="1")


def _utterance(path: Path) -> Utterance | str | None:
    """The utterance of a file; a reason to leave it out; None for a name that is not one of the corpus."""
    found = _NAME.fullmatch(path.stem)
    if found is None:
        return None
    return Utterance(path.stem, path, found["label"], found["speaker"])


def example(root: Path) -> Path:
    """A small corpus in this layout below ``root``, with tones for speech; gives what ``read`` takes."""
    for speaker in ("ann", "ben", "cat", "dan"):
        for label in _LABELS:
            for number in (1, 2):
                write_tone(root / f"{speaker}-{label}-{number}.wav")
    return root

"""BAVED (Aouf, 2019): seven Arabic words at three levels of emotion."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_LEVELS = {"0": "low", "1": "normal", "2": "high"}
_COUNTS = {"0": 585, "1": 672, "2": 678}
_WORDS = ("اعجبني", "لم يعجبني", "هذا", "الفيلم", "رائع", "مقول", "سيئ")
_NAME = re.compile(r"(?P<speaker>\d+)-(?P<sex>[mf])-\d+-(?P<word>[0-6])-(?P<level>[0-2])-\d+", re.IGNORECASE)
_SAME = {"53": "46"}
"""Number of a speaker whose recordings are those of another one, byte for byte -> that speaker."""

INFO = CorpusInfo(
    title="Basic Arabic Vocal Emotions Dataset (BAVED)",
    language="ar",
    n_speakers=59,
    hours=None,
    licence="none in the repository of its owner; ask there",
    access="https://github.com/40uf411/Basic-Arabic-Vocal-Emotions-Dataset",
    tree="<root>/[any folder/]0/0-m-21-0-1-105.wav ...\n(speaker-sex-age-word-level-record; folder names are not read)",
    tasks={"3level": _LEVELS},
    default_task="3level",
    default_protocol="speaker-kfold:5",
    expected_counts=_COUNTS,
    notes=(
        "Levels of emotion (0 tired or low, 1 as every day, 2 high, glad or angry), no classes: there is no 4class.",
        "Speakers 46 and 53 are one: their 21 recordings have the same bytes, and both count as speaker 46. Of the "
        "60 numbers (the owner says 61 speakers) 59 remain.",
        "Six more pairs of one speaker each hold the same bytes: records 199 and 200, 398 and 399, 455 and 456, "
        "930 and 931, 1408 and 1409, 1644 and 1645.",
        "0/49-m-23-6-1-201.wav lies in the folder of word 0 and says word 6: its word is not known.",
        "Seven words, spoken at every level.",
    ),
    published=(
        PublishedList(
            rows=1935,
            task="3level",
            counts={"raw_label": _COUNTS},
            sha256_ids="0f62c203cb38efb34d9811cab0f73219448d6cc56538035c66a9239378316ed9",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``0-m-21-0-1-105.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("baved", root, INFO, "0/0-m-21-0-1-105.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    known = path.stem != "49-m-23-6-1-201"
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["level"],
        speaker=_SAME.get(match["speaker"], match["speaker"]),
        transcript=_WORDS[int(match["word"])] if known else None,
        language="ar",
        sex=match["sex"].upper(),
        sentence=match["word"] if known else "",
    )


example = _free.baved

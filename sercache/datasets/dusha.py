"""Dusha (Kondratenko et al., 2022), its crowd part: Russian phrases spoken by many people, judged by many more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _listed
from sercache.datasets._files import check_folder, not_found
from sercache.datasets._foreign import json_lines
from sercache.datasets._named import nearest, read_named, rows_of
from sercache.datasets._records import CorpusInfo, Rating, Utterance
from sercache.errors import CorpusError

_CLASSES = {"angry": "anger", "neutral": "neutral", "positive": "happiness", "sad": "sadness"}
_ANSWERS = {**_CLASSES, "other": "other"}
_PARTS = {"raw_crowd_train": "train", "raw_crowd_test": "test"}
"""Table of answers, ``.jsonl`` or ``.tsv`` -> part."""
_COLUMNS = ("hash_id", "annotator_emo", "golden_emo", "speaker_text", "source_id", "annotator_id")
LISTENERS = ("",)
"""All raters are."""

INFO = CorpusInfo(
    title="Dusha, its crowd part",
    language="ru",
    n_speakers=2068,
    hours=255.7,
    licence="the owners' own, in their repository (license/en_us.pdf)",
    access="https://github.com/salute-developers/golos/tree/master/dusha",
    tree="<root>/crowd_train/raw_crowd_train.{jsonl,tsv}, <root>/crowd_train/wavs/*.wav\n"
    "<root>/crowd_test/raw_crowd_test.{jsonl,tsv}, <root>/crowd_test/wavs/*.wav",
    tasks={"4class": _CLASSES},
    default_task="4class",
    default_protocol="fixed:official",
    official="crowd_train and crowd_test; no dev part, and whether they share speakers was not checked",
    shares="share of the answers for each emotion, and for other",
    notes=(
        "A label is what most answers say; without one such emotion a recording has none. The owners weigh annotators "
        "instead (Dawid and Skene) and keep what is 0.9 certain, so that their labels are fewer and may differ.",
        "Recordings with a golden_emo were to check annotators and are left out, as the owners do.",
        "The owners count 201,850 recordings of 2,068 speakers. No column is said to be the speaker: a group is the "
        "source_id, so that group-kfold shares none.",
        "The podcasts are given as features alone, and are not read.",
    ),
)


@dataclass
class _Judged:
    """What the rows of one recording say."""

    part: str
    source: str
    words: str
    golden: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    """By annotator; of repeated ones the first."""


def read(root: Path) -> Corpus:
    """The recordings below ``root`` that ``raw_crowd_train`` and ``raw_crowd_test`` have answers for.

    Raises CorpusError where there are none, where no table is, or one lacks a column.
    """
    check_folder(root, "dusha")
    judged: dict[str, _Judged] = {}
    for table, part in _PARTS.items():
        for row in _rows(root, table):
            one = judged.setdefault(row["hash_id"], _Judged(part, row["source_id"], row["speaker_text"]))
            one.golden |= bool(row["golden_emo"])
            one.answers.setdefault(row["annotator_id"], row["annotator_emo"])
    if not judged:
        raise CorpusError(f"dusha: {not_found(root, 'raw_crowd_train.jsonl or raw_crowd_train.tsv')}")
    example = "crowd_train/wavs/<hash_id>.wav"
    return read_named("dusha", root, INFO, example, lambda path: _utterance(path, judged), release="1.0")


def _rows(root: Path, table: str) -> Iterator[Mapping[str, str]]:
    """Rows of a table as texts, whichever of its two forms is there; a value that is none is empty."""
    lines = nearest(root, f"{table}.jsonl")
    if lines is None:
        yield from rows_of("dusha", root, f"{table}.tsv", _COLUMNS)
        return
    for where, value in json_lines(lines):
        lacking = [column for column in _COLUMNS if column not in value]
        if lacking:
            raise CorpusError(f"dusha: {lines} {where} has no {' and no '.join(lacking)}")
        yield {column: str(value[column]) if value[column] is not None else "" for column in _COLUMNS}


def _utterance(path: Path, judged: Mapping[str, _Judged]) -> Utterance | str | None:
    one = judged.get(path.stem)
    if one is None:
        return "no table of answers has a row for it"
    if one.golden:
        return "it was to check annotators"
    ratings = tuple(Rating(who, (_ANSWERS[said],)) for who, said in one.answers.items() if said in _ANSWERS)
    counted = Counter(said for said in one.answers.values() if said in _ANSWERS)
    most = max(counted.values(), default=0)
    leading = [said for said, n in counted.items() if n == most]
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=leading[0] if len(leading) == 1 else "",
        speaker="",
        group=one.source,
        partition=one.part,
        transcript=one.words or None,
        language="ru",
        soft_label={_ANSWERS[said]: n / counted.total() for said, n in counted.items()} or None,
        ratings=ratings,
    )


example = _listed.dusha

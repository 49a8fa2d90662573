"""PAVOQUE (Steiner, Schröder and Klepp, 2013): one German actor in five styles, cut out of long recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _free
from sercache.datasets._files import check_folder, not_found, shown, walk
from sercache.datasets._labels import four_class
from sercache.datasets._records import CorpusInfo, PublishedList, Skipped, Subset, Utterance
from sercache.datasets._text import read_lines
from sercache.errors import CorpusError

_CLASSES = {
    "angry": "anger",
    "happy": "happiness",
    "neutral": "neutral",
    "poker": "poker",
    "sad": "sadness",
}
_COUNTS = {"angry": 724, "happy": 746, "neutral": 4344, "poker": 819, "sad": 701}
_PROMPT = re.compile(r"(?P<text>[a-z]+(?:_[a-z])?\d{4})(?P<take>[a-z]?)")
_SEGMENT = re.compile(r"  (?:segments:|- )")


def _is_final(utterance: Utterance) -> bool:
    return utterance.id.rpartition("-")[0][-1].isdecimal()


INFO = CorpusInfo(
    title="PAVOQUE Corpus of Expressive Speech",
    language="de",
    n_speakers=1,
    hours=12.2,
    licence="CC BY-NC-SA 3.0",
    licence_id="CC-BY-NC-SA-3.0",
    access="https://github.com/marytts/pavoque-data/releases",
    tree="<root>/[any folder/]pavoque-{angry,happy,neutral,outtakes,poker,sad}.flac and .yaml",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    default_protocol="kfold:5",
    expected_counts=_COUNTS,
    subsets={"final": Subset("without the outtakes, whose prompts end in a letter (5442)", _is_final)},
    notes=(
        "One speaker: no result on it is speaker-independent.",
        "Poker is a style, cool and laid-back, and belongs to 5class alone.",
        "The 400 prompts that begin with m are spoken in every style but neutral; outtakes repeat prompts: take "
        "5class@final where a random part must not hold another take of a sentence in training.",
        "Utterances are pieces of the long .flac, with the pauses around them.",
    ),
    published=(
        PublishedList(
            rows=7334,
            task="5class",
            counts={"raw_label": _COUNTS},
            sha256_ids="0797774f9af96f75234a5e35e54f64e94e878d240b8cb14136a8142b42c32a34",
            sha256_labels="18a871e8358b091cb77f5f565d02553d5daa4b8254bb23ae2e181b7902beac93",
            spelling={name: style for style, name in _CLASSES.items()},
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The prompts in the ``.yaml`` files below ``root`` whose recording is there too.

    Raises CorpusError where there are none, or where such a file is no YAML.
    """
    check_folder(root, "pavoque")
    recordings = {path.stem: path for path in reversed(walk(root, frozenset({".flac"})))}
    tables = [path for path in walk(root, frozenset({".yaml"})) if path.stem.startswith("pavoque-")]
    if not tables or not recordings:
        raise CorpusError(f"pavoque: {not_found(root, 'pavoque-sad.yaml and pavoque-sad.flac')}")
    kept: dict[str, Utterance] = {}
    skipped: list[Skipped] = []
    for table in tables:
        recording = recordings.get(table.stem)
        if recording is None:
            skipped.append(Skipped(shown(table, root), f"{table.stem}.flac is missing"))
            continue
        for entry in _entries(table):
            made = _utterance(entry, recording)
            if isinstance(made, Utterance):
                kept.setdefault(made.id, made)
            else:
                skipped.append(Skipped(f"{shown(table, root)}: {str(entry)[:60]}", made))
    return assemble("pavoque", root, INFO, kept.values(), skipped, release="1.0")


def _entries(table: Path) -> Iterator[object]:
    """What a file lists, without its phones, which are most of it. Raises CorpusError where it is no YAML."""
    import yaml

    lines = [line for line in read_lines(table) if not _SEGMENT.match(line)]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load("\n".join(lines), loader)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise CorpusError(f"pavoque: cannot read {table}: {' '.join(str(fault).split())[:200]}") from None
    yield from found if isinstance(found, list) else ()


def _utterance(entry: object, recording: Path) -> Utterance | str:
    """The utterance of one entry, or why it is none."""
    cells: Mapping[Any, Any] = entry if isinstance(entry, dict) else {}
    prompt, style, start, end = (cells.get(key) for key in ("prompt", "style", "start", "end"))
    match = _PROMPT.fullmatch(prompt) if isinstance(prompt, str) else None
    if match is None or not isinstance(style, str) or style not in _CLASSES:
        return "its prompt or its style is none of the corpus"
    if not (isinstance(start, int | float) and isinstance(end, int | float) and 0 <= start < end < inf):
        return "its start and end are no times"
    words = cells.get("text")
    return Utterance(
        id=f"{prompt}-{style}",
        path=recording,
        raw_label=style,
        speaker="roettig",
        start=float(start),
        end=float(end),
        transcript=words if isinstance(words, str) else None,
        language="de",
        sex="M",
        sentence=match["text"],
    )


example = _free.pavoque

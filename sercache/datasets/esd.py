"""ESD (Zhou et al., ICASSP 2021): ten Mandarin and ten English speakers, 350 sentences, five emotions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._files import check_folder, walk
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance
from sercache.datasets._text import WESTERN, read_lines

_EMOTIONS = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
"""In the order of the file numbers, 350 each."""
_CLASSES = {
    "Neutral": "neutral",
    "Angry": "anger",
    "Happy": "happiness",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_COUNTS = dict.fromkeys(_EMOTIONS, 7000)
_SPEAKERS = [f"{n:04d}" for n in range(1, 21)]
_MEN = {4, 5, 6, 8, 10, 11, 12, 13, 14, 20}
_NAME = re.compile(r"(?P<speaker>00(?:0[1-9]|1\d|20))_(?P<number>\d{6})")
_PARTS = {"train": "train", "evaluation": "dev", "test": "test"}
_LABEL_WORDS = {*(e.lower() for e in _EMOTIONS), "中立", "快乐", "伤心", "生气", "惊喜"}


def _mandarin(utterance: Utterance) -> bool:
    return utterance.language == "zh"


def _english(utterance: Utterance) -> bool:
    return utterance.language == "en"


def _ids() -> list[str]:
    return [f"{speaker}_{n:06d}" for speaker in _SPEAKERS for n in range(1, 1751)]


INFO = CorpusInfo(
    title="Emotional Speech Dataset (ESD)",
    language="zh, en",
    n_speakers=20,
    hours=29.07,
    licence="signed form; research only, no redistribution",
    licence_id="LicenseRef-ESD",
    restricted=True,
    access="https://github.com/HLTSingapore/Emotional-Speech-Data",
    tree="<root>/0001/0001.txt\n<root>/0001/Angry/[train/]0001_000351.wav ... (with or without parts)",
    tasks={"5class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="5class",
    official="train, evaluation (dev) and test of the older layout, which shares all speakers",
    expected_counts=_COUNTS,
    folds={
        "emobox": {
            "1": ["0005", "0011", "0016", "0018"],
            "2": ["0012", "0014", "0015", "0019"],
            "3": ["0003", "0004", "0006", "0009"],
            "4": ["0007", "0008", "0013", "0020"],
            "5": ["0001", "0002", "0010", "0017"],
        }
    },
    subsets={
        "mandarin": Subset("speakers 0001 to 0010 (17500)", _mandarin),
        "english": Subset("speakers 0011 to 0020 (17500)", _english),
    },
    notes=(
        "Labels come from the file numbers; the text files have many encodings and some broken lines.",
        "Sentences are parallel: every speaker of a language says all 350 with every emotion.",
        "fixed:official exists in the older layout only, and shares all speakers.",
    ),
    published=(
        PublishedList(
            rows=35000,
            task="5class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_SPEAKERS, 1750)},
            sha256_ids="65f127b4a6784b134c494f82195c410d22b605f6232a2fe25ee0f42c94f719e3",
            sha256_labels="96cba509fe9381f91220a3e31eb97ab2f3cfe10eaf9c99af6a0db35bde436801",
            spelling={"anger": "angry", "happiness": "happy", "sadness": "sad"},
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``0001_000351.wav`` below ``root``, with texts where they are.

    Raises CorpusError where there are none.
    """
    check_folder(root, "esd")
    texts: dict[str, str] = {}
    for path in walk(root, frozenset({".txt"})):
        if re.fullmatch(r"00[012]\d", path.stem):
            texts |= _texts(path)
    return read_named(
        "esd", root, INFO, "0001/Angry/0001_000351.wav", lambda p: _utterance(p, texts), release="1.0"
    )


def _utterance(path: Path, texts: Mapping[str, str]) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None or not 1 <= int(match["number"]) <= 1750:
        return None
    speaker = int(match["speaker"])
    block, sentence = divmod(int(match["number"]) - 1, 350)
    language = "zh" if speaker <= 10 else "en"
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=_EMOTIONS[block],
        speaker=match["speaker"],
        partition=_PARTS.get(path.parent.name.lower(), ""),
        transcript=texts.get(path.stem),
        language=language,
        sex="M" if speaker in _MEN else "F",
        sentence=f"{language}{sentence + 1:03d}",
    )


def _texts(path: Path) -> dict[str, str]:
    """Texts by id of one speaker's file; lines without a text are left out.

    Fields are separated by tabs or, in some files, by spaces.
    """
    mandarin = path.stem <= "0010"
    found: dict[str, str] = {}
    for line in read_lines(path, ("gb18030",) if mandarin else WESTERN):
        name, _, rest = line.strip().replace("\u3000", " ").replace(" ", "\t", 1).partition("\t")
        words = rest.replace("\t", " ").split()
        if words and words[-1].lower() in _LABEL_WORDS:
            words.pop()
        if words and _NAME.fullmatch(name):
            found[name] = " ".join(words)
    return found


example = _acted.esd

"""CaFE (Gournay et al., ACM MMSys 2018): twelve actors from Quebec, six sentences, two intensities."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Subset, Utterance

_CLASSES = {
    "C": "anger",
    "D": "disgust",
    "J": "happiness",
    "N": "neutral",
    "P": "fear",
    "S": "surprise",
    "T": "sadness",
}
_COUNTS = {code: 72 if code == "N" else 144 for code in _CLASSES}
_ACTORS = [f"{n:02d}" for n in range(1, 13)]
_SENTENCES = {
    "1": "Un cheval fou dans mon jardin.",
    "2": "Deux ânes aigris au pelage brun.",
    "3": "Trois cygnes aveugles au bord du lac.",
    "4": "Quatre vieilles truies éléphantesques.",
    "5": "Cinq pumas fiers et passionnés.",
    "6": "Six ours aimants domestiqués.",
}
_NAME = re.compile(r"(?P<actor>0[1-9]|1[0-2])-(?P<emotion>[CDJNPST])-(?P<intensity>[12])-(?P<text>[1-6])")


def _mild(utterance: Utterance) -> bool:
    return utterance.id[5] == "1"


def _strong(utterance: Utterance) -> bool:
    return utterance.id[5] == "2"


def _ids() -> list[str]:
    """All ids; neutral has one intensity."""
    return [
        f"{actor}-{code}-{intensity}-{text}"
        for actor in _ACTORS
        for code in _CLASSES
        for intensity in ("1" if code == "N" else "12")
        for text in _SENTENCES
    ]


INFO = CorpusInfo(
    title="Canadian French Emotional Speech (CaFE)",
    language="fr-CA",
    n_speakers=12,
    hours=1.2,
    licence="CC BY-NC-SA 4.0",
    licence_id="CC-BY-NC-SA-4.0",
    access="https://zenodo.org/records/1478765",
    tree="<root>/<Emotion>/{Faible,Fort}/01-C-1-1.wav (48 kHz) or .aiff (192 kHz); folder names are not read",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    expected_counts=_COUNTS,
    folds={
        "emobox": {
            "1": ["01", "07", "08", "10"],
            "2": ["02", "04", "09", "12"],
            "3": ["03", "05", "06", "11"],
        }
    },
    subsets={
        "mild": Subset("intensity 1 (Faible) and neutral", _mild),
        "strong": Subset("intensity 2 (Fort)", _strong),
    },
    notes=(
        "Folder names unpack with wrong accents on many systems; labels come from the file names.",
        "Six texts, spoken with every emotion. Hours are estimated.",
    ),
    published=(
        PublishedList(
            rows=936,
            task="7class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_ACTORS, 78)},
            sha256_ids="f6a674a6ea42a658c963602e8ff4af61b6a7f5f0fed1d6c23296f44e4ece5949",
            sha256_labels="49668e9580b4906f7f76f859a816ff967f428aab1add259dfe1899ffc09d6643",
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``01-C-1-1.wav`` (or ``.aiff``) below ``root``.

    Raises CorpusError where there are none.
    """
    suffixes = frozenset({".wav", ".aiff", ".aif"})
    return read_named("cafe", root, INFO, "01-C-1-1.wav", _utterance, release="1.0", suffixes=suffixes)


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["actor"],
        transcript=_SENTENCES[match["text"]],
        language="fr-CA",
        sex="M" if int(match["actor"]) % 2 else "F",
        sentence=match["text"],
    )


example = _acted.cafe

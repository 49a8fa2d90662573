"""EMOVO (Costantini et al., LREC 2014): six Italian actors, fourteen sentences, seven emotions."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._labels import four_class
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Utterance

_CLASSES = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_COUNTS = dict.fromkeys(_CLASSES, 84)
_SPEAKERS = ("f1", "f2", "f3", "m1", "m2", "m3")
_SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
_NAME = re.compile(
    rf"(?P<emotion>{'|'.join(_CLASSES)})-(?P<speaker>{'|'.join(_SPEAKERS)})-(?P<text>{'|'.join(_SENTENCES)})"
)


def _ids() -> list[str]:
    return [f"{code}-{speaker}-{text}" for code in _CLASSES for speaker in _SPEAKERS for text in _SENTENCES]


INFO = CorpusInfo(
    title="EMOVO, Italian emotional speech",
    language="it",
    n_speakers=6,
    hours=0.5,
    licence="free for research (not confirmed); terms of the owners",
    access="http://voice.fub.it/activities/corpora/emovo/index.html",
    tree="<root>/f1/dis-f1-b1.wav ...",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    expected_counts=_COUNTS,
    notes=("Fourteen texts, some without sense, each spoken with every emotion. Hours are estimated.",),
    published=(
        PublishedList(
            rows=588,
            task="7class",
            counts={"raw_label": _COUNTS, "speaker": dict.fromkeys(_SPEAKERS, 98)},
            sha256_ids="1b5d8c4ee1fac6fcff30d9b620294a097d163c341de00fdb420e2dba6d40aeb9",
            sha256_labels="503594338b3d175de2d3259302e5f8ddbeb5b6fe0153fed01c2a7eff99d25a33",
            spelling={"happiness": "joy"},
            ids=_ids,
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The recordings named like ``dis-f1-b1.wav`` below ``root``. Raises CorpusError without any."""
    return read_named("emovo", root, INFO, "f1/dis-f1-b1.wav", _utterance, release="1.0")


def _utterance(path: Path) -> Utterance | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        transcript=_SENTENCES[match["text"]],
        language="it",
        sex=match["speaker"][0].upper(),
        sentence=match["text"],
    )


example = _acted.emovo

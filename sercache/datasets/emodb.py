"""Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005): ten German actors."""

from __future__ import annotations

import dataclasses
import re
from contextlib import suppress
from pathlib import Path

from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _acted
from sercache.datasets._files import child
from sercache.datasets._labels import four_class
from sercache.datasets._listeners import RECOGNISED
from sercache.datasets._named import read_named
from sercache.datasets._records import CorpusInfo, PublishedList, Rating, Utterance
from sercache.datasets._text import WESTERN, read_lines, read_table
from sercache.errors import CorpusError

_CLASSES = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_COUNTS = {"W": 127, "L": 81, "E": 46, "A": 69, "F": 71, "T": 62, "N": 79}
_SPEAKERS = {
    "03": 49, "08": 58, "09": 43, "10": 38, "11": 55, "12": 35, "13": 61, "14": 69, "15": 56, "16": 71,
}  # fmt: skip
_MEN = {"03", "10", "11", "12", "15"}
_SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_NAME = re.compile(
    rf"(?P<speaker>{'|'.join(_SPEAKERS)})(?P<text>{'|'.join(_SENTENCES)})(?P<emotion>[{''.join(_CLASSES)}])[a-f]"
)

INFO = CorpusInfo(
    title="Berlin Database of Emotional Speech (EMO-DB)",
    language="de",
    n_speakers=10,
    hours=0.41,
    licence="distributed as CC0",
    licence_id="CC0-1.0",
    access="http://emodb.bilderbar.info or https://zenodo.org/records/17651657",
    tree="<root>/[wav/]03a01Fa.wav ...\n<root>/erkennung.txt (optional)",
    tasks={"7class": _CLASSES, "4class": four_class(_CLASSES)},
    default_task="7class",
    expected_counts=_COUNTS,
    splits={
        "audeering": {"train": ["03", "08", "09", "10", "11", "13"], "test": ["12", "14", "15", "16"]},
    },
    notes=(
        "60 (speaker, text, emotion) groups have two or more versions, so random splits leak.",
        "The ten texts are shared by all emotions.",
        "Release 2.0 (Zenodo) adds 281 clips with low agreement; only the classic 535 are read.",
    ),
    published=(
        PublishedList(
            rows=535,
            task="7class",
            counts={"raw_label": _COUNTS, "speaker": _SPEAKERS},
            sha256_ids="fc1a73ccd55c8d705208edb62ca68d0cd90bcbf95d5ac18aea4d2689b7d6d7f1",
            sha256_labels="31a218a88d68f7be02500c1195101297bde236464e471a36d0a071789e2cbef3",
        ),
    ),
)


def read(root: Path) -> Corpus:
    """The utterances named like ``03a01Fa.wav`` below ``root``; the classic 535 of release 2.0.

    Raises CorpusError where there are none.
    """
    classic = _gold_standard(root)
    release = "classic" if classic is None else "2.0"
    corpus = read_named("emodb", root, INFO, "03a01Fa.wav", lambda p: _utterance(p, classic), release=release)
    rates = _recognition(root)
    if not rates:
        return corpus
    rated = tuple(
        dataclasses.replace(u, ratings=(Rating("listeners", attributes={RECOGNISED: rates[u.id]}),))
        if u.id in rates
        else u
        for u in corpus.utterances
    )
    return dataclasses.replace(corpus, utterances=rated)


def _recognition(root: Path) -> dict[str, float]:
    """Share of the listeners who named the emotion, by id, from ``erkennung.txt``: columns ``Satz`` and ``erkannt``.

    Its fields stand apart by blanks, also such that do not break a line; numbers have a decimal comma and are percent.
    """
    table = child(root, "erkennung.txt")
    if table is None:
        return {}
    rows = [line.split() for line in read_lines(table, WESTERN) if line.strip()]
    heads = [head.lower() for head in rows[0]] if rows else []
    if not {"satz", "erkannt"} <= set(heads):
        return {}
    found = {}
    for row in rows[1:]:
        with suppress(ValueError, IndexError):
            percent = float(row[heads.index("erkannt")].replace(",", "."))
            if 0 <= percent <= 100:
                found[row[heads.index("satz")].removesuffix(".wav")] = percent / 100
    return found


def _utterance(path: Path, classic: set[str] | None) -> Utterance | str | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    if classic is not None and path.stem not in classic:
        return "not one of the classic 535 utterances of release 2.0"
    return Utterance(
        id=path.stem,
        path=path,
        raw_label=match["emotion"],
        speaker=match["speaker"],
        transcript=_SENTENCES[match["text"]],
        language="de",
        sex="M" if match["speaker"] in _MEN else "F",
        sentence=match["text"],
    )


def _gold_standard(root: Path) -> set[str] | None:
    """Stems in the gold-standard tables of the audformat release; None where ``root`` is not that release."""
    header = next((p for p in (root / "db.yaml", *sorted(root.glob("*/db.yaml"))) if p.is_file()), None)
    if header is None:
        return None
    tables = sorted(header.parent.glob("*.emotion.categories.*.gold_standard.csv"))
    stems = set()
    for table in tables:
        stems |= {
            Path(row["file"]).stem for _, row in read_table(table, columns=("file",))[1] if row.get("file")
        }
    if not stems:
        raise CorpusError(
            f"emodb: {root} is release 2.0 but has no table db.emotion.categories.*.gold_standard.csv, "
            "which tells the classic 535 utterances from the 281 others; unpack the whole release"
        )
    return stems


example = _acted.emodb

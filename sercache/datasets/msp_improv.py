"""MSP-IMPROV (Busso et al., IEEE Trans. Affective Computing 2017): six dyadic sessions, four scenarios."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import child, entries, find_root, walk
from sercache.datasets._labels import canonical, four_class
from sercache.datasets._records import CorpusInfo, PublishedList, Rating, Skipped, Subset, Utterance
from sercache.datasets._text import WESTERN, read_lines

_CLASSES = {"A": "anger", "H": "happiness", "N": "neutral", "O": "other", "S": "sadness"}
_COUNTS = {"A": 792, "H": 2644, "N": 3477, "O": 85, "S": 885, "X": 555}
_SPELLING = {"anger": "angry", "happiness": "happy", "neutral": "neutral", "sadness": "sad"}
_SCENARIOS = {
    "natural": ("P", "natural interaction between the improvisations"),
    "target-read": ("R", "target sentence, read"),
    "improvised": ("S", "improvised turns other than the target sentence"),
    "target-improvised": ("T", "target sentence, improvised"),
}
_ID = r"S(?:0[1-9]|1\d|20)[AHNS]-[FM]0[1-6]-[PRST]-[FM]{2}\d\d"
_NUMBER = r"\s*(NaN|\d+(?:\.\d+)?)\s*"
_SCORES = rf"A:{_NUMBER};\s*V:{_NUMBER};\s*D:{_NUMBER};\s*N:{_NUMBER};?"
_CLIP = re.compile(rf"(?:UTD|MSP)-IMPROV-(?P<id>{_ID})\.\w+\s*;\s*(?P<label>\w+)\s*;\s*{_SCORES}")
_RATER = re.compile(rf"(?P<rater>[^;]+?)\s*;\s*(?P<label>\w+)\s*;[^;]*;\s*{_SCORES}")
_LABEL_FILES = ("Evalution.txt", "Evaluation.txt")


@dataclass(frozen=True)
class _Scenario:
    """Whether an utterance belongs to the scenario of a letter."""

    letter: str

    def __call__(self, utterance: Utterance) -> bool:
        return utterance.id.split("-")[4] == self.letter


_SUBSETS = {
    name: Subset(f"scenario {letter}: {text}", _Scenario(letter))
    for name, (letter, text) in _SCENARIOS.items()
}

INFO = CorpusInfo(
    title="MSP-IMPROV",
    language="en",
    n_speakers=12,
    hours=9.6,
    licence="academic licence of UT Dallas, no redistribution",
    licence_id="LicenseRef-MSP-IMPROV",
    restricted=True,
    access="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
    tree=(
        "<root>/Evalution.txt (the corpus' own spelling; Evaluation.txt is taken too)\n"
        "<root>/[Audio/]session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav ..."
    ),
    tasks={"4class": four_class(_CLASSES), "5class": _CLASSES},
    default_task="4class",
    default_protocol="leave-one-session-out",
    expected_counts=_COUNTS,
    subsets=_SUBSETS,
    notes=(
        "Activation is published inverted (1 very active, 5 calm): arousal is 6 minus it, "
        "activation_as_published keeps it.",
        "Twenty target texts are shared by the four emotions in the target scenarios.",
        "EMO-SUPERB: leave-one-session-out with --dev previous.",
        "No transcripts in the release. Hours are estimated.",
    ),
    published=(
        PublishedList(rows=8438, counts={"raw_label": _COUNTS}),
        PublishedList(
            rows=7798,
            task="4class",
            counts={
                "group": {
                    "session1": 916, "session2": 1329, "session3": 1622,
                    "session4": 1051, "session5": 1408, "session6": 1472,
                },
                "speaker": {
                    "F01": 411, "F02": 691, "F03": 856, "F04": 518, "F05": 711, "F06": 720,
                    "M01": 505, "M02": 638, "M03": 766, "M04": 533, "M05": 697, "M06": 752,
                },
            },
            sha256_ids="6edacdd9927a0dfb683135835bc9e2982654186a02542e74b260a8d4d114cafd",
            sha256_labels="2122aa9f704594b64cd0803ac04dc8b301c1dcf865de32b63c4d47af2d8a7fdd",
            spelling=_SPELLING,
        ),
    ),
    attribute_range=(1.0, 5.0),
    shares="share of the raters per primary emotion",
)  # fmt: skip


def read(root: Path) -> Corpus:
    """All labelled clips below the folder that holds ``Evalution.txt``.

    Raises CorpusError where there is no such file.
    """
    release = find_root(
        root, "msp-improv", "the label file Evalution.txt", lambda p: _label_file(p) is not None
    )
    labels = _label_file(release)
    assert labels is not None
    recordings = {path.stem: path for path in walk(release) if re.fullmatch(rf"MSP-IMPROV-{_ID}", path.stem)}
    clips, skipped = _read_labels(labels)
    skipped += [Skipped(i, "no recording") for i in clips if i not in recordings]
    skipped += [Skipped(i, f"no label in {labels.name}") for i in recordings if i not in clips]
    utterances = [_utterance(i, recordings[i], *clips[i]) for i in clips if i in recordings]
    return assemble("msp-improv", release, INFO, utterances, skipped, release="1.0")


def _label_file(folder: Path) -> Path | None:
    """The label file of a folder, if it has one."""
    if not any(p.suffix.lower() == ".txt" for p in entries(folder)):
        return None
    return next((p for name in _LABEL_FILES if (p := child(folder, name)) is not None), None)


LISTENERS = ("",)
"""All raters are."""

Clip = tuple[str, dict[str, float] | None, tuple[Rating, ...]]
"""Label, attributes, ratings."""


def _read_labels(path: Path) -> tuple[dict[str, Clip], list[Skipped]]:
    """Clips of the label file by id, and the lines that cannot be used."""
    clips: dict[str, Clip] = {}
    skipped: list[Skipped] = []
    current = ""
    for number, line in enumerate((text.strip() for text in read_lines(path, WESTERN)), start=1):
        if match := _CLIP.fullmatch(line):
            current = f"MSP-IMPROV-{match['id']}"
            if match["label"] not in _COUNTS or current in clips:
                reason = "labelled twice" if current in clips else f"unknown label {match['label']}"
                skipped.append(Skipped(f"{path.name}: line {number}", f"{current}: {reason}"))
                current = ""
            else:
                clips[current] = (match["label"], _scores(match), ())
        elif (match := _RATER.fullmatch(line)) and current:
            label, scores, ratings = clips[current]
            # Some raters stand twice under a clip, with the same votes.
            if match["rater"] not in {r.rater for r in ratings}:
                vote = canonical(match["label"]) or match["label"].lower()
                clips[current] = (label, scores, (*ratings, Rating(match["rater"], (vote,), _scores(match))))
        elif "-IMPROV-" in line:
            skipped.append(Skipped(f"{path.name}: line {number}", "not a label line"))
            current = ""
    return clips, skipped


def _scores(match: re.Match[str]) -> dict[str, float] | None:
    """Attributes of a line; values that are ``NaN`` are left out."""
    activation, valence, dominance, naturalness = (float(text) for text in match.groups()[-4:])
    found = {
        "arousal": 6.0 - activation,
        "valence": valence,
        "dominance": dominance,
        "naturalness": naturalness,
        "activation_as_published": activation,
    }
    return {name: value for name, value in found.items() if not math.isnan(value)} or None


def _utterance(
    name: str, path: Path, label: str, attributes: dict[str, float] | None, ratings: tuple[Rating, ...]
) -> Utterance:
    _, _, sentence, speaker, scenario, _ = name.split("-")
    shares: dict[str, float] = {}
    for rating in ratings:
        shares[rating.labels[0]] = shares.get(rating.labels[0], 0.0) + 1 / len(ratings)
    return Utterance(
        id=name,
        path=path,
        raw_label=label,
        # The fourth field talks; the pair behind the scenario says whose recording it is.
        speaker=speaker,
        group=f"session{int(speaker[1:])}",
        language="en",
        sex=speaker[0],
        sentence=sentence[:3] if scenario in "RT" else "",
        soft_label=shares or None,
        attributes=attributes,
        ratings=ratings,
    )


example = _tables.msp_improv

"""Trees of corpora that are free to ask for and whose file names carry the labels."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from sercache.datasets._examples._tools import flat, write_text


def subesco(root: Path) -> Path:
    """Two women and two men, every emotion; one name with the bracket of the release."""
    speakers = ("F_01_OISHI", "F_02_MONIKA", "M_01_BASHIR", "M_10_EVAN")
    emotions = ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE")
    stems = [f"{who}_S_{text}_{e}_1" for who, text, e in product(speakers, (1, 10), emotions)]
    return flat(root, [*stems, "F_02_MONIKA_S_2_SURPRISE_3]"], rate=44_100)


def jl_corpus(root: Path) -> Path:
    """All speakers and emotions in the folder of the download, with a text beside each recording."""
    emotions = (
        "angry", "anxious", "apologetic", "assertive", "concerned", "encouraging", "excited", "happy", "neutral", "sad",
    )  # fmt: skip
    speakers = ("female1", "female2", "male1", "male2")
    stems = [f"{who}_{e}_{text}_1" for who, e, text in product(speakers, emotions, ("1a", "15b"))]
    folder = root / "Raw JL corpus (unchecked and unannotated)" / "JL(wav+txt)"
    flat(folder, stems)
    for stem in stems:
        write_text(folder / f"{stem}.txt", "some words\n")
    return root

"""Names of emotions that are the same in every corpus, so that classes can be compared across corpora."""

from __future__ import annotations

from collections.abc import Mapping

FOUR = ("anger", "happiness", "neutral", "sadness")
"""Classes of the task ``4class`` in every corpus."""

_SPELLINGS = {
    "anger": "angry ang rage",
    "boredom": "bored boredem",
    "calm": "calmness",
    "contempt": "",
    "disgust": "disgusted dis",
    "excitement": "excited exc",
    "fear": "fearful fea afraid anxiety",
    "frustration": "frustrated fru",
    "happiness": "happy hap joy joyful",
    "neutral": "neutral_state neu neutrality",
    "sadness": "sad",
    "surprise": "surprised sur pleasant_surprise ps",
    "other": "oth",
}
_CANONICAL = {word: name for name, words in _SPELLINGS.items() for word in (name, *words.split())}


def canonical(label: str) -> str | None:
    """The common name of an emotion (``Happy`` -> ``happiness``), or None for a word that is not known.

    Only whole words are known: single letters mean different emotions in different corpora.
    """
    return _CANONICAL.get(label.strip().lower().replace(" ", "_").replace("-", "_"))


def four_class(native: Mapping[str, str]) -> dict[str, str]:
    """The part of a label map that lies in the four common classes."""
    return {raw: name for raw, name in native.items() if name in FOUR}

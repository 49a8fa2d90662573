"""Clip rules: how long recordings are cut before they are encoded.

A rule is written ``none``, ``trim:<seconds>`` (keep the beginning) or ``split:<seconds>`` (consecutive
pieces, the remainder a piece of its own). It decides the features, so it is part of the FeatureSpec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sercache.errors import SettingsError

_SEPARATOR = "#"


@dataclass(frozen=True)
class ClipRule:
    """What happens to recordings longer than ``seconds``."""

    kind: Literal["none", "trim", "split"]
    seconds: float = 0.0

    def __str__(self) -> str:
        return self.kind if self.kind == "none" else f"{self.kind}:{self.seconds:g}"


def parse(text: str) -> ClipRule:
    """The rule that ``text`` writes.

    Raises SettingsError for anything but ``none``, ``trim:<s>``, ``split:<s>`` with s > 0.
    """
    kind, _, seconds = text.strip().partition(":")
    try:
        if kind == "none" and not seconds:
            return ClipRule("none")
        if kind in ("trim", "split") and 0 < float(seconds.removesuffix("s")) < float("inf"):
            return ClipRule(kind, float(seconds.removesuffix("s")))  # type: ignore[arg-type]
    except ValueError:
        pass
    raise SettingsError(f"a clip rule is none, trim:<seconds> or split:<seconds>, got {text!r}")


def cut(n_samples: int, rate: int, rule: ClipRule, min_samples: int) -> list[tuple[int, int]]:
    """(start, stop) in samples of each piece of a recording of ``n_samples`` at ``rate`` Hz.

    A remainder shorter than ``min_samples`` (too short for a frame) or than 0.1 s is dropped, unless it
    is all there is.
    """
    length = round(rule.seconds * rate)
    if rule.kind == "none" or n_samples <= length:
        return [(0, n_samples)]
    if rule.kind == "trim":
        return [(0, length)]
    shortest = max(min_samples, rate // 10)
    starts = range(0, n_samples, length)
    return [
        (start, min(start + length, n_samples))
        for start in starts
        if start == 0 or min(length, n_samples - start) >= shortest
    ]


def entry_ids(utterance_id: str, n_pieces: int, rule: ClipRule) -> list[str]:
    """Ids under which the pieces of an utterance are stored: its own id, or ``<id>#<k>`` when split."""
    if rule.kind != "split":
        return [utterance_id]
    return [f"{utterance_id}{_SEPARATOR}{k}" for k in range(n_pieces)]


def utterance_id(entry_id: str, rule: ClipRule) -> str:
    """The utterance that a stored entry belongs to."""
    return entry_id.rpartition(_SEPARATOR)[0] if rule.kind == "split" else entry_id

"""Clip rules: how long recordings are cut, and short ones repeated, before they are encoded.

A rule is written ``none``, ``trim:<seconds>`` (keep the beginning), ``split:<seconds>`` (consecutive
pieces, the remainder a piece of its own), ``window:<seconds>:<context>`` (one entry, encoded through
overlapping windows of that many seconds, of which the context next to an inner end is given up: see
sercache.encoders), ``repeat:<seconds>`` (a shorter recording is repeated whole, as
often as it takes to last that long: Park et al.), or ``repeat`` and a cut, ``repeat:3+trim:15``. Recordings
are repeated as decoded, at the encoder's rate; one that is repeated is never cut, so the seconds of the
cut must be at least twice those of the repetition. ``whole``, alone or after a cut (``split:30+whole``), keeps the
padding of an encoder that sees windows of one length, because blocks that are trained from the cache attend to it.
``vad`` (a detector of speech) or ``silence:<dB>`` (frames so far below the loudest) first cuts what lies before and
behind the speech: ``vad+trim:15``. Where that is shows only in the samples, so nothing that counts pieces can follow.
The rule decides the features, so it is part of the FeatureSpec.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sercache.errors import SettingsError

_SEPARATOR = "#"
_CUTS: tuple[Literal["trim", "split", "window"], ...] = ("trim", "split", "window")
_FORMS = (
    "none, trim:<seconds>, split:<seconds>, window:<seconds>:<context>, repeat:<seconds>, "
    "repeat:<seconds>+trim:<seconds>, or whole after any of them but window; vad or silence:<dB> before none, trim or "
    "window"
)


@dataclass(frozen=True)
class ClipRule:
    """What happens to recordings longer than ``seconds`` and to those shorter than ``repeat`` seconds.

    A ``window`` cuts nothing here: the recording stays one entry, and its encoder works through windows.
    """

    kind: Literal["none", "trim", "split", "window"]
    seconds: float = 0.0
    repeat: float = 0.0
    """0: short recordings are left as they are."""
    context: float = 0.0
    """Seconds that a window gives up where it meets another."""
    whole: bool = False
    """Whether the frames of an encoder's padding are kept behind those of the recording."""
    edges: Literal["", "vad", "silence"] = ""
    """What tells the speech, of whose edges the silence is cut; empty: it is kept."""
    decibels: float = 0.0
    """Of ``silence``: how far below the loudest frame one is that holds none."""

    def n_real(self, n_samples: int, hop: int, n_frames: int) -> int:
        """Of ``n_frames`` stored, those that a recording of ``n_samples`` reaches into, ``hop`` samples each."""
        return min(n_frames, -(-n_samples // hop)) if self.whole else n_frames

    def __str__(self) -> str:
        cutting = [] if self.kind == "none" else [f"{self.kind}:{self.seconds:g}"]
        if self.kind == "window":
            cutting = [f"{cutting[0]}:{self.context:g}"]
        repeating = [f"repeat:{self.repeat:g}"] if self.repeat else []
        silence = {"": [], "vad": ["vad"], "silence": [f"silence:{self.decibels:g}"]}[self.edges]
        return "+".join(silence + repeating + cutting + ["whole"] * self.whole) or "none"


def parse(text: str) -> ClipRule:
    """The rule that ``text`` writes. Raises SettingsError for anything that is none."""
    steps = [step.strip().partition(":") for step in text.split("+")]
    if steps[0][0] in ("vad", "silence"):
        return _within_speech(text, steps[0])
    if steps[-1] == ("whole", "", ""):
        rule = parse(text.rpartition("+")[0] or "none")
        if rule.whole or rule.kind == "window":
            raise SettingsError(f"a clip rule is {_FORMS}, got {text!r}")
        return replace(rule, whole=True)
    if [kind for kind, _, seconds in steps if not seconds] == ["none"] and len(steps) == 1:
        return ClipRule("none")
    context = 0.0
    for k, (kind, colon, seconds) in enumerate(steps):
        if kind == "window":
            seen, _, beside = seconds.partition(":")
            context = _positive(beside)
            steps[k] = (kind, colon, seen if 0 < 2 * context < _positive(seen) else "")
    found: dict[str, float] = {kind: _positive(seconds) for kind, _, seconds in steps}
    cuts = [kind for kind in _CUTS if kind in found]
    strange = found.keys() - {*_CUTS, "repeat"}
    if strange or len(cuts) > 1 or len(found) < len(steps) or not all(found.values()):
        raise SettingsError(f"a clip rule is {_FORMS}, got {text!r}")
    repeat = found.get("repeat", 0.0)
    if not cuts:
        return ClipRule("none", repeat=repeat)
    if found[cuts[0]] < 2 * repeat:
        raise SettingsError(
            f"clip rule {text!r}: a repeated recording can last {2 * repeat:g} s; cut at that or more"
        )
    return ClipRule(cuts[0], found[cuts[0]], repeat, context)


def _within_speech(text: str, first: tuple[str, str, str]) -> ClipRule:
    """The rule whose first step cuts silence. Raises SettingsError."""
    edges, colon, value = first
    decibels = _positive(value.removesuffix("dB"))
    rule = parse(text.partition("+")[2] or "none")
    fits = not colon if edges == "vad" else decibels > 0
    if not fits or rule.edges or rule.kind == "split" or rule.repeat:
        raise SettingsError(f"a clip rule is {_FORMS}, got {text!r}")
    return replace(rule, edges="vad" if edges == "vad" else "silence", decibels=decibels)


def _positive(text: str) -> float:
    """Seconds above 0, or 0 where ``text`` is no such number."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def copies(n_samples: int, rate: int, rule: ClipRule) -> int:
    """How often a recording of ``n_samples`` at ``rate`` Hz is played one after another; 1: as it is."""
    return max(1, -(-round(rule.repeat * rate) // max(1, n_samples)))


def cut(n_samples: int, rate: int, rule: ClipRule, min_samples: int) -> list[tuple[int, int]]:
    """(start, stop) in samples of each piece of a recording of ``n_samples`` at ``rate`` Hz.

    A remainder shorter than ``min_samples`` (too short for a frame) or than 0.1 s is dropped, unless it
    is all there is. Repetition is none of this: see ``copies``.
    """
    length = round(rule.seconds * rate)
    if rule.kind in ("none", "window") or rule.edges or n_samples <= length:
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


def longest(n_samples: int, rate: int, rule: ClipRule) -> int:
    """Samples that are left, at most, of a piece of ``n_samples`` at ``rate`` Hz where its silence is cut."""
    cut_at = round(rule.seconds * rate) if rule.edges and rule.kind == "trim" else n_samples
    return min(n_samples, cut_at)


def entry_ids(utterance_id: str, n_pieces: int, rule: ClipRule) -> list[str]:
    """Ids under which the pieces of an utterance are stored: its own id, or ``<id>#<k>`` when split."""
    if rule.kind != "split":
        return [utterance_id]
    return [f"{utterance_id}{_SEPARATOR}{k}" for k in range(n_pieces)]


def utterance_id(entry_id: str, rule: ClipRule) -> str:
    """The utterance that a stored entry belongs to."""
    return entry_id.rpartition(_SEPARATOR)[0] if rule.kind == "split" else entry_id

"""What is known of a recording, and what is to be said of one that was read all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

REMARKS: Mapping[str, str] = {
    "overshoot": "end a little behind their recording and were cut there",
    "joined": "are several recordings in one file, read one after another",
    "header": "have a header that states another length or rate than the file holds",
    "unfinished": "lack their end mark or the length in their header, so that a cut would not show",
    "trailing": "have bytes behind their end that are not read",
    "unverified": "are of a kind that states no length, so that a cut would not show",
    "decoder": "were read with remarks by the decoder",
    "loud": "go far beyond full scale",
    "quiet": "hold hardly any sound",
    "cancelling": "have channels that nearly cancel each other",
}
"""Kinds of remarks, as a counted line says them of several recordings."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know of a recording that was read."""

    kind: str
    """A key of REMARKS."""
    text: str
    """Of this recording, without its path."""


Tell = Callable[[Remark], object]
"""Hears the remarks on a recording."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file holds, as far as its header, its size and the marks of its format tell."""

    rate: int
    """Hz."""
    channels: int
    n_samples: int
    """Per channel, at ``rate``; counted by decoding where the header cannot be believed."""
    remarks: tuple[Remark, ...] = ()

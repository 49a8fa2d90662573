"""What is known of a recording, and what is to be said of one that was read all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

REMARKS: Mapping[str, str] = {
    "overshoot": "segment ends a little behind its recording, and was cut there",
    "joined": "several recordings in one file, read one after another",
    "header": "header and content disagree; the content was read",
    "unfinished": "no end mark, or no length in the header: a cut would not show",
    "trailing": "bytes behind the end that the header states are not read",
    "unverified": "a kind of file that states no length: a cut would not show",
    "decoder": "read with a remark of the decoder",
    "loud": "far beyond full scale",
    "quiet": "hardly any sound",
    "no-speech": "no speech that could be cut out was found in it, so it was kept whole",
    "cancelling": "channels nearly cancel each other",
}
"""Kinds of remarks, and what is said of all recordings of a kind."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know of a recording that was read."""

    kind: str
    """A key of REMARKS."""
    text: str
    """Of this recording, without its path."""


def counted(remarked: Iterable[tuple[str, Remark]]) -> Iterator[str]:
    """A line for each kind of remark on recordings, which are named by ids: how many, which one first, and what."""
    found: dict[str, dict[str, str]] = {}
    for id, remark in remarked:
        found.setdefault(remark.kind, {}).setdefault(id, remark.text)
    for kind in REMARKS:
        if kind in found:
            (first, text), *rest = found[kind].items()
            of = f"{len(rest) + 1} recordings" if rest else "1 recording"
            yield f"{of}: {REMARKS[kind]}; first: {first}: {text}"


Tell = Callable[[Remark], object]
"""Is called with each remark on a recording."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file holds, as far as its header, its size and the marks of its format tell."""

    rate: int
    """Hz."""
    channels: int
    n_samples: int
    """Per channel, at ``rate``; counted by decoding where the header cannot be believed."""
    remarks: tuple[Remark, ...] = ()

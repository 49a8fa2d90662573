"""The records of a check-up: findings, counts, sound, and the whole as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sercache.audio import REMARKS
from sercache.datasets import ListCheck, Skipped
from sercache.units import listed

Severity = Literal["problem", "note"]

KINDS: Mapping[str, tuple[Severity, str]] = {
    "incomplete": ("problem", "differs from the published list"),
    "left-out": ("problem", "left out by the reader, and no published list tells whether it matters"),
    "unreadable": ("problem", "cannot be read as audio"),
    "lfs-pointer": ("problem", "git-LFS pointer instead of audio"),
    "truncated": ("problem", "the header promises more than the file holds"),
    "damaged": ("problem", "what is in the file fails the checks of its format"),
    "outside": ("problem", "start or end lies outside the recording"),
    "silent": ("problem", "silent"),
    "cancelled": ("problem", "channels cancel each other"),
    "not-finite": ("problem", "holds NaN or infinity"),
    "overflow": ("problem", "far too loud for any encoder"),
    "too-short": ("problem", "shorter than 0.1 s"),
    "leak": ("problem", "equal audio under several speakers, labels, groups or partitions"),
    "duplicate": ("note", "equal audio under several ids of one speaker and label: counts twice"),
    "too-long": ("note", "longer than 30 s: memory; choose --clip"),
    **{kind: ("note", text) for kind, text in REMARKS.items() if kind != "quiet"},
    "odd-rate": ("note", "other sample rate than most: resampled like all others"),
    "odd-channels": ("note", "other number of channels than most: channels are averaged"),
    "part": ("note", "the copy is a part of the corpus"),
    "skipped": ("note", "left out by the reader"),
    "unlisted": ("note", "completeness cannot be checked"),
    "speakers": ("note", "other speakers than published, or none known"),
    "reader": ("note", "reported by the reader"),
}
"""Every kind of finding: whether it is a problem, and what it says; in the order of reports."""


_NAMED = 8
"""Names that the text of a finding holds."""


def some(names: Sequence[str]) -> str:
    """Names for a line of text: the first ones, and how many more there are."""
    return listed(names, _NAMED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect or one thing to know, told once."""

    kind: str
    """A key of KINDS."""
    detail: str
    ids: tuple[str, ...] = ()
    """Utterances concerned; of equal audio: all that share it."""
    path: str = ""
    """File, relative to the root; empty where no single file is meant."""

    @property
    def severity(self) -> Severity:
        """Whether it is a problem or a note."""
        return KINDS[self.kind][0]


@dataclass(frozen=True, slots=True)
class Count:
    """How often a value occurs in this copy and in the published list."""

    value: str
    here: int
    published: int | None
    """None where nothing is published of it."""
    name: str = ""
    """Class that a label stands for."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Utterances of ``start`` s and longer that are shorter than ``end`` s; None: no upper end."""

    start: float
    end: float | None
    n: int


@dataclass(frozen=True, slots=True)
class AudioSummary:
    """Durations (s) and formats of what could be read."""

    hours: float
    hours_published: float | None
    shortest: float | None
    median: float | None
    longest: float | None
    histogram: tuple[Bin, ...]
    rates: Mapping[int, int]
    """Sample rate (Hz) -> files."""
    channels: Mapping[int, int]
    """Channels -> files."""


@dataclass(frozen=True)
class CheckUp:
    """The state of a copy of a corpus."""

    corpus: str
    release: str
    root: str
    title: str
    licence: str
    access: str
    """Where to ask for the corpus."""
    task: str
    """Task whose classes are counted."""
    deep: bool
    n_utterances: int
    n_files: int
    sound: AudioSummary
    comparisons: tuple[ListCheck, ...]
    """With every published list."""
    reference: int | None
    """Index of the comparison that the copy is judged by."""
    counts: Mapping[str, tuple[Count, ...]]
    """By ``label``, ``class``, ``speaker``, ``group`` and ``partition``, where the corpus has them."""
    known: Mapping[str, int]
    """Field of Utterance -> utterances that have it."""
    n_speakers_published: int | None
    skipped: tuple[Skipped, ...]
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that make numbers wrong or not comparable."""
        return tuple(f for f in self.findings if f.severity == "problem")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that are good to know."""
        return tuple(f for f in self.findings if f.severity == "note")

    def plain(self) -> dict[str, Any]:
        """The check-up as JSON values; keys stay, new ones may be added.

        ``corpus``, ``release``, ``root``, ``title``, ``licence``, ``access``, ``task``: text.
        ``deep``: whether everything was decoded. ``clean``: true where there are no problems.
        ``n_utterances``, ``n_files``, ``n_problems``, ``n_notes``, ``n_speakers_published`` (or null).
        ``sound``: ``hours``, ``hours_published``, ``shortest``, ``median``, ``longest`` (s, or null),
        ``histogram`` [{``start``, ``end`` (s; null: open), ``n``}], ``rates`` {Hz: files},
        ``channels`` {channels: files}.
        ``comparisons``: [{``task``, ``rows``, ``expected_rows``, ``digest`` (match, differs, unknown),
        ``differences`` [text]}]; ``reference``: index of the one that counts, or null.
        ``counts``: {``label`` | ``class`` | ``speaker`` | ``group`` | ``partition``: [{``value``, ``here``,
        ``published`` (or null), ``name``}]}. ``known``: {field: utterances that have it}.
        ``skipped``: [{``what``, ``reason``}].
        ``findings``: [{``kind`` (a key of KINDS), ``severity`` (problem, note), ``detail``, ``ids``,
        ``path``}].
        """
        found = dataclasses.asdict(self)
        found["findings"] = [dataclasses.asdict(f) | {"severity": f.severity} for f in self.findings]
        found |= {
            "clean": not self.problems,
            "n_problems": len(self.problems),
            "n_notes": len(self.notes),
        }
        return found

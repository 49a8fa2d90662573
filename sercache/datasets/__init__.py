"""Corpora as their owners distribute them: one public module per corpus.

A module ``<name>.py`` registers ``--dataset <name>`` and defines

``INFO``
    a CorpusInfo: what ``sercache datasets <name>`` shows.
``read(root: Path) -> Corpus``
    reads labels and file headers, never the samples. Raises CorpusError where ``root`` is not the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sercache.catalog import unknown
from sercache.errors import CorpusError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled turn of speech."""

    id: str
    path: Path
    raw_label: str
    """The label exactly as published."""
    speaker: str
    """Who truly talks, whatever the file name suggests; empty where the corpus does not say."""
    group: str = ""
    """Session or dialogue, for folds."""
    start: float | None = None
    """Seconds into the file; None: from its beginning."""
    end: float | None = None
    """Seconds into the file; None: to its end."""
    partition: str = ""
    """Official part (train, dev, test), where the corpus has one."""
    transcript: str | None = None
    language: str = ""
    """BCP 47 code of the speech, for example ``en``."""
    sex: str = ""
    """``F``, ``M`` or empty."""
    sentence: str = ""
    """Key of the spoken text: utterances with equal keys say the same words. Empty: unknown."""
    soft_label: Mapping[str, float] | None = None
    """Share of raters per class."""
    attributes: Mapping[str, float] | None = None
    """Arousal, valence, dominance as published."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or label line that a reader left out, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class CorpusInfo:
    """What is known of a corpus before one has it."""

    title: str
    language: str
    n_speakers: int | None
    hours: float | None
    licence: str
    access: str
    """Where to ask for it."""
    tree: str
    """The expected folder layout, as text."""
    tasks: Mapping[str, Mapping[str, str]]
    """Label maps by task: raw label -> class. Raw labels that a map lacks are left out of that task."""
    default_task: str
    expected_counts: Mapping[str, int] = field(default_factory=dict)
    """Published number of utterances per raw label; empty where none is established."""
    splits: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """Named fixed splits: name -> part (train, dev, test) -> speakers."""
    notes: Sequence[str] = ()
    """Traps and customs that a user should know."""


@dataclass(frozen=True)
class Corpus:
    """A corpus as found on disk. Construction checks that ids are unique."""

    name: str
    release: str
    root: Path
    info: CorpusInfo
    utterances: tuple[Utterance, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    """What differs from the published tables, one line each, ids named."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        double = sorted({u.id for u in self.utterances if u.id in seen or seen.add(u.id)})  # type: ignore[func-returns-value]
        if double:
            raise CorpusError(
                f"{self.name}: {len(double)} utterance ids occur twice, first: {double[0]}; "
                "an id must name one utterance"
            )

    def labels(self, task: str | None = None) -> dict[str, str]:
        """Class of each utterance that ``task`` labels: id -> class, in corpus order.

        Raises UnknownNameError for a task that the corpus does not have.
        """
        task = task or self.info.default_task
        if task not in self.info.tasks:
            raise UnknownNameError(unknown(f"task of {self.name}", task, sorted(self.info.tasks)))
        label_map = self.info.tasks[task]
        return {u.id: label_map[u.raw_label] for u in self.utterances if u.raw_label in label_map}

    def classes(self, task: str | None = None) -> list[str]:
        """Class names of ``task``, alphabetical; a head's output k is class k."""
        return sorted(set(self.info.tasks[task or self.info.default_task].values()))

    def by_id(self) -> dict[str, Utterance]:
        """Utterances by id."""
        return {u.id: u for u in self.utterances}

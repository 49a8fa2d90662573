"""The records of a corpus: utterances, what is known of the corpus, and the corpus as found on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sercache.catalog import unknown
from sercache.errors import CorpusError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Rating:
    """What one rater said of one utterance, as published."""

    rater: str
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, float] | None = None


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
    ratings: tuple[Rating, ...] = ()
    """Single raters, where the corpus publishes them."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or label line that a reader left out, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Subset:
    """A part of a corpus that studies use, written behind a task: ``4class@improvised``."""

    description: str
    holds: Callable[[Utterance], bool]
    """Whether an utterance belongs to the part. May read a small file beside the recording."""


@dataclass(frozen=True, slots=True)
class Published:
    """What is known of a full list of utterances without having it: counts and sha256 digests."""

    rows: int
    task: str = ""
    """Task expression whose labels are meant; empty: every utterance, whatever its label."""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Number of utterances by field of Utterance (``speaker``, ``group``, ``raw_label``) and value."""
    sha256_ids: str = ""
    """Over the sorted lines ``id``, each ended by a line feed."""
    sha256_labels: str = ""
    """Over the sorted lines ``id<TAB>label``, each ended by a line feed."""
    spelling: Mapping[str, str] = field(default_factory=dict)
    """Class name -> label in that list, where they differ."""
    ids: Callable[[], Iterable[str]] | None = None
    """The ids themselves, where a rule makes them."""


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
    folds: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """Named sets of folds: name -> fold -> speakers of its test part; the others train."""
    subsets: Mapping[str, Subset] = field(default_factory=dict)
    """Parts that can be asked for behind a task, ``<task>@<subset>``."""
    setups: Mapping[str, str] = field(default_factory=dict)
    """Names of customary setups -> task expression, for example ``4class@improvised``."""
    published: Sequence[Published] = ()
    """Lists that a copy can be compared with; the first is the whole corpus."""
    default_protocol: str = "leave-one-speaker-out"
    """How a head is judged on this corpus where its own paper does not say."""
    attribute_range: tuple[float, float] | None = None
    """Least and greatest value of ``Utterance.attributes``."""
    generated: bool = False
    """True: ``read`` makes the corpus in ``root`` where there is nothing yet."""


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

        ``task`` is a label map (``4class``), a label map and subsets (``4class@improvised``) or a setup.
        Raises UnknownNameError for a task, subset or setup that the corpus does not have.
        """
        name, subsets = self._resolve(task)
        label_map = self.info.tasks[name]
        return {
            u.id: label_map[u.raw_label]
            for u in self.utterances
            if u.raw_label in label_map and all(s.holds(u) for s in subsets)
        }

    def classes(self, task: str | None = None) -> list[str]:
        """Class names of ``task`` that occur in this copy, alphabetical; a head's output k is class k."""
        return sorted(set(self.labels(task).values()))

    def missing_classes(self, task: str | None = None) -> list[str]:
        """Class names of ``task`` that no utterance of this copy has, alphabetical."""
        name, _ = self._resolve(task)
        return sorted(set(self.info.tasks[name].values()) - set(self.classes(task)))

    def by_id(self) -> dict[str, Utterance]:
        """Utterances by id."""
        return {u.id: u for u in self.utterances}

    def _resolve(self, task: str | None) -> tuple[str, list[Subset]]:
        """Name of the label map and the subsets that a task expression asks for."""
        info = self.info
        expression = task or info.default_task
        name, *wanted = info.setups.get(expression, expression).split("@")
        if name not in info.tasks:
            on_offer = [*info.tasks, *(s for s in info.setups if s not in info.tasks)]
            raise UnknownNameError(unknown(f"task of {self.name}", name, on_offer))
        for subset in wanted:
            if subset not in info.subsets:
                raise UnknownNameError(unknown(f"subset of {self.name}", subset, sorted(info.subsets)))
        return name, [info.subsets[subset] for subset in wanted]

"""What a corpus consists of: its utterances, and what is known of it before one has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


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
class PublishedList:
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


_COPIED = {
    "CC0-1.0", "PDDL-1.0", "ODbL-1.0", "ODC-By-1.0",
    *(f"CC-{terms}-{version}" for terms in ("BY", "BY-SA", "BY-NC", "BY-NC-SA") for version in ("3.0", "4.0")),
}  # fmt: skip
"""Licences that let anybody pass a recording on, in parts and in another encoding, if its source is named."""


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
    published: Sequence[PublishedList] = ()
    """Lists that a copy can be compared with; the first is the whole corpus."""
    default_protocol: str = "leave-one-speaker-out"
    """How a head is judged on this corpus where its own paper does not say."""
    attribute_range: tuple[float, float] | None = None
    """Ends of the scale of arousal, valence and dominance; the task ``avd`` needs it."""
    shares: str = ""
    """What ``Utterance.soft_label`` is; empty where the corpus has none. For the task ``shares``."""
    official: str = ""
    """What ``fixed:official`` and its like are, where ``Utterance.partition`` is set."""
    generated: bool = False
    """True: ``read`` makes the corpus in ``root`` where there is nothing yet."""
    own: bool = False
    """True: any corpus of its kind can be read so; each has a name of its own, ``--dataset <reader>:<name>``."""
    restricted: bool = False
    """True: its licence forbids to pass it on, or what is made of it: whoever sends it is asked for the right to."""
    licence_id: str = ""
    """SPDX identifier of the licence of the recordings, ``LicenseRef-NAME`` for owners' terms; empty: not known."""

    @property
    def clips_may_be_copied(self) -> bool | None:
        """Whether the licence lets anybody pass clips of the recordings on, cut and encoded anew; None: not known.

        A licence without derivatives (ND) does not say so clearly that it counts as one that does.
        """
        if self.restricted or self.licence_id.startswith("LicenseRef-") or "-ND" in self.licence_id:
            return False
        return True if self.licence_id in _COPIED else None

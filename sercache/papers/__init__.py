"""One file per paper: its tables and figures, the printed numbers, and what to run for ours.

A module ``<paper>.py`` defines ``CITATION: str`` and ``TABLES: dict[str, Table]``, and where the paper tells them
``UTTERANCES: dict[str, int]``, its utterances by ``corpus:task``, and ``LISTS: PublishedLists`` where its folds are
lists that its authors publish. A figure is a table too: its cells are the points, and ``PaperTable.plot`` says how they
are drawn. Everything here is data: what a cell needs is run by `sercache reproduce`, nothing is run at import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sercache.readings import Variant
from sercache.record import Aggregate


@dataclass(frozen=True)
class Printed:
    """A number as the paper prints it, in the unit of its table."""

    mean: float
    std: float | None = None


@dataclass(frozen=True)
class AlsoTrain:
    """A second corpus, all of which (or a random share) is added to the training part of every fold."""

    dataset: str
    task: str
    language: str | None = None
    """Only utterances in this language; None: all."""
    share: float = 1.0
    """Random share of its utterances, drawn once with the seed 0."""


@dataclass(frozen=True)
class PublishedLists:
    """What authors publish of their folds, which everybody gets from them: ``LISTS`` of a paper's file."""

    name: str
    """Under which a user says where it lies, as of a corpus: ``--root NAME=FOLDER``."""
    title: str
    address: str
    """Of the repository."""


@dataclass(frozen=True)
class Selection:
    """Utterances of a corpus that a list names."""

    path: str
    """Below the folder of the published lists."""
    n_utterances: int


@dataclass(frozen=True)
class Trial:
    """One training over all folds and seeds. What is not named is the head's published set-up and recipe."""

    head: str
    encoder: str
    dataset: str
    also_train: tuple[AlsoTrain, ...] = ()
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Fields of Setup that differ from the head's own."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Fields of Recipe that differ from the head's own."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the head."""
    start: Trial | None = None
    """Trial whose weights, fold by fold, this one's begin with."""
    speaker: Trial | None = None
    """Trial whose trained network gives the frozen vectors that the head reads beside its encoder's."""
    variant: Variant | None = None
    """Where they differ: all as the paper's text says, or as its code does. None: as the head's file has it."""
    transcripts: str = ""
    """Recogniser whose texts an encoder of text reads; empty: it reads the corpus' own transcripts."""
    selected: Mapping[str, Selection] = field(default_factory=dict)
    """Of corpora of ``test_on``, the part that the paper tests on."""


Metric = Literal["wa", "ua", "macro_f1", "rho", "ccc", "recall", "ppmi", "layer-weight"]


@dataclass(frozen=True)
class TrialScore:
    """A number out of a trial's report."""

    trial: Trial
    metric: Metric
    aggregate: Aggregate = "folds"
    on: str | None = None
    """A corpus of the set-up's ``test_on``; None: the test parts of the trial's own folds."""
    of: str | None = None
    """The class of a recall or PPMI, the states of a layer weight (``6``, ``1-12``); None: over all."""


@dataclass(frozen=True)
class BestOf:
    """Mean over groups of the best score in each: best-of-two systems, averaged over emotions."""

    groups: tuple[tuple[TrialScore, ...], ...]


@dataclass(frozen=True)
class ErrorRate:
    """Word or character error rate of a speech recogniser on a corpus with transcripts."""

    recogniser: str
    dataset: str
    unit: Literal["word", "character"]


@dataclass(frozen=True)
class Latency:
    """Milliseconds that networks take for one recording, measured here on random weights."""

    heads: tuple[tuple[str, Mapping[str, Any]], ...]
    """Head and options of each network that runs, every one on an encoder of its own."""
    seconds: float
    machine: str = ""
    """What the paper measured on."""


@dataclass(frozen=True)
class Vectors:
    """How far apart groups of vectors are that a trial's first trained network gives: mean silhouette of cosines.

    The vectors themselves are drawn where the table's plot is a ``map``.
    """

    trial: Trial
    by: Literal["speaker", "predicted class"]
    """What the groups are."""
    part: Literal["all", "train", "test"] = "all"
    """Which utterances: a part of the trial's first fold, or all."""
    on: str | None = None
    """``DATASET[:TASK]`` that the recordings are of; None: the trial's own."""
    clip: str | None = None
    """How they are cut; None: as in the trial."""


@dataclass(frozen=True)
class Change:
    """By how many per cent a mean lies above or below a baseline that the paper prints."""

    of: BestOf
    baseline: float


@dataclass(frozen=True)
class Gap:
    """By how much one score lies above another: the same system, judged in two ways."""

    of: TrialScore
    less: TrialScore


@dataclass(frozen=True)
class Members:
    """Number of utterances of a corpus that a task labels: of one class, session and sex, or of all."""

    dataset: str
    task: str
    label: str | None = None
    session: str | None = None
    sex: str | None = None


@dataclass(frozen=True)
class Built:
    """A size of a head as it is built here: its parameters, or what an attribute of it holds."""

    head: str
    n_layers: int
    dim: int
    n_outputs: int
    of: str = "parameters"
    """Path of the attribute, a number for an entry: ``conv1.kernel_size.0``."""


@dataclass(frozen=True)
class RecipeField:
    """A number of the recipe that a trial is trained with."""

    trial: Trial
    field: str


Fact = Members | Built | RecipeField
"""Numbers that nothing is trained for."""
Ours = TrialScore | BestOf | Change | Gap | ErrorRate | Latency | Vectors | Fact


@dataclass(frozen=True)
class Cell:
    """A printed number and where ours comes from (None: somebody else's system)."""

    printed: Printed | None = None
    ours: Ours | None = None
    unlike: str = ""
    """What is done here in another way, or is not known to be done as there: then there is no verdict."""


@dataclass(frozen=True)
class PaperRow:
    """One row: a name and cells by column."""

    name: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Plot:
    """How a table is drawn."""

    kind: Literal["lines", "bars", "scatter", "map"]
    """``lines``: a line per row over the columns; ``bars``: a group of bars per row; ``scatter``: true against
    predicted values of each cell's trial; ``map``: t-SNE of each cell's vectors."""
    x: str
    y: str
    panels: tuple[str, ...] = ()
    """Lines: a panel for the rows whose names begin with each of these; none: all in one."""
    omit: tuple[str, ...] = ()
    """Rows and columns that are in the table alone, such as sums."""


@dataclass(frozen=True)
class PaperTable:
    """A table or figure of a paper."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    unit: Literal["", "%", "ms"] = ""
    """Of the printed numbers; ``%``: ours are multiplied by 100."""
    digits: int | None = 4
    """Decimals that are shown; None: as many as a number has."""
    notes: tuple[str, ...] = ()
    plot: Plot | None = None
    any_encoder: bool = False
    """Whether rows are called ``WHAT: ENCODER`` and are alike for all encoders, so that others can have rows too."""
    tells_overlap: bool = False
    """Whether it is said of every trial which speakers of its test parts are trained on."""

    @property
    def scale(self) -> float:
        """What a share of 1 is multiplied by to stand beside the printed numbers."""
        return 100.0 if self.unit == "%" else 1.0


def scores(ours: Ours | None) -> tuple[TrialScore, ...]:
    """The scores that a cell is made of; none for other sources."""
    if isinstance(ours, TrialScore):
        return (ours,)
    if isinstance(ours, Gap):
        return (ours.of, ours.less)
    if isinstance(ours, Change):
        ours = ours.of
    return tuple(score for group in ours.groups for score in group) if isinstance(ours, BestOf) else ()


def trials_of(ours: Ours | None) -> tuple[Trial, ...]:
    """The trials that a cell rests on."""
    return (ours.trial,) if isinstance(ours, Vectors) else tuple(score.trial for score in scores(ours))


def trials(table: PaperTable) -> Iterator[Trial]:
    """The trials that a table's cells name, in order; several cells may share one."""
    for row in table.rows:
        for cell in row.cells.values():
            yield from trials_of(cell.ours)


def theirs(name: str, **printed: float | tuple[float, float]) -> PaperRow:
    """A row of other people's results: numbers by column, ``(mean, std)`` where a deviation is printed."""
    return PaperRow(name, {column: Cell(number(value)) for column, value in printed.items()})


def number(value: float | tuple[float, float] | None) -> Printed | None:
    """A printed number; None where nothing is printed."""
    if value is None:
        return None
    return Printed(*value) if isinstance(value, tuple) else Printed(value)

"""What a call of `sercache reproduce` asks for and has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from sercache import catalog, encoders, settings
from sercache.errors import SercacheError, SettingsError
from sercache.experiment import Count
from sercache.experiment.vectors import LabelledVectors
from sercache.papers import ErrorRate, Members, PaperRow, PaperTable, Trial, Vectors, trials_of
from sercache.published import TrialPlan, plan
from sercache.readings import Variant
from sercache.record import Report
from sercache.reproduction.kept import is_done
from sercache.reproduction.place import Place, is_at_hand
from sercache.settings import Settings
from sercache.units import listed

_GIVEN = "a folder of yours"
"""How the source of a short name ends that means no checkpoint until somebody gives one: no swap then."""


@dataclass(frozen=True)
class ReproduceOptions:
    """The options of one call."""

    paper: str | None = None
    table: str | None = None
    roots: Sequence[str] = ()
    """Where corpora lie: ``DATASET=FOLDER`` each, or one folder for a table that reads one corpus."""
    cache: Path | None = None
    device: str | None = None
    runs: Path | None = None
    rows: str | None = None
    may_extract: bool = True
    only_available: bool = False
    settings: Sequence[str] = ()
    seeds: Count | None = None
    encoders: Sequence[str] = ()
    """``NAME=CHECKPOINT``: what stands for another; a name alone: the rows of this encoder."""
    datasets: Sequence[str] = ()
    """Only rows that read these corpora; none: all."""
    variant: Variant | None = None
    look: bool = False
    """A coarse look, no result: one seed, few epochs of every trial."""
    budget: str | None = None
    """Time for this call, as 2h, extraction included: rows and seeds that fit are done."""
    only_foretold: bool = False
    """Say what it takes and do nothing."""
    cluster: str | None = None
    cluster_options: Sequence[str] = ()
    lifetime: str | None = None

    @property
    def instead(self) -> dict[str, str]:
        """Checkpoints that stand for others. Raises SettingsError for an entry without both."""
        pairs = [text.partition("=") for text in self.encoders if "=" in text]
        strange = next((a + sign + b for a, sign, b in pairs if not (a and b)), None)
        if strange is not None:
            raise SettingsError(f"--encoder is written NAME=CHECKPOINT here, got {strange!r}")
        return {name: value for name, _, value in pairs}

    @property
    def only_encoders(self) -> tuple[str, ...]:
        """The encoders whose rows are asked for; none: all."""
        return tuple(dict.fromkeys(text for text in self.encoders if "=" not in text))

    def plan(self, trial: Trial) -> TrialPlan:
        """The trial with what this call changes of it."""
        return plan(
            trial,
            changes=self.settings,
            seeds=self.seeds,
            encoders=self.instead,
            look=self.look,
            variant=self.variant,
        )

    def meant(self, trial: Trial) -> TrialPlan:
        """The trial as the paper has it, in the variant that this call names."""
        return plan(trial, variant=self.variant)

    @property
    def changes(self) -> tuple[str, ...]:
        """What differs from the paper by the user's will, in words."""
        seeds = () if self.seeds is None else (f"at most {self.seeds} seeds",)
        known = encoders.short_names()
        swapped = tuple(
            f"encoder {value} for {name}"
            for name, value in self.instead.items()
            if not known.get(name, ("", ""))[1].endswith(_GIVEN)
        )
        look = ("look",) if self.look else ()
        return (*look, *self.settings, *seeds, *swapped)


@dataclass
class TableProgress:
    """What came out: reports by digest, values by cell, and what stood in the way."""

    reports: dict[str, tuple[str, Report]] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)
    failed: dict[str, None] = field(default_factory=dict)
    faults: dict[str, SercacheError] = field(default_factory=dict)
    """Why a trial could not be had, by digest."""
    vectors: dict[int, LabelledVectors] = field(default_factory=dict)
    """By identity of the cell's source."""


def find_paper(name: str) -> tuple[str, ModuleType]:
    """The paper's full name and module; the beginning of one is enough. Raises UnknownNameError."""
    on_offer = catalog.names("sercache.papers")
    fitting = [each for each in on_offer if each.startswith(name.lower())]
    full = fitting[0] if len(fitting) == 1 else name
    return full, catalog.load("sercache.papers", full)


def with_table(request: ReproduceOptions) -> ReproduceOptions:
    """The options with the paper's first table where they name rows and no table."""
    if request.paper is None or request.table is not None or not (request.only_encoders or request.datasets):
        return request
    return dataclasses.replace(request, table=next(iter(find_paper(request.paper)[1].TABLES)))


def plans_of(rows: Sequence[PaperRow], request: ReproduceOptions) -> list[TrialPlan]:
    """Plans of all trials of some rows, each once, with those that come before them."""
    cells = (cell for row in rows for cell in row.cells.values())
    # Cells may share a trial: it is made whole once.
    trials = {id(trial): trial for cell in cells for trial in trials_of(cell.ours)}
    plans: dict[str, TrialPlan] = {}
    for trial in trials.values():
        made: TrialPlan | None = request.plan(trial)
        for each in (made.start, made.speaker, made) if made else ():
            if each:
                plans[each.digest] = each
    return list(plans.values())


def roots_of(
    request: ReproduceOptions, read: Sequence[str], known: Settings, lists: str | None = None
) -> Settings:
    """The settings with the roots that the call names, for rows that read these corpora, and ``lists`` of folds.

    Raises SettingsError for a corpus that they do not read, a folder that may be that of several, or that is not there.
    """
    roots = dict(known.roots)
    for text in request.roots:
        name, equals, folder = text.partition("=")
        if not equals or name not in catalog.names("sercache.datasets"):  # a folder's own name may have a =
            name, folder = "", text
        if not name and len(read) != 1:
            raise SettingsError(
                f"{request.paper} {request.table} reads {', '.join(read) or 'no corpus'}: say whose folder "
                f"{text} is" + (f", --root {read[0]}={folder}" if read else "; leave --root out")
            )
        if name and name not in (*read, lists):
            raise SettingsError(f"{request.paper} {request.table} reads {', '.join(read)}, not {name}")
        if not settings.expanded(folder).exists():
            raise SettingsError(
                f"there is no folder {folder}; give --root {name or read[0]}=FOLDER one that is there"
            )
        roots[name or read[0]] = folder
    # A flag stands above the environment.
    variables = {settings.root_variable(name) for name in roots if known.roots.get(name) != roots[name]}
    environment = {key: value for key, value in known.environment.items() if key not in variables}
    return dataclasses.replace(known, roots=roots, environment=environment)


def datasets_of(rows: Sequence[PaperRow], plans: Sequence[TrialPlan]) -> list[str]:
    """Corpora that some rows, whose ``plans`` these are, read; those that are only tested on included."""
    sources = [cell.ours for row in rows for cell in row.cells.values()]
    others = [each.dataset for each in sources if isinstance(each, ErrorRate | Members)]
    others += [each.on.partition(":")[0] for each in sources if isinstance(each, Vectors) and each.on]
    return list(
        dict.fromkeys([*(name for each in plans for name in (*each.datasets, *each.tested_on)), *others])
    )


_NAMED = 6
"""Corpora that are named."""
OVERVIEW = ("paper", "table", "trials done", "not at hand", "what")
"""Columns of ``overview``."""


def overview(request: ReproduceOptions) -> list[tuple[str, ...]]:
    """Of every table: paper, table, trials done, corpora that are not at hand, title."""
    known = [find_paper(request.paper)[0]] if request.paper else catalog.names("sercache.papers")
    lines: list[tuple[str, ...]] = []
    # Tables share corpora, and each is looked for in all stores of the cache.
    at_hand: dict[str, bool] = {}
    for name in known:
        tables: Mapping[str, PaperTable] = catalog.load("sercache.papers", name).TABLES
        for key, table in tables.items():
            lines.append((name, key, *_state(name, table, request, at_hand), table.title))
    return lines


def _state(
    paper: str, table: PaperTable, request: ReproduceOptions, at_hand: dict[str, bool]
) -> tuple[str, str]:
    """How much of a table is done, and what it waits for; what is found out of corpora is noted in ``at_hand``."""
    place = _quiet_place(paper, request)
    plans = plans_of(table.rows, request)
    done = sum(is_done(each, place) for each in plans)
    read = datasets_of(table.rows, plans)
    at_hand |= {each: is_at_hand(each, place) for each in read if each not in at_hand}
    missing = [each for each in read if not at_hand[each]]
    return f"{done} of {len(plans)}" if plans else "-", listed(missing, _NAMED) or "-"


def _quiet_place(paper: str, request: ReproduceOptions) -> Place:
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    runs = Path(known.value("runs", request.runs).value).expanduser()
    return Place(known, cache, "cpu", runs / paper, False)

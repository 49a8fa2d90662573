"""What the trials of a table take, told before the first of them, and which rows and seeds fit into a time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from sercache import advice, settings
from sercache.claims import Claims
from sercache.errors import SercacheError, SettingsError
from sercache.evaluation import Forecast, Several, forecast, looking_ahead, prepare, within
from sercache.experiment import planned
from sercache.papers import PaperRow
from sercache.progress import unheard, used
from sercache.published import TrialPlan
from sercache.reproduction.kept import asked_of, find, short
from sercache.reproduction.material import expect
from sercache.reproduction.paper import ReproduceOptions, plans_of
from sercache.reproduction.place import Place
from sercache.reproduction.trials import computed_on, kind_of, unfinished
from sercache.units import duration, listed, seconds, size

LIMIT = 20.0
"""Seconds that are spent on looking ahead; trials that were not looked at by then take what others of their head do."""


@dataclass(frozen=True)
class NotKnown:
    """Trials of which nobody knows what they take."""

    n: int
    n_all: int
    why: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.n} of {self.n_all} trials: not known, for {listed(self.why, 4, '; ')}"


@dataclass(frozen=True)
class Whole:
    """All of a table."""

    seconds: float
    n_bytes: int
    may_stop: bool

    def __str__(self) -> str:
        most = "at most" if self.may_stop else "about"
        return (
            f"extraction and training together: {most} {duration(self.seconds)}; {size(self.n_bytes)} of disk"
        )


@dataclass(frozen=True)
class TableForecast:
    """What a table takes that is not done."""

    trainings: Several | None
    """None where nothing is left to train, or nobody knows."""
    extractions: tuple[planned.ToExtract, ...]
    not_known: NotKnown | None
    untold: tuple[str, ...] = ()
    """What else takes a time that nobody knows."""

    @property
    def whole(self) -> Whole | None:
        """Of extraction and training; None where there is one of them alone, or a time is not known."""
        if self.trainings is None or not self.extractions:
            return None
        n_bytes = self.trainings.total.n_bytes + sum(each.n_bytes for each in self.extractions)
        time = self.trainings.total.seconds + sum(each.seconds for each in self.extractions)
        return None if math.isnan(time) else Whole(time, n_bytes, self.trainings.total.may_stop)

    @property
    def lines(self) -> list[object]:
        """What is told."""
        found = [*self.extractions, *self.untold, self.trainings, self.whole, self.not_known]
        return [each for each in found if each is not None] or ["nothing is left to do"]


@dataclass(eq=False)
class Ahead:
    """What trials of a table take, each looked at once."""

    place: Place
    began: float = field(default_factory=time.perf_counter)
    known: dict[str, Forecast] = field(default_factory=dict)
    """By digest of the plan."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Why nobody knows what a trial takes, by digest of the plan."""
    extracted: dict[str, set[str]] = field(default_factory=dict)
    """What is extracted first, by digest of the plan."""
    of_heads: dict[tuple[str, int], Forecast] = field(default_factory=dict)
    """Of the last trial of a head with so many seeds."""

    @property
    def stores(self) -> planned.PlannedStores:
        """Those that are not here."""
        assert self.place.planned is not None
        return self.place.planned

    def of(self, plan: TrialPlan) -> Forecast | None:
        """What a trial takes, nothing where it is done; None where nobody knows yet."""
        if plan.digest not in self.known and plan.digest not in self.unknown:
            self.stores.used.clear()
            try:
                with unheard():
                    self.known[plan.digest] = self._of(plan)
            except SercacheError as fault:
                self.unknown[plan.digest] = short(fault)
            self.extracted[plan.digest] = set(self.stores.used)
        return self.known.get(plan.digest)

    def _of(self, plan: TrialPlan) -> Forecast:
        key = plan.trial.head, len(plan.setup.seeds)
        kept = find(plan, replace(self.place, planned=None))
        if kept is not None and not kept.differs:
            return Forecast()
        method, data, how = asked_of(plan, self.place)
        if time.perf_counter() - self.began > LIMIT and key in self.of_heads:
            return self.of_heads[key]
        device, paces = computed_on(self.place)
        partial = unfinished(plan, self.place)
        how = replace(how, device=device, paces=paces, partial=partial, runs=self.place.folder.parent)
        method = replace(method, kind=kind_of(plan, method.setup, data.stores))
        if self.stores.used:  # there are no statistics of what is not here, and they are no part of the time
            method = replace(method, setup=replace(method.setup, normalise="none"))
        self.of_heads[key] = forecast(prepare(method, data, how, is_ahead=True), how)[0]
        return self.of_heads[key]

    def of_row(self, row: PaperRow, request: ReproduceOptions) -> dict[object, float] | None:
        """Seconds of all trials of a row and of what is extracted for them; None where that of one is not known."""
        parts: dict[object, float] = {}
        for plan in plans_of([row], request):
            found = self.of(plan)
            if found is None:
                return None
            parts[plan.digest] = found.seconds
            parts |= {key: self.stores.to_do[key].seconds for key in self.extracted[plan.digest]}
        return None if any(math.isnan(each) for each in parts.values()) else parts


def looking(rows: Sequence[PaperRow], request: ReproduceOptions, place: Place) -> Ahead:
    """What looks ahead at the trials of some rows, whose features need not be here."""
    device, _ = computed_on(place)
    there = replace(
        place.as_it_is,
        wanted={},
        kept={},
        planned=planned.PlannedStores(place.cache, settings.resolve_device(device)),
    )
    expect((plan.setup for plan in plans_of(rows, request)), there)
    return Ahead(there)


def tell(
    rows: Sequence[PaperRow], request: ReproduceOptions, place: Place, claims: Claims | None = None
) -> TableForecast | None:
    """Say what the trials of some rows take, extraction included, and of how many nobody knows, and why.

    One process of those at work does.
    """
    with nullcontext(True) if claims is None else looking_ahead(claims) as is_ours:
        return _told(rows, request, place) if is_ours else None


def _told(rows: Sequence[PaperRow], request: ReproduceOptions, place: Place) -> TableForecast:
    ahead, plans = looking(rows, request, place), plans_of(rows, request)
    found = [ahead.of(plan) for plan in plans]
    known = [each for each in found if each is not None]
    todo = [each for each in known if each.n_trainings]
    n_unknown = len(found) - len(known)
    n_done = len(known) - len(todo)
    what = f"of {len(plans)} trials{f' ({n_done} are done)' if n_done else ''}"
    told = TableForecast(
        Several(len(todo), what, sum(todo, Forecast())) if todo else None,
        tuple(ahead.stores.to_do.values()),
        NotKnown(n_unknown, len(plans), tuple(dict.fromkeys(ahead.unknown.values()))) if n_unknown else None,
        tuple(ahead.stores.untold),
    )
    for line in told.lines:
        used("forecast", line)
    return told


def fitting(
    given: str, rows: Sequence[PaperRow], request: ReproduceOptions, place: Place
) -> tuple[list[PaperRow], ReproduceOptions]:
    """The rows that fit into a time with as many seeds as all of them can have, and the call that does these.

    With one seed where not all rows fit, those that take least first. Says what is left out, and what does the rest.
    Raises SettingsError where no row fits.
    """
    budget = seconds(given, "--budget")
    most = request.seeds or max((len(plan.setup.seeds) for plan in plans_of(rows, request)), default=1)
    ahead = looking(rows, request, place)

    def of_call(n_seeds: int) -> ReproduceOptions:
        return replace(request, seeds=n_seeds) if n_seeds < most else request

    def costs(n_seeds: int) -> dict[str, dict[object, float]]:
        found = {row.name: ahead.of_row(row, of_call(n_seeds)) for row in rows}
        return {name: each for name, each in found.items() if each is not None}

    fits = within(budget, most, costs)
    if math.isnan(fits.least):
        raise SettingsError(
            "nobody knows how long these rows take before their corpora and checkpoints are here; run without --budget"
        )
    if not fits.names:
        coarser = "" if request.look else ", or take a coarse --look"
        raise SettingsError(
            f"the shortest row takes about {duration(fits.least)} with one seed, more than --budget {given}; give it "
            f"more{coarser}"
        )
    own, out = of_call(fits.n_seeds), [row.name for row in rows if row.name not in fits.names]
    limited = (
        "" if own.seeds == request.seeds else f", at most {own.seeds} seed{'s' if own.seeds != 1 else ''}"
    )
    used("budget", f"{given}: {len(fits.names)} of {len(rows)} rows{limited}, about {duration(fits.seconds)}")
    if out:
        used("left out", listed(out, 8, "; "))
    if out or limited:
        used("the rest", advice.command("reproduce", request.paper, request.table))
    return [row for row in rows if row.name in fits.names], own

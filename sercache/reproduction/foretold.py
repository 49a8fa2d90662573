"""What the trials of a table take, told before the first of them, and which rows and seeds fit into a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sercache import advice
from sercache.claims import Claims
from sercache.errors import SercacheError, SettingsError
from sercache.evaluation import Forecast, forecast, looking_ahead, prepare
from sercache.papers import PaperRow
from sercache.progress import unheard, used
from sercache.published import TrialPlan
from sercache.reproduction.kept import asked_of, find
from sercache.reproduction.paper import ReproduceOptions, plans_of
from sercache.reproduction.place import Place
from sercache.reproduction.trials import computed_on, unfinished
from sercache.units import duration, listed, seconds

LIMIT = 20.0
"""Seconds that are spent on looking ahead; trials that were not looked at by then take what others of their head do."""


@dataclass(eq=False)
class Ahead:
    """What trials of a table take, each looked at once."""

    place: Place
    began: float = field(default_factory=time.perf_counter)
    known: dict[str, Forecast | None] = field(default_factory=dict)
    """By digest of the plan; None where corpus, features or runs that it reads are not here."""
    of_heads: dict[tuple[str, int], Forecast] = field(default_factory=dict)
    """Of the last trial of a head with so many seeds."""

    def of(self, plan: TrialPlan) -> Forecast | None:
        """What a trial takes, nothing where it is done; None where nobody knows yet."""
        if plan.digest not in self.known:
            with unheard():
                self.known[plan.digest] = self._of(plan)
        return self.known[plan.digest]

    def _of(self, plan: TrialPlan) -> Forecast | None:
        key = plan.trial.head, len(plan.setup.seeds)
        try:
            kept = find(plan, self.place)
            if kept is not None and not kept.differs:
                return Forecast()
            if time.perf_counter() - self.began > LIMIT and key in self.of_heads:
                return self.of_heads[key]
            method, data, how = asked_of(plan, self.place)
            device, paces = computed_on(self.place)
            partial = unfinished(plan, self.place)
            how = replace(how, device=device, paces=paces, partial=partial)
            self.of_heads[key] = forecast(prepare(method, data, how, is_ahead=True), how)[0]
        except SercacheError:
            return None
        return self.of_heads[key]

    def of_row(self, row: PaperRow, request: ReproduceOptions) -> Forecast | None:
        """What all trials of a row take; None where that of one is not known."""
        total = Forecast()
        for plan in plans_of([row], request):
            found = self.of(plan)
            if found is None or not found.is_known:
                return None
            total += found
        return total


def tell(rows: Sequence[PaperRow], request: ReproduceOptions, place: Place, claims: Claims) -> None:
    """Say what the trials of some rows take, and of how many nobody knows before their features are here.

    One process of those at work does.
    """
    looked, plans = Ahead(place), plans_of(rows, request)
    with looking_ahead(claims) as is_ours:
        found = [looked.of(plan) for plan in plans] if is_ours else []
    known = [each for each in found if each is not None]
    todo = [each for each in known if each.n_trainings]
    unknown = len(found) - len(known)
    if todo:
        done = f" ({len(known) - len(todo)} are done)" if len(known) > len(todo) else ""
        used("forecast", f"{len(todo)} of {len(plans)} trials{done}: {sum(todo, Forecast())}")
    if unknown:
        used(
            "forecast",
            f"{unknown} of {len(plans)} trials: not known before their corpora and features are here, and extraction "
            "is not counted",
        )


def fitting(
    given: str, rows: Sequence[PaperRow], request: ReproduceOptions, place: Place
) -> tuple[list[PaperRow], ReproduceOptions]:
    """The rows that fit into a time with as many seeds as all of them can have, and the call that does these.

    With one seed where not all rows fit, those that take least first. Says what is left out, and what does the rest.
    Raises SettingsError where no row fits.
    """
    budget = seconds(given, "--budget")
    own, known = _within(budget, rows, request, Ahead(place))
    if not known:
        raise SettingsError(
            "nobody knows how long these rows take before their corpora and features are here; run without --budget"
        )
    chosen, spent = set[str](), 0.0
    for name, each in sorted(known.items(), key=lambda pair: pair[1]):
        if spent + each <= budget:
            chosen.add(name)
            spent += each
    if not chosen:
        least = duration(min(known.values()))
        raise SettingsError(
            f"the shortest row takes about {least} with one seed, more than --budget {given}; give it more, or take a "
            "coarse --look"
        )
    out = [row.name for row in rows if row.name not in chosen]
    limited = (
        "" if own.seeds == request.seeds else f", at most {own.seeds} seed{'s' if own.seeds != 1 else ''}"
    )
    used("budget", f"{given}: {len(chosen)} of {len(rows)} rows{limited}, about {duration(spent)}")
    if out:
        used("left out", listed(out, 8, "; "))
    if out or limited:
        used("the rest", advice.command("reproduce", request.paper, request.table))
    return [row for row in rows if row.name in chosen], own


def _within(
    budget: float, rows: Sequence[PaperRow], request: ReproduceOptions, ahead: Ahead
) -> tuple[ReproduceOptions, dict[str, float]]:
    """The call with the most seeds with which all rows take no more than ``budget`` seconds, or one; and theirs."""
    most = request.seeds or max((len(plan.setup.seeds) for plan in plans_of(rows, request)), default=1)
    own, known = request, dict[str, float]()
    for n_seeds in range(most, 0, -1):
        own = replace(request, seeds=n_seeds) if n_seeds < most else request
        costs = {row.name: ahead.of_row(row, own) for row in rows}
        known = {name: each.seconds for name, each in costs.items() if each is not None}
        if sum(known.values()) <= budget:
            break
    return own, known

"""What trainings will take, told before they begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from sercache.evaluation.material import FoldViews
from sercache.evaluation.method import How, Method
from sercache.training import Choice, Member, Work, pace_of
from sercache.units import duration, size

UNKNOWN = math.nan
"""Seconds of trainings whose pace is not known."""
NOTHING_LEFT = "nothing is left to train"


@dataclass(frozen=True)
class Forecast:
    """Of trainings that are to be done, by one process with what it starts itself."""

    n_trainings: int = 0
    n_updates: int = 0
    """Of all together, at most."""
    seconds: float = 0.0
    """At most, where trainings may stop early; UNKNOWN where the pace is not known."""
    n_bytes: int = 0
    """Of disk, for the weights that are kept."""
    may_stop: bool = False
    """Whether some of them stop where dev does not improve."""
    is_rough: bool = False
    """Whether only a first update was timed, as there is little to do."""
    n_others: int = 0
    """Other processes that share them."""

    def __add__(self, other: Forecast) -> Forecast:
        return Forecast(
            self.n_trainings + other.n_trainings,
            self.n_updates + other.n_updates,
            self.seconds + other.seconds,
            self.n_bytes + other.n_bytes,
            self.may_stop or other.may_stop,
            self.is_rough or other.is_rough,
            max(self.n_others, other.n_others),
        )

    def times(self, n: float) -> Forecast:
        """So many of it."""
        return replace(
            self,
            n_trainings=round(n * self.n_trainings),
            n_updates=round(n * self.n_updates),
            seconds=n * self.seconds,
            n_bytes=round(n * self.n_bytes),
        )

    @property
    def is_known(self) -> bool:
        """Whether the time is known."""
        return not math.isnan(self.seconds)

    @property
    def time(self) -> str:
        """The time in words: ``at most 2 h 05 min``."""
        if not self.is_known:
            return "time not known"
        if self.is_rough and self.seconds < _SHORT:
            return "less than a minute"
        return f"{'at most ' if self.may_stop else 'about '}{duration(self.seconds)}"

    def __str__(self) -> str:
        """``10 trainings, at most 6,900 updates: at most 2 h 05 min by this process; 1.2 GB of disk``."""
        if not self.n_trainings:
            return NOTHING_LEFT
        most = "at most " if self.may_stop else ""
        why = " (those that stop early take less)" if self.may_stop and self.is_known else ""
        n, updates = self.n_trainings, f"{most}{self.n_updates:,} updates: " if self.n_updates else ""
        trainings = f"{n} training{'' if n == 1 else 's'}"
        others = f"; {self.n_others} other processes share them" if self.n_others else ""
        return f"{trainings}, {updates}{self.time} by this process{why}; {size(self.n_bytes)} of disk{others}"


@dataclass(frozen=True)
class Several:
    """What several points or trials take together that are not done."""

    n: int
    what: str
    """Each, as ``point``; or of how many, as ``of 5 trials``."""
    total: Forecast

    def __str__(self) -> str:
        plural = "" if self.n == 1 or self.what.startswith("of ") else "s"
        return f"{self.n} {self.what}{plural}: {self.total}"


Costs = Mapping[str, Mapping[object, float]]
"""By name, of a row of a table or a point of a sweep, seconds of its parts: those of one key are done once."""


@dataclass(frozen=True)
class Fits:
    """What fits into a time."""

    n_seeds: int
    names: tuple[str, ...]
    seconds: float
    least: float
    """Of the name that takes least, with one seed where not all fit; NaN where there is none."""


def within(budget: float, most: int, costs: Callable[[int], Costs]) -> Fits:
    """All names with the most seeds with which they take no more than ``budget`` seconds, ``most`` at most.

    With one seed where not all fit, those first that take least.
    """
    n_seeds, known = most, costs(most)
    while n_seeds > 1 and _sum(known.values()) > budget:
        n_seeds -= 1
        known = costs(n_seeds)
    chosen: list[str] = []
    for name in sorted(known, key=lambda each: sum(known[each].values())):
        if _sum([*(known[each] for each in chosen), known[name]]) <= budget:
            chosen.append(name)
    least = min((sum(each.values()) for each in known.values()), default=math.nan)
    in_order = tuple(name for name in known if name in chosen)
    return Fits(n_seeds, in_order, _sum(known[name] for name in chosen), least)


def _sum(costs: Iterable[Mapping[object, float]]) -> float:
    return sum({key: each for parts in costs for key, each in parts.items()}.values())


_SHORT = 30.0
"""Seconds: what was timed by one update alone may take twice that."""


def of_alike(
    member: Member, views: FoldViews, n_trainings: int, method: Method, how: How, choice: Choice | None
) -> Forecast:
    """What so many trainings take that are as ``member``, with its views; without a choice of a way they are solved.

    Some updates are made of random features, unless ``how.paces`` knows what they take.
    """
    recipe = method.recipe
    n_bytes = n_trainings * sum(value.nbytes for value in member.head.state_dict().values())
    if choice is None:
        return Forecast(n_trainings, 0, UNKNOWN, n_bytes)
    work = Work(member, recipe, how.device, choice)
    pace = pace_of(work, n_trainings, how.paces)
    tested = (*((views.test,) if how.test and views.test else ()), *views.cross_corpus)
    n_tested = sum(int(view.n_frames.sum()) for view in tested)
    # The last of them leave processes idle.
    n_rounds = math.ceil(n_trainings / work.n_at_once)
    seconds = UNKNOWN if pace is None else work.once(pace) + n_rounds * work.seconds(pace, n_tested)
    return Forecast(
        n_trainings,
        n_trainings * len(work.groups) * recipe.max_epochs,
        seconds,
        n_bytes,
        recipe.patience is not None,
        pace is not None and pace.is_rough,
    )

"""What a sweep takes, told before its first point, and which points, folds and seeds of it fit into a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

from sercache.errors import SettingsError
from sercache.evaluation import Forecast, within
from sercache.experiment.foretold import LeftToTrain, looked, of_request
from sercache.experiment.grid import Point, folder_name, place_of
from sercache.experiment.points import heads_of
from sercache.experiment.sweep_options import SweepOptions, has_seeds, request_of
from sercache.progress import used
from sercache.report import runs
from sercache.units import duration, listed, seconds


def asks(
    module: ModuleType, request: SweepOptions, folder: Path, every: Sequence[Point]
) -> list[Callable[[], LeftToTrain]]:
    """What asks for the time of each point, of which some are done; of drawn ones, which nobody knows, the first."""
    return [
        partial(_ahead, module, request, folder, point) for point in _left(module, request, folder, every)
    ]


def _left(module: ModuleType, request: SweepOptions, folder: Path, every: Sequence[Point]) -> list[Point]:
    """Points that are not done with all seeds that are asked for; of drawn ones as many as are to be drawn."""
    left = [point for point in every if not _is_done(module, request, place_of(folder, point))]
    n_left = len(left) if request.trials is None else request.trials - (len(every) - len(left))
    return left[: max(0, n_left)]


def _is_done(module: ModuleType, request: SweepOptions, place: Path) -> bool:
    return (place / runs.REPORT).is_file() and has_seeds(runs.load(place), module, request)


def _ahead(module: ModuleType, request: SweepOptions, folder: Path, point: Point) -> LeftToTrain:
    place = place_of(folder, point)
    found = of_request(request_of(module, request, point), heads_of(place))
    done = runs.load(place).seeds if (place / runs.REPORT).is_file() else ()
    left = [each for each in found.left if each[1] not in done]
    if not left:
        return LeftToTrain(Forecast(), (), found.seeds)
    return LeftToTrain(found.found.times(len(left) / len(found.left)), left, found.seeds)


def fitting(
    module: ModuleType, request: SweepOptions, folder: Path, every: Sequence[Point], command: str
) -> tuple[SweepOptions, list[Point], bool]:
    """The call and the points that fit into its budget, with as many seeds as all of them can have.

    With one seed where not all points fit, those first that take least; where not one does, that one, and False: as
    many of its folds as fit are to be trained. Says what is left out, and that ``command`` does the rest. Raises
    SettingsError where nobody knows.
    """
    given = str(request.budget)
    budget = seconds(given, "--budget")
    left = _left(module, request, folder, every)
    found = looked([partial(_ahead, module, request, folder, point) for point in left])
    known = [each for each in found if each is not None]
    if not known:
        return request, list(every), True  # done, or refused: who does it is told why
    if any(math.isnan(each.found.seconds) for each in known):
        raise SettingsError(f"nobody knows how long {request.head} takes; leave --budget out")
    seeds = known[0].seeds
    names = [folder_name(point) for point in left]

    def costs(n_seeds: int) -> dict[str, dict[object, float]]:
        times = [each.of(seeds[:n_seeds]) if each else 0.0 for each in found]
        times += [sum(times) / len(times)] * (len(left) - len(times))  # not looked at
        return {name: {name: time} for name, time in zip(names, times, strict=True)}

    fits = within(budget, len(seeds), costs)
    is_whole = bool(fits.names)
    of_one = costs(1)
    own = fits.names or (min(names, key=lambda name: of_one[name][name]),)
    fewer = f", {fits.n_seeds} of {len(seeds)} seeds of each" if fits.n_seeds < len(seeds) else ""
    whole = f"{len(own)} of {len(left)} points{fewer}, about {duration(fits.seconds)}"
    used("budget", f"{given}: {whole if is_whole else f'no point fits whole; folds of {own[0]}, one seed'}")
    out = [name for name in names if name not in own]
    if out and request.trials is None:
        used("left out", listed(out, 8))
    if out or fits.n_seeds < len(seeds) or not is_whole:
        used("the rest", command)
    n_done = len(every) - len(left)
    return (
        replace(
            request,
            seeds=request.seeds if request.look else tuple(seeds[: fits.n_seeds]),
            trials=None if request.trials is None else n_done + len(own),
        ),
        [p for p in every if request.trials is not None or p not in left or folder_name(p) in own],
        is_whole,
    )

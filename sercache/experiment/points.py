"""The run folders of a sweep's points: what they share, whether one is what is asked for, room for one that is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sercache import catalog, files, settings, stores
from sercache.claims import Claims, taken
from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, SercacheError, SettingsError
from sercache.evaluation import MOST, differs, differs_in_code, keep_trainings
from sercache.experiment.labels import read_labels
from sercache.experiment.places import SHARED_CLAIMS, free_name
from sercache.experiment.ready import asked
from sercache.experiment.setup import TrainOptions, chosen_settings
from sercache.progress import warn
from sercache.record import Report
from sercache.report import runs
from sercache.units import listed

SHARED = "sweep.json"
_FREE = (
    "grid", "name", "on", "trials", "runs", "cache", "root", "device", "serial", "seeds", "budget", "only_foretold",
)  # fmt: skip
"""Options that may change from one call of a sweep to the next."""
_POINTS = ("grid", "on", "trials", "seeds")
"""Those of them that all processes at work at a time have in common."""
_AT_WORK = tuple(f"at-work-{number}" for number in range(1, MOST + 1))
"""Claims of the processes that work on a sweep, one each."""


@dataclass(eq=False)
class Comparison:
    """Compares finished points with what is asked for; the corpus is read once, when there is one to compare."""

    corpus: Corpus | None = None
    fault: str = ""
    """Why the corpus could not be read."""

    def differs(self, report: Report, request: TrainOptions) -> tuple[str, ...]:
        """What makes a finished point another result than the one asked for, but for the number of its seeds.

        Where the corpus or its features are not at hand, code and settings alone are compared, and that is said.
        """
        module = catalog.load("sercache.heads", request.head)
        recipe, own = chosen_settings(module, request)
        found = differs_in_code(report, module.Head, own, recipe)
        if found:
            return found
        try:
            method, data, how = asked(request, self._corpus(request))
        except SercacheError as fault:
            warn(f"compared by code and settings alone: {fault}")
            return ()
        seeds = tuple(seed for seed in method.setup.seeds if seed in report.seeds)
        try:
            return differs(report, replace(method, setup=replace(method.setup, seeds=seeds)), data, how)
        except MissingFeaturesError as fault:  # the corpus has more utterances than were encoded for the run
            return (str(fault).partition("; run:")[0],)

    def _corpus(self, request: TrainOptions) -> Corpus:
        if self.corpus is None:
            known = settings.load()
            cache = Path(known.value("cache", request.cache).value).expanduser()
            published = catalog.load("sercache.heads", request.head).SETUP.dataset
            name = request.dataset or (published if request.store is None else None)
            self.corpus = read_labels(name, request.root, known, cache, request.store)
        return self.corpus


def heads_of(place: Path) -> Path:
    """Where the trained heads of a point wait; hidden, as it is no run that can be shown."""
    return place.with_name(f".{place.name}.partial")


def make_room(place: Path) -> None:
    """Lose nothing of a run of other seeds that is replaced: its trainings wait beside it."""
    if (place / runs.REPORT).is_file():
        keep_trainings(place, heads_of(place))


def move_aside(place: Path, why: tuple[str, ...]) -> None:
    """Give a run of another experiment the next free name, and say so."""
    aside = free_name(place.parent, place.name)
    place.rename(aside)
    words = listed(why, between="; ")
    warn(
        f"{place} is another experiment, is called {aside.name} now, and the point is trained again: {words}"
    )


def begin_sweep(options: Mapping[str, Any], folder: Path, claims: Claims) -> None:
    """Note down what all points share. Raises SettingsError where the folder is that of another sweep.

    Also where others sweep other points, or with other seeds, under that name now.
    """
    path = folder / SHARED
    shared = {name: value for name, value in options.items() if name not in _FREE or name in _POINTS}
    if shared.get("store"):  # what it is, not where: a cache may be moved, or lie elsewhere on another host
        shared["store"] = stores.read_spec(shared["store"]).digest
    text = json.dumps(shared, indent=1, default=str, ensure_ascii=False)
    with taken(claims, "door"):
        # Without a point or a process at work, a mistake in the first call is no harm.
        others = bool(claims.others(_AT_WORK))
        if (others or any(folder.glob(f"*/{runs.REPORT}"))) and path.is_file():
            before, now = (json.loads(each) for each in (path.read_text(encoding="utf-8"), text))
            if words := _differs(_asked(before), _asked(now)):
                raise SettingsError(
                    f"{folder} is a sweep with other settings ({words}); give this one another --name, or remove that "
                    "one"
                )
            if others and (
                words := _differs(*({name: each.get(name) for name in _POINTS} for each in (before, now)))
            ):
                raise SettingsError(
                    f"{folder} is being swept by another command now ({words}); give this one another --name, or wait"
                )
        files.write_text(path, text)
        any(claims.take(place) for place in _AT_WORK)


@contextmanager
def no_sweep_without_points(folder: Path, claims: Claims) -> Iterator[None]:
    """Where the block fails before any point is begun and nobody else is at work, leave no folder of a sweep.

    Its folder and that of the claims are left to whoever leaves them last.
    """
    try:
        yield
    except BaseException:
        with suppress(OSError, SercacheError), taken(claims, "door"):
            if {each.name for each in folder.iterdir()} <= {SHARED, SHARED_CLAIMS} and not claims.others(
                _AT_WORK
            ):
                (folder / SHARED).unlink(missing_ok=True)
        raise


def _differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    differs = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(
        f"{name} {_told(now.get(name))} instead of {_told(before.get(name))}" for name in differs
    )


def _told(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def _asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the points of a sweep share, without what may change and what was left as it is."""
    told = {name: value for name, value in record.items() if value or (name == "frames" and value is False)}
    return {name: value for name, value in told.items() if name not in _FREE}

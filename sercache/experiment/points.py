"""The run folder of a point of a sweep: whether it is what the point asks for, and room for one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sercache import catalog, settings
from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, SercacheError
from sercache.evaluation import differs, differs_in_code, keep_trainings
from sercache.experiment.corpora import read_corpus
from sercache.experiment.places import free_name
from sercache.experiment.ready import asked
from sercache.experiment.setup import TrainOptions
from sercache.progress import warn
from sercache.published import head_options
from sercache.recipe import override
from sercache.record import Report
from sercache.report import runs
from sercache.units import listed


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
        own: Mapping[str, Any] = head_options(module, request.head_options)
        found = differs_in_code(report, module.Head, own, override(module.RECIPE, request.settings))
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
            name = request.dataset or catalog.load("sercache.heads", request.head).SETUP.dataset
            self.corpus, _ = read_corpus(name, request.root, known, cache)
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

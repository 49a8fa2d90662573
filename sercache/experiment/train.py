"""Training: a head's published set-up, changed where asked, over all folds and seeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sercache.errors import SettingsError
from sercache.evaluation import Evaluated, Forecast, Prepared, Unfinished, evaluate
from sercache.experiment import clustered
from sercache.experiment.epochs import epochs_shown
from sercache.experiment.foretold import dry, fitting
from sercache.experiment.outcome import finish
from sercache.experiment.places import check_writable, checked_name, default_name, free_name, partial_of
from sercache.experiment.ready import AskedTraining, AtHand, ready
from sercache.experiment.result import Result
from sercache.experiment.setup import TrainOptions
from sercache.experiment.together import (
    Sharing,
    command_of,
    is_run_of,
    part_of,
    remove_partial,
    standing_in,
    together,
)
from sercache.report import tracking, write_epochs
from sercache.training import be_deterministic, keep_freed_memory


def run(request: TrainOptions, at_hand: AtHand | None = None) -> Result | Unfinished | Forecast:
    """Train as asked and write the run folder. Processes that are given the same share the trainings, and one run.

    Where the call names a part (``folds``, ``seeds="0-4/25"``) and others are missing, what is. What it takes where
    that alone is asked for. Raises SercacheError.
    """
    trackers = tracking.chosen(request.track)
    tracking.check(trackers)
    if clustered.asked(request) and not request.only_foretold:
        return _by_workers(request, at_hand)
    part = part_of(request)
    asked, meant = begin(request, at_hand)
    if request.budget is not None:
        part = fitting(request.budget, asked.how, part)
    if request.only_foretold:
        return dry(asked, part)
    head = at_hand.head if at_hand else None

    def standing(ready: Prepared) -> Result | None:
        made = next((folder for folder in standing_in(meant) if is_run_of(ready, folder)), None)
        return None if made is None else Result.load(made, head)

    def keep(done: Evaluated) -> Result:
        folder = free_name(
            meant.parent, meant.name
        )  # another experiment of this name may have been done first
        finish(done.report, done.weights, folder)
        write_epochs(done.report, folder)
        tracking.finished(trackers, done.report, folder, partial_of(meant))
        remove_partial(partial_of(meant), done.report)
        return Result(done.report, done.weights, folder, head)

    command = "" if at_hand else command_of(request)
    return together(asked, standing, keep, Sharing(part, request.name is not None, trackers, command))


def _by_workers(request: TrainOptions, at_hand: AtHand | None) -> Result:
    """As ``run``, done by the workers of a cluster."""
    if request.budget is not None:
        raise SettingsError("a budget is that of one process: give --budget without --cluster")
    if part_of(request) is not None:
        raise SettingsError("workers share a whole run: name no part of it with --cluster")
    there = clustered.runs_folder(request)
    found = clustered.run("train", request, there, has_objects=not (at_hand or AtHand()).is_empty)
    return Result.load(Path(found["folder"]))


def in_memory(request: TrainOptions, at_hand: AtHand) -> Result | Forecast:
    """Train as asked and write nothing: what is trained is lost with the process. Raises SercacheError."""
    if clustered.asked(request):
        raise SettingsError("workers write a run folder, and read a store by its name; give name= or runs=")
    if request.track:
        raise SettingsError("track writes beside a run folder; give name= or runs=, so that there is one")
    if part_of(request) is not None or request.budget is not None:
        raise SettingsError(
            "a part of a run is kept in its folder; give name= or runs=, so that there is one"
        )
    keep_freed_memory()
    asked = ready(request, at_hand)
    if request.only_foretold:
        return dry(asked, None)
    if request.deterministic:
        be_deterministic()
    with epochs_shown(None) as advance:
        how = dataclasses.replace(asked.how, paces=None)
        done = evaluate(asked.method, asked.data, published=asked.published, how=how, progress=advance)
    return Result(done.report, done.weights, head=at_hand.head)


def begin(
    request: TrainOptions,
    at_hand: AtHand | None = None,
    *,
    folder: Path | None = None,
    partial: Path | None = None,
    test: bool = True,
) -> tuple[AskedTraining, Path]:
    """The training that was asked for, which can begin, and the run folder meant for it (``folder``, if given).

    ``partial`` keeps each training as it is done; by default ``partial_of`` the run folder. Without ``test`` no test
    part is looked at. Raises SercacheError.
    """
    keep_freed_memory()
    asked = ready(request, at_hand or AtHand(), test=test)
    name = checked_name(request.name) or default_name(request.head, asked.method.setup)
    if request.look and request.name is None:
        name += "-look"
    folder = folder or free_name(asked.runs, name)
    check_writable(folder)
    if request.deterministic:
        be_deterministic()
    how = dataclasses.replace(asked.how, partial=partial or partial_of(folder), runs=asked.runs)
    return dataclasses.replace(asked, how=how), folder

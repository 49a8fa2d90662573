"""Training: a head's published set-up, changed where asked, over all folds and seeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sercache import settings
from sercache.errors import SettingsError
from sercache.evaluation import Data, Evaluated, How, Method, Weights, evaluate
from sercache.evaluation.partial import settle
from sercache.experiment.epochs import epochs_heard
from sercache.experiment.origin import extract_command
from sercache.experiment.outcome import finish
from sercache.experiment.places import check_writable, checked_name, default_name, free_name, partial_of
from sercache.experiment.ready import AtHand, how_asked, ready
from sercache.experiment.result import Result
from sercache.experiment.setup import TrainOptions
from sercache.experiment.tails import head_class
from sercache.progress import used
from sercache.recipe import Published
from sercache.record import Report
from sercache.report.epochs import (
    check_tensorboard,
    remove_live,
    write_epochs,
    write_tensorboard,
)
from sercache.training.determinism import be_deterministic
from sercache.training.memory import keep_freed_memory

if TYPE_CHECKING:
    pass


def run(request: TrainOptions, at_hand: AtHand | None = None) -> Result:
    """Train as asked and write the run folder. Raises SercacheError."""
    report, weights, meant = trained(request, at_hand=at_hand)
    # Another training of this name may have been done first.
    folder = free_name(meant.parent, meant.name)
    finish(report, weights, folder)
    write_epochs(report, folder)
    if request.track:
        used("events", str(write_tensorboard(report, folder)))
    remove_partial(partial_of(meant), report)
    return Result(report, weights, folder, at_hand.head if at_hand else None)


def in_memory(request: TrainOptions, at_hand: AtHand) -> Result:
    """Train as asked and write nothing: what is trained is lost with the process. Raises SercacheError."""
    if request.track:
        raise SettingsError("track writes beside a run folder; give name= or runs=, so that there is one")
    keep_freed_memory()
    asked = ready(request, at_hand, test=True)
    device = settings.resolve_device(asked.known.value("device", request.device).value)
    if request.deterministic:
        be_deterministic()
    how = dataclasses.replace(how_asked(request, asked.data.corpus, None), device=device)
    done = evaluated(asked.module, asked.method, asked.data, asked.published, how)
    return Result(done.report, done.weights, head=at_hand.head)


def remove_partial(partial: Path, report: Report) -> None:
    """Remove the unfinished trainings of a run that stands; says where those of other seeds or settings stay."""
    remove_live(partial)
    n_kept = settle(partial, report)
    if n_kept:
        used("kept", f"{n_kept} finished trainings of other seeds or settings in {partial}")


def trained(
    request: TrainOptions,
    folder: Path | None = None,
    *,
    partial: Path | None = None,
    test: bool = True,
    at_hand: AtHand | None = None,
) -> tuple[Report, Weights, Path]:
    """What the training that was asked for gives, and the run folder meant for it (``folder``, if given).

    ``partial`` keeps each training as it is done; by default ``partial_of`` the run folder. Without ``test`` no test
    part is looked at. Raises SercacheError.
    """
    keep_freed_memory()
    asked = ready(request, at_hand or AtHand(), test)
    device = settings.resolve_device(asked.known.value("device", request.device).value)
    runs = Path(asked.known.value("runs", request.runs).value).expanduser()
    name = checked_name(request.name) or default_name(request.head, asked.method.setup)
    folder = folder or free_name(runs, name)
    how = how_asked(request, asked.data.corpus, partial or partial_of(folder))
    how = dataclasses.replace(how, runs=runs, test=test, device=device)
    if request.track:
        check_tensorboard()
    check_writable(folder)
    if request.deterministic:
        be_deterministic()
    done = evaluated(asked.module, asked.method, asked.data, asked.published, how, track=request.track)
    return done.report, done.weights, folder


def evaluated(
    module: ModuleType,
    method: Method,
    data: Data,
    published: Published | None,
    how: How,
    *,
    track: bool = False,
) -> Evaluated:
    """Train and test by the head of a file, with a bar over epochs; ``track`` writes TensorBoard events meanwhile."""
    kind = head_class(module, method.setup, [store.spec for store in data.stores])
    remedy = f"run: {extract_command(data.stores[0].path, task=method.setup.task)}"
    with epochs_heard(how.partial, track) as advance:
        return evaluate(
            dataclasses.replace(method, kind=kind),
            dataclasses.replace(data, remedy=remedy),
            published=published,
            how=how,
            progress=advance,
        )

"""One run made by however many processes are given the same command: its trainings are shared, and one writes it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sercache import advice, files
from sercache.chosen import folds_named, read_seeds
from sercache.claims import Claims, taken
from sercache.errors import SettingsError
from sercache.evaluation import (
    Evaluated,
    Prepared,
    Unfinished,
    assemble,
    at_work,
    fill,
    prepare,
    say_reading,
    settle,
    slurm_array,
    undone,
)
from sercache.experiment.epochs import epochs_shown
from sercache.experiment.foretold import FoldSeeds
from sercache.experiment.ready import AskedTraining
from sercache.experiment.setup import TrainOptions
from sercache.experiment.sweep_options import SweepOptions
from sercache.progress import used
from sercache.record import Report
from sercache.report import remove_live, runs, tracking
from sercache.text import reading

Made = TypeVar("Made")
_CALLED = {"settings": "set", "head_options": "option"}
"""Options of the command by their fields, where they have other names."""


@dataclass(frozen=True)
class Sharing:
    """How the trainings of a run are shared."""

    part: Callable[[Prepared], FoldSeeds] | None = None
    """Those that this process is to care for; None: all."""
    alone: bool = False
    """Whether another experiment under the name of the run is refused while it is trained."""
    track: tuple[str, ...] = ()
    """Trackers that are told of epochs."""
    command: str = ""
    """What finishes the run, in the words of the command line."""


def together(
    asked: AskedTraining,
    standing: Callable[[Prepared], Made | None],
    keep: Callable[[Evaluated], Made],
    sharing: Sharing | None = None,
) -> Made | Unfinished:
    """Train what no other process trains; the first to find all of it done makes the run, the others get that one.

    ``standing`` gives the run where another process has made it, ``keep`` writes it. Where a part is done and not the
    whole, what is missing is given. Raises SercacheError.
    """
    how, sharing = asked.how, sharing or Sharing()
    partial = how.partial
    assert partial is not None
    with files.unless_empty(partial.parent), ExitStack() as open_:
        ready = prepare(asked.method, asked.data, how)
        part = sharing.part(ready) if sharing.part else None
        say_reading(ready)
        begun = at_work(partial, ready, alone=sharing.alone, command=sharing.command, first=_begin_anew)
        claims = open_.enter_context(begun)
        with ExitStack() as shown:
            tell = shown.enter_context(_told(sharing.track, ready, partial, claims))
            advance = shown.enter_context(epochs_shown(partial, tell))
            fill(ready, how, claims, advance, part)
        missing = undone(ready, how) if part is not None else ()
        if missing:
            return Unfinished(len(ready.jobs) - len(missing), missing, 0, sharing.command)
        with taken(claims, f"{ready.experiment.digest}-run"):
            found = standing(ready)
            return keep(assemble(ready, asked.published, how)) if found is None else found


def _begin_anew(partial: Path) -> None:
    """Remove what an earlier attempt told of its epochs: the finished run tells them all."""
    remove_live(partial)
    tracking.begin_anew(partial)


@contextmanager
def _told(
    names: tuple[str, ...], ready: Prepared, partial: Path, claims: Claims
) -> Iterator[tracking.Tell | None]:
    """What tells trackers an epoch; processes that share the run begin one after another, so that they find one run."""
    if not names:
        yield None
        return
    digest = ready.experiment.digest
    with ExitStack() as open_:
        with taken(claims, f"{digest}-track"):
            tell = open_.enter_context(tracking.following(names, partial, digest))
        yield tell


def is_run_of(ready: Prepared, folder: Path) -> bool:
    """Whether a run folder holds what a training that was asked for gives."""
    if runs.experiment_digest(folder / runs.REPORT) != ready.experiment.digest:
        return False
    with suppress(SettingsError):
        return _holds(runs.load(folder), ready)
    return False


def _holds(report: Report, ready: Prepared) -> bool:
    tested = tuple(f"{each.dataset}:{each.task}" for each in report.cross_corpus)
    wanted = [(job.fold, job.seed) for job in ready.jobs]
    same = [(run.fold, run.seed) for run in report.runs] == wanted and tested == ready.method.setup.test_on
    if report.started_from:  # its jobs are named by the initial weights too
        return same
    return same and [run.job for run in report.runs] == [job.digest for job in ready.jobs]


def part_of(request: TrainOptions) -> Callable[[Prepared], FoldSeeds] | None:
    """The folds and seeds that a call names; None where it names no part. Raises SettingsError, UnknownNameError."""
    folds, seeds = request.folds, read_seeds(request.seeds).part
    if folds is None and seeds is None:
        return None

    def chosen(ready: Prepared) -> FoldSeeds:
        names = list(dict.fromkeys(job.fold for job in ready.jobs))
        own = names if folds is None else folds_named(folds, names)
        all_seeds = ready.method.setup.seeds
        strange = sorted(set(seeds or ()) - set(all_seeds))
        if strange:
            raise SettingsError(
                f"seed {strange[0]} is none of this run, which has {', '.join(map(str, all_seeds))}; "
                "give --seeds what it has, as 0-4/25"
            )
        mine = all_seeds if seeds is None else seeds
        used("part", f"folds {', '.join(own)}; seeds {', '.join(map(str, mine))}")
        return {(fold, seed) for fold in own for seed in mine}

    return chosen


def command_of(request: TrainOptions | SweepOptions, verb: str = "train") -> str:
    """The command that trains the whole of which a call names a part, or of which a part fits into its time."""
    whole = dataclasses.replace(request, seeds=_whole(request), budget=None, only_foretold=False)
    if isinstance(whole, TrainOptions):
        whole = dataclasses.replace(whole, folds=None)
    options: dict[str, Any] = {}
    for field in dataclasses.fields(whole):
        value = getattr(whole, field.name)
        if value in (None, (), False) and field.name != "frames":
            continue
        options[_CALLED.get(field.name, field.name)] = list(value) if isinstance(value, tuple) else value
    frames = options.pop("frames", None)
    if frames is not None:
        options["frames" if frames else "pooled"] = True
    read = reading()
    options |= {"encoding": read.encoding, "labels_as_written": read.labels_as_written}
    return advice.command(verb, **options)


def _whole(request: TrainOptions | SweepOptions) -> Any:
    run = read_seeds(request.seeds).run
    return ",".join(map(str, run)) + ("," if len(run) == 1 else "") if isinstance(run, tuple) else run


def standing_in(folder: Path) -> Iterator[Path]:
    """The run folders that were made under a name since it was free: ``folder``, ``folder-2``, …

    In a task of a job array also those that other tasks made before, as one may start when all is done.
    """
    number, place = 2, folder
    while place.exists():
        yield place
        number, place = number + 1, folder.with_name(f"{folder.name}-{number}")
    if array := slurm_array():
        name = re.sub(r"-\d+$", "", folder.name)
        for other in runs.find(folder.parent):
            if other.name.startswith(name) and runs.read_environment(other).get("slurm_array") == array:
                yield other


def remove_partial(partial: Path, report: Report) -> None:
    """Remove the unfinished trainings of a run that stands; says where those of other seeds or settings stay."""
    remove_live(partial)
    tracking.forget(partial)
    n_kept = settle(partial, report)
    if n_kept:
        used("kept", f"{n_kept} finished trainings of other seeds or settings in {partial}")

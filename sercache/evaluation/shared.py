"""Trainings that several processes share, by claims in the folder of their unfinished run.

Each training is claimed by the digest of its Job before it is begun, lies on the disk when it is done, and is claimed
by no other process then. Whoever ends on the way, however that may be, leaves its claims to the others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sercache.claims import Claims, claims_in, taken
from sercache.errors import LeftOutError, LostProcessError, SettingsError
from sercache.evaluation.counter import Counter, Progress, Waiting
from sercache.evaluation.method import How
from sercache.evaluation.partial import CLAIMS, Partial, note_name, tidy
from sercache.evaluation.prepare import Prepared
from sercache.evaluation.risked import numbered, risked
from sercache.evaluation.trainings import finished_before, groups, kept_in, trained, waiting
from sercache.evaluation.unfinished import in_words, read_note, write_note
from sercache.progress import used, warn
from sercache.record import Experiment, Job
from sercache.training import Fit
from sercache.units import listed

_DOOR = "door"


@contextmanager
def at_work(
    folder: Path,
    ready: Prepared,
    *,
    alone: bool = False,
    command: str = "",
    first: Callable[[Path], object] = lambda folder: None,
) -> Iterator[Claims]:
    """Be one of the processes that train an experiment in the folder of its unfinished run.

    ``alone``: no others may train another experiment there meanwhile. ``command`` is what finishes the run, for those
    who ask about it. ``first`` is called with the folder where no other process trains this, before one can come that
    does: what it removes is of an earlier attempt. Raises SettingsError, with what differs, where others train another
    experiment.
    """
    experiment = ready.experiment
    try:
        with claims_in(folder / CLAIMS) as claims:
            with taken(claims, _DOOR):
                if alone:
                    _check_same(folder, experiment, claims)
                write_note(folder, ready, command)
                if not n_others(ready, claims):
                    first(folder)
                any(claims.take(place) for place in numbered(experiment.digest))
            yield claims
    finally:
        tidy(folder)


def fill(
    ready: Prepared,
    how: How,
    claims: Claims,
    progress: Callable[[Progress], None] | None = None,
    part: Collection[tuple[str, int]] | None = None,
) -> None:
    """Train what is not done and nobody else trains, until all of it is done: of ``part``, folds with seeds, if given.

    What every process that trains it is lost with is left out, after all else is done. Raises TrainingError,
    LeftOutError.
    """
    partial = kept_in(how, ready.jobs)
    assert partial
    todo = [k for k, job in enumerate(ready.jobs) if part is None or (job.fold, job.seed) in part]
    counter = Counter(progress, ready.jobs, ready.method.recipe.max_epochs, wanted=tuple(todo))
    counter.note_known(partial)
    counter.n_others = n_others(ready, claims)
    elsewhere: dict[int, str] = {}
    left_out: set[int] = set()
    is_first, n_all, level = True, len(todo), 0
    while todo:
        partial = replace(partial)  # which looks anew at what other runs hold
        done: set[int] = set()
        for group in _built(ready, [(k, ready.jobs[k]) for k in todo], how, claims):
            found = finished_before(group, partial, how, say=is_first)
            counter.done |= found.keys()
            lost = claims.lost([each.job.digest for each in group if each.number not in found])
            left_out |= {
                each.number for each in group if each.job.digest in lost and claims.give_up(each.job.digest)
            }
            free = [each for each in group if each.number not in found and each.number not in left_out]
            elsewhere |= {each.number: each.job.digest for each in free}
            now, most_lost = _now(free, lost, level, is_alone=not done)
            # One stack of everything would leave nothing to those who come with us.
            most = math.ceil(len(now) / max(1 + n_others(ready, claims), _array_tasks()))
            share = _Share(claims, partial, counter, now, most, most_lost)
            try:
                for place, fit in trained(now, ready.method, how, counter, share.take):
                    share.keep(place, fit)
            except LostProcessError as fault:
                share.lose(fault)
            done |= share.done
        elsewhere = {number: digest for number, digest in elsewhere.items() if number not in done}
        held = claims.others(elsewhere.values())
        if held and is_first:
            used("training", f"{len(held)} of {n_all} trainings are with other processes")
        is_first, level = False, 0 if done else (level + 1) % 3
        ready_now = claims.wait(set(elsewhere.values()))
        todo = [number for number, digest in elsewhere.items() if digest in ready_now]
        for number in todo:
            del elsewhere[number]
    if left_out:
        names = in_words([(ready.jobs[k].fold, ready.jobs[k].seed) for k in sorted(left_out)])
        raise LeftOutError(
            f"left out: {names}, since every process that trained {'it' if len(left_out) == 1 else 'them'} was lost "
            f"(its memory, or a fault of the head); what else there is to train is done and kept in {partial.folder}, "
            "and the same command tries again"
        )


def _built(
    ready: Prepared, todo: Sequence[tuple[int, Job]], how: How, claims: Claims
) -> Iterator[list[Waiting]]:
    """Trainings with their heads, as many as may lie in memory. Raises LeftOutError where that ends each process."""
    found = groups(waiting(ready.method, ready.material, todo, how))
    while True:
        with risked("building-every", claims, ready.method, ready.experiment):
            group = next(found, None)
        if group is None:
            return
        yield group


def _now(
    free: list[Waiting], lost: Mapping[str, int], level: int, *, is_alone: bool
) -> tuple[list[Waiting], int | None]:
    """What of some trainings is begun now, and how many processes may have been lost with each of them before.

    First what nobody was lost with, then what one was, then the rest one by one, ``is_alone``: what ends each process
    that trains it shall cost nothing else.
    """
    if level < 2:
        return free, level
    calm = [each for each in free if lost.get(each.job.digest, 0) < 2]
    if calm or not is_alone:
        return calm, 1
    for each in free[:1]:
        n = lost.get(each.job.digest, 0)
        warn(
            f"training {in_words([(each.job.fold, each.job.seed)])} again: {n} processes were lost with it before"
        )
    return free[:1], None


@dataclass(eq=False)
class _Share:
    """What this process does of some trainings."""

    claims: Claims
    partial: Partial
    counter: Counter
    free: Sequence[Waiting]
    most: int
    """So many at a time."""
    most_lost: int | None = None
    """Only what no more processes were lost with."""
    in_hand: set[str] = field(default_factory=set)
    """Digests of what was begun and is not done."""
    done: set[int] = field(default_factory=set)
    """Numbers of what is."""

    def lose(self, fault: LostProcessError) -> None:
        """A process that trained for this one was lost, which costs what was in hand."""
        warn(f"{fault}; what was in hand is trained again")
        for digest in self.in_hand:
            self.claims.lose(digest)

    def take(self, place: int) -> bool:
        """Whether to train it here: claimed now, unless enough are in hand or another process has done it."""
        each = self.free[place]
        digest = each.job.digest
        if len(self.in_hand) >= self.most or not self.claims.take(digest, self.most_lost):
            return False
        if self.partial.read_own(each.job, each.member.head) is not None:
            self.claims.release(digest)
            return False
        self.in_hand.add(digest)
        self.claims.begin(digest, in_words([(each.job.fold, each.job.seed)]))
        return True

    def keep(self, place: int, fit: Fit) -> None:
        """Bring a training to the disk; where this process slept, and another one has it now, it is left to that."""
        each = self.free[place]
        digest = each.job.digest
        if self.claims.still_held(digest):
            self.partial.write(each.job, fit)
            self.done.add(each.number)
        self.claims.release(digest)
        self.in_hand.discard(digest)
        self.counter.done.add(each.number)


def n_others(ready: Prepared, claims: Claims) -> int:
    """How many other processes train the same, as far as is known."""
    return len(claims.others(numbered(ready.experiment.digest)))


def _array_tasks() -> int:
    """Tasks of the job array that Slurm has started this process in; 1 outside of one."""
    text = os.environ.get("SLURM_ARRAY_TASK_COUNT", "")
    return int(text) if text.isdecimal() and int(text) else 1


def _check_same(folder: Path, experiment: Experiment, claims: Claims) -> None:
    """Raises SettingsError where living processes train another experiment in the folder."""
    for path in sorted(folder.glob(note_name("*"))):
        digest = path.stem.partition("-")[2]
        if digest == experiment.digest or not claims.others(numbered(digest)):
            continue
        other = Experiment.from_json(read_note(path)["experiment"])
        raise SettingsError(
            f"{folder.stem} is being trained by another command, and this one asks for "
            f"{listed(experiment.differs_from(other), between='; ')}; give this run another --name, or wait"
        )

"""How far trainings are: which wait to be done, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from sercache.evaluation.material import FoldViews
from sercache.evaluation.partial import Partial
from sercache.protocols import Fold
from sercache.record import Job
from sercache.training import Epoch, Member


@dataclass(frozen=True)
class Progress:
    """Where an evaluation stands, after each epoch of any of its trainings."""

    fold: str
    seed: int
    run: int
    """From 1."""
    n_runs: int
    epoch: Epoch
    max_epochs: int
    left: int = 0
    """Epochs that all trainings together may still take."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """One training that is to be done."""

    number: int
    """From 0, of all."""
    fold: Fold
    views: FoldViews
    member: Member
    job: Job


@dataclass(eq=False)
class Counter:
    """How far each training is."""

    progress: Callable[[Progress], None] | None
    jobs: Sequence[Job]
    max_epochs: int
    epochs: dict[int, int] = field(default_factory=dict)
    """Number of the last, by training."""
    done: set[int] = field(default_factory=set)
    wanted: Collection[int] | None = None
    """Numbers of those that this process is to care for; None: all."""
    n_others: int = 0
    """Other processes that share them."""
    is_foretold: bool = False
    """Whether it was told what they take."""

    @property
    def running(self) -> list[int]:
        """Numbers of those that are not done."""
        mine = range(len(self.jobs)) if self.wanted is None else self.wanted
        return [number for number in mine if number not in self.done]

    def note_known(self, kept: Partial) -> None:
        """Count those as done that lie on the disk, heads that are not built yet included."""
        self.done |= {number for number in self.running if kept.knows(self.jobs[number])}

    def of(self, waiting: Sequence[Waiting]) -> Callable[[int, Epoch], None]:
        """What is called after an epoch of these trainings, by their place among them."""
        return lambda place, epoch: self.count(waiting[place].number, epoch)

    def count(self, number: int, epoch: Epoch) -> None:
        """Tell of an epoch of a training."""
        self.epochs[number] = epoch.number
        if self.progress is None:
            return
        left = sum(self.max_epochs - self.epochs.get(number, 0) for number in self.running)
        fold, seed = self.jobs[number].fold, self.jobs[number].seed
        self.progress(Progress(fold, seed, number + 1, len(self.jobs), epoch, self.max_epochs, left))

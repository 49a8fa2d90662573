"""How far runs are whose trainings are not all done: what is noted of them, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import files
from sercache.claims import Claims
from sercache.errors import FileError
from sercache.evaluation.method import How
from sercache.evaluation.partial import CLAIMS, Partial, note_name, trained_in
from sercache.evaluation.prepare import Prepared
from sercache.evaluation.risked import numbered
from sercache.evaluation.trainings import finished_before, groups, waiting
from sercache.units import listed


def write_note(folder: Path, ready: Prepared, command: str) -> None:
    """Say which trainings there are to be, those that other commands ask of the same experiment included."""
    path = folder / note_name(ready.experiment.digest)
    wanted: list[tuple[str, int]] = []
    if path.is_file():
        with suppress(FileError, KeyError, TypeError, ValueError):  # damaged: it is written anew
            wanted = [(str(fold), int(seed)) for fold, seed in read_note(path)["trainings"]]
    trainings = list(dict.fromkeys([*wanted, *((job.fold, job.seed) for job in ready.jobs)]))
    record = {"experiment": ready.experiment.to_json(), "trainings": trainings, "command": command}
    files.write_json(path, record)


def read_note(path: Path) -> dict[str, Any]:
    """What is noted of an unfinished run. Raises FileError for a damaged note."""
    return files.read_json(path, "remove it")


@dataclass(frozen=True)
class Unfinished:
    """How far an unfinished run is."""

    n_done: int
    missing: tuple[tuple[str, int], ...]
    """Folds with seeds."""
    n_at_work: int = 0
    """Processes that train it now."""
    command: str = ""
    """What finishes it; empty where that is not known."""

    def __str__(self) -> str:
        """``7 of 12 trainings are done; missing: fold 3 (seeds 0, 1), fold 4 (seed 1)``."""
        n = self.n_done + len(self.missing)
        at_work = f"; {self.n_at_work} at work on it now" if self.n_at_work else ""
        return (
            f"{self.n_done} of {n} trainings are done; missing: {in_words(self.missing) or 'none'}{at_work}"
        )


def in_words(trainings: Iterable[tuple[str, int]]) -> str:
    """``fold 3 (seeds 0, 1), fold 4 (seed 1)``."""
    by_fold: dict[str, list[int]] = {}
    for fold, seed in trainings:
        by_fold.setdefault(fold, []).append(seed)
    words = [
        f"fold {fold} (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})"
        for fold, seeds in by_fold.items()
    ]
    return listed(words, 8)


def unfinished(folder: Path) -> list[Unfinished]:
    """How far the runs are whose trainings lie in the folder of an unfinished run, one for each experiment."""
    claims, found = Claims(folder / CLAIMS), []
    for path in sorted(folder.glob(note_name("*"))):
        record, digest = read_note(path), path.stem.partition("-")[2]
        wanted = [(str(fold), int(seed)) for fold, seed in record["trainings"]]
        done = trained_in(folder, digest, wanted)
        n_at_work = len(claims.others(numbered(digest))) if claims.folder.is_dir() else 0
        missing = tuple(each for each in wanted if each not in done)
        found.append(Unfinished(len(wanted) - len(missing), missing, n_at_work, str(record["command"])))
    return found


def undone(ready: Prepared, how: How) -> tuple[tuple[str, int], ...]:
    """Folds with seeds of what is not trained."""
    assert how.partial is not None
    partial = Partial(how.partial, ready.experiment.digest, how.runs)
    found: set[int] = set()
    for group in groups(waiting(ready.method, ready.material, list(enumerate(ready.jobs)), how)):
        found |= finished_before(group, partial, how, say=False).keys()
    return tuple((job.fold, job.seed) for k, job in enumerate(ready.jobs) if k not in found)

"""Trainings that are done already: of this evaluation when it was cut off, or of another run of the experiment.

Each training is on the disk as soon as it is done: one file (safetensors: the weights, and the rest of the Fit as
JSON beside them), named by fold, seed and the digest of its Job. Finished runs keep the same in their own way. Only
the digest decides what is taken: five seeds contain two, and another setting, corpus or version is not taken for
ours.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor
from torch.nn import Module

from sercache import catalog, files
from sercache.errors import SettingsError
from sercache.record import Job, Report
from sercache.report import runs
from sercache.system import sync_path
from sercache.training import Epoch, Fit

_FIELD = "fit"
_FILES = "fold-*.safetensors"
_UNFINISHED = "*.partial"
"""Folders of unfinished runs; hidden ones hold the heads of a sweep's points."""
CLAIMS = "claims"
"""Folder inside, of what the processes at work have claimed."""


@dataclass(frozen=True)
class Partial:
    """The folder of an unfinished evaluation, ``RUN.partial``, and where else the same may have been trained."""

    folder: Path
    experiment: str
    """Digest of the experiment."""
    runs: Path | None = None
    """Folder of runs: what they hold of the experiment is done too. None: nowhere else."""
    _opened: dict[Path, Report | None] = field(default_factory=dict, repr=False)

    def write(self, job: Job, done: Fit) -> None:
        """Bring a training to the disk; it is there whole or not at all."""
        record = {name: value for name, value in vars(done).items() if name not in ("head", "history")}
        record["history"] = [asdict(epoch) for epoch in done.history]
        _write(self.folder / file_name(job), done.head.state_dict(), record, self.experiment)

    def read(self, job: Job, head: Module) -> Fit | None:
        """The training, its weights in ``head``; None where it has to be done, or is damaged."""
        for folder in (self.folder, *self._other_folders):
            found = _read(folder / file_name(job), head)
            if found is not None:
                return found
        return next(filter(None, (self._of_run(folder, job, head) for folder in self._finished)), None)

    def read_own(self, job: Job, head: Module) -> Fit | None:
        """As ``read``, from this folder itself."""
        return _read(self.folder / file_name(job), head)

    def holds(self, job: Job) -> bool:
        """Whether the training lies in this folder itself."""
        return (self.folder / file_name(job)).is_file()

    def knows(self, job: Job) -> bool:
        """Whether the training lies somewhere, as far as names tell: its weights are not read."""
        folders = (self.folder, *self._other_folders)
        if any((folder / file_name(job)).is_file() for folder in folders):
            return True
        reports = filter(None, map(self._report, self._finished))
        return any(_index(report, job) is not None for report in reports)

    def n_others(self, jobs: Collection[Job]) -> int:
        """How many trainings in this folder are of another experiment or version, or of items that have changed."""
        names = {file_name(job) for job in jobs}
        places = tuple(_beginning(job.fold, job.seed) for job in jobs)
        others = [path for path in self.folder.glob(_FILES) if path.name not in names]
        return sum(_experiment_in(path) != self.experiment or path.name.startswith(places) for path in others)

    @cached_property
    def _other_folders(self) -> list[Path]:
        """Other unfinished runs."""
        return [path for path in _below(self.runs, _UNFINISHED, "." + _UNFINISHED) if path != self.folder]

    @cached_property
    def _finished(self) -> list[Path]:
        """Finished runs of this experiment."""
        reports = _below(self.runs, f"*/{runs.REPORT}")
        return [path.parent for path in reports if runs.experiment_digest(path) == self.experiment]

    def _report(self, folder: Path) -> Report | None:
        """The report of a finished run; None where it is damaged."""
        if folder not in self._opened:
            self._opened[folder] = None
            with suppress(SettingsError):
                self._opened[folder] = runs.load(folder)
        return self._opened[folder]

    def _of_run(self, folder: Path, job: Job, head: Module) -> Fit | None:
        """A training as a finished run keeps it."""
        report = self._report(folder)
        place = None if report is None else _index(report, job)
        if report is None or place is None:
            return None
        run = report.runs[place]
        try:
            weights = runs.read_tensors(runs.weights_path(folder, run.fold, run.seed))
        except SettingsError:  # it kept no weights
            return None
        return _fit(_record_of(report, place), head) if _take(head, weights) else None


def keep_trainings(run: Path, folder: Path) -> bool:
    """Write what a finished run keeps of its trainings into ``folder``, as they lay there before it was finished.

    So that they are found when the run is replaced by one of fewer seeds. Gives whether all of them are named by what
    decides their numbers; nothing is written of a run of before they were, which nothing could take. Raises
    SettingsError for a damaged run.
    """
    report = runs.load(run)
    if report.experiment is None or not all(each.job for each in report.runs):
        return False
    for place, each in enumerate(report.runs):
        path, weights = (
            folder / _name(each.fold, each.seed, each.job),
            runs.weights_path(run, each.fold, each.seed),
        )
        if weights.is_file() and not path.is_file():
            record = _record_of(report, place)
            _write(path, runs.read_tensors(weights), record, report.experiment.digest)
    return True


def settle(folder: Path, report: Report) -> int:
    """Remove what the run of ``report`` holds from ``folder``, and what nothing could take any more.

    Trainings that the run does not hold, of other seeds or settings, stay: gives how many. Those that it holds go from
    the other unfinished runs beside ``folder`` too.
    """
    digest = report.experiment.digest if report.experiment else ""
    done = {_beginning(run.fold, run.seed) for run in report.runs}
    n_kept = 0
    for path in folder.glob(_FILES):
        experiment, place = _experiment_in(path), path.name.rpartition("-")[0] + "-"
        # Of the same experiment and place, but of labels or recordings that have changed since: it is replaced.
        if experiment and (experiment != digest or place not in done):
            n_kept += 1
        else:
            path.unlink(missing_ok=True)
    jobs = {_name(run.fold, run.seed, run.job) for run in report.runs}
    for other in folder.parent.glob(_UNFINISHED):
        for path in other.glob(_FILES) if other != folder else ():
            if path.name in jobs:
                path.unlink(missing_ok=True)
        tidy(other)
    tidy(folder)
    return n_kept


def tidy(folder: Path) -> None:
    """Remove what is of no use in the folder of an unfinished run, and the folder where nothing is left.

    Where other processes work there all of it stays: the last one to leave tidies up.
    """
    with suppress(OSError):  # not empty: somebody is at work
        (folder / CLAIMS).rmdir()
    if not folder.is_dir() or (folder / CLAIMS).exists():
        return
    held = {_experiment_in(path) for path in folder.glob(_FILES)}
    notes = [
        path for path in folder.glob(note_name("*")) if path not in {folder / note_name(e) for e in held}
    ]
    for path in (*folder.glob(".*.new"), *notes):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def note_name(experiment: str) -> str:
    """What the file is called that says which trainings an experiment has, whose digest is given."""
    return f"experiment-{experiment}.json"


def trained_in(folder: Path, experiment: str, wanted: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Of the ``wanted`` folds with seeds of an experiment those that lie in the folder of an unfinished run."""
    held = {
        path.name.rpartition("-")[0] for path in folder.glob(_FILES) if _experiment_in(path) == experiment
    }
    return {(fold, seed) for fold, seed in wanted if _beginning(fold, seed).removesuffix("-") in held}


def file_name(job: Job) -> str:
    """What the file of a training is called."""
    return _name(job.fold, job.seed, job.digest)


def _name(fold: str, seed: int, job: str) -> str:
    return f"{_beginning(fold, seed)}{job}.safetensors"


def _beginning(fold: str, seed: int) -> str:
    return f"fold-{catalog.quoted_name(fold)}-seed-{seed}-"


def _read(path: Path, head: Module) -> Fit | None:
    if not path.is_file():
        return None
    try:
        with files.opened_tensors(path) as file:
            record: dict[str, Any] = json.loads(file.metadata()[_FIELD])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        done = _fit(record, head)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None  # it is trained again, and then replaced
    return done if _take(head, weights) else None


def _write(path: Path, weights: Mapping[str, Tensor], record: Mapping[str, Any], experiment: str) -> None:
    """A training as one file, there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.new")
    files.write_tensors(temporary, weights, {_FIELD: json.dumps(record), "experiment": experiment})
    temporary.rename(path)
    sync_path(path.parent)


def _fit(record: Mapping[str, Any], head: Module) -> Fit:
    """The Fit that a record is of, with its trained head."""
    lists = {"history": tuple(Epoch(**epoch) for epoch in record["history"]), "notes": tuple(record["notes"])}
    return Fit(head=head.eval(), **{**record, **lists})


def _record_of(report: Report, place: int) -> dict[str, Any]:
    """What a file says of a training, of one that a finished run holds."""
    run = report.runs[place]
    return {
        "history": [{"seconds": 0.0, **epoch} for epoch in run.history],
        "best_epoch": run.best_epoch,
        "stopped_early": run.stopped_early,
        "n_updates": run.n_updates,
        "seconds": _at(report.timing.get("training_seconds"), place, 0.0),
        "notes": list(run.notes),
        "timing": dict(_at(report.timing.get("trainings"), place, {})),
    }


def _take(head: Module, weights: Mapping[str, Tensor]) -> bool:
    """Give ``head`` the weights; whether they are of its shape."""
    own = {name: value.shape for name, value in head.state_dict().items()}
    if own != {name: value.shape for name, value in weights.items()}:
        return False
    head.load_state_dict(dict(weights))
    head.eval()
    return True


def _index(report: Report, job: Job) -> int | None:
    return next((k for k, run in enumerate(report.runs) if run.job == job.digest), None)


def _at(values: Any, place: int, otherwise: Any) -> Any:
    return values[place] if isinstance(values, list) and place < len(values) else otherwise


def _experiment_in(path: Path) -> str:
    """Digest of the experiment of a file; empty where an earlier version wrote it, or it is damaged."""
    try:
        with files.opened_tensors(path) as file:
            return str((file.metadata() or {}).get("experiment", ""))
    except (SafetensorError, OSError):
        return ""


def _below(folder: Path | None, *patterns: str) -> list[Path]:
    """What matches one of the patterns in a folder, or one folder further down: papers and sweeps have their own."""
    if folder is None:
        return []
    found = (path for pattern in patterns for deep in ("", "*/") for path in folder.glob(deep + pattern))
    return sorted(set(found))
